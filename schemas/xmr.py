"""The contracts of the xmr domain, from interactions and label features to evaluation and the released ranker."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.matrices import sparse_table, tensor_table
from fingerpost.schemas.packed_ranker import PACKED
from fingerpost.schemas.releases import MEMBERS

_WEIGHT = f.Field("weight", f.pa.float64(), "the weight of a row, above 0", finite=True)
DAILY_INTERACTIONS = Contract(
    "xmr.daily_interactions",
    1,
    (
        Table(
            "interactions",
            (
                f.QUERY_ID,
                f.Field("query", f.STRING, "its text", nonempty=True),
                f.Field("label", f.STRING, "the id of the label that was chosen", nonempty=True),
                _WEIGHT,
                f.DOCUMENT_DAY,
            ),
            holds_keys=("id", "query", "label"),
        ),
        Table(
            "deleted",
            (f.QUERY_ID, f.Field("label", f.STRING, "the id of the label", nonempty=True)),
            key=("id", "label"),
            holds_keys=("id", "label"),
        ),
    ),
    "the accepted rows of one day's file of interactions, and the queries and labels that it withdraws",
)
INTERACTIONS = Contract(
    "xmr.interactions",
    1,
    (
        # A query may be its own key: it stands in the text too.
        Table("queries", (f.QUERY_ID, f.TEXT, f.DOCUMENT_DAY, f.SPLIT), key=("id",), holds_keys=("id", "text")),
        Table("labels", (f.ID, f.LABEL_NAME, f.TEXT), key=("id",)),
        sparse_table("targets"),
        sparse_table("negatives"),
    ),
    "queries and the labels chosen for them: one row of label weights per query, the split of each query, and, if an"
    " input has them, negative labels",
)
QUERIES = Contract(
    "xmr.queries",
    1,
    (Table("queries", (f.QUERY_ID, f.TEXT, f.DOCUMENT_DAY), key=("id",)),),
    "the texts whose n-grams are counted: training queries and texts of labels, or held-out queries",
)
LABEL_FEATURES = Contract(
    "xmr.label_features",
    1,
    (sparse_table("features"),),
    "the features that labels are clustered by, by block",
)
TREE = Contract(
    "xmr.tree",
    1,
    (tensor_table("upper"), tensor_table("subtrees"), tensor_table("tree")),
    "the tree of labels: its upper splits, the labels of each subtree leaf by leaf, and each node's parent by level",
)
MODEL = Contract(
    "xmr.model",
    1,
    (tensor_table("weights"), sparse_table("matches")),
    "chunks of weights in the order of levels and parents, one file per block of parents; the parents predicted for"
    " each training row, level by level from the second",
)
PREDICTIONS = Contract(
    "xmr.predictions",
    1,
    (Table("ranking", (f.QUERY_ROW, f.LABELS, f.SCORES), compression="none"),),
    "the labels ranked for the held-out queries, padded with 4294967295 and 0",
)
CALIBRATION = Contract(
    "xmr.calibration",
    1,
    (tensor_table("calibration"),),
    "the map of scores to probabilities: knots and levels of an isotonic function",
)
_FIGURES = Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"))
EVALUATION = Contract(
    "xmr.evaluation", 1, (_FIGURES,), "ranking metrics on held-out queries, overall and by label frequency"
)
DENSE_LABELS = Contract(
    "xmr.dense_labels",
    1,
    (tensor_table("dense"),),
    "a dense baseline: the projection of queries, and vectors of labels by their texts and by their rows",
)
TOWERS = Contract(
    "xmr.towers",
    1,
    (tensor_table("towers"),),
    "a two-tower network: the embedding of hashed n-grams of queries, vectors of labels, document frequencies",
)
COMPARISON = Contract(
    "xmr.comparison",
    1,
    (_FIGURES,),
    "the ranker and its baselines on the same test queries, overall and by label frequency",
)
SWEEP = Contract(
    "xmr.sweep", 1, (_FIGURES,), "recall against cost: metrics of the ranker by pruning threshold and beam width"
)
RANKER = Contract(
    "xmr.ranker",
    1,
    (MEMBERS,),
    "a released ranker: the artifacts that it consists of",
)

CONTRACTS = (
    DAILY_INTERACTIONS,
    INTERACTIONS,
    QUERIES,
    LABEL_FEATURES,
    TREE,
    MODEL,
    PREDICTIONS,
    CALIBRATION,
    EVALUATION,
    DENSE_LABELS,
    TOWERS,
    COMPARISON,
    SWEEP,
    PACKED,
    RANKER,
)
