"""The contracts of the xmr domain: interactions, label features, tree, weights, predictions, evaluation and the released ranker."""

from schemas import fields as f
from schemas.contract import Contract, Table
from schemas.matrices import sparse_table, tensor_table
from schemas.releases import MEMBERS

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
    "queries and the labels chosen for them: one row of weights over the labels a query, what each query is used for,"
    " and, if an input says so, the labels that were not wanted",
)
QUERIES = Contract(
    "xmr.queries",
    1,
    (Table("queries", (f.QUERY_ID, f.TEXT, f.DOCUMENT_DAY), key=("id",)),),
    "the texts whose n-grams are counted: queries to train on and what labels say, or queries that were held out",
)
LABEL_FEATURES = Contract(
    "xmr.label_features", 1, (sparse_table("features"),), "what labels are clustered by, one file a block of labels"
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
    "chunks of weights in the order of levels and parents, one file a block of parents; the parents predicted for each "
    "training row, level by level from the second",
)
PREDICTIONS = Contract(
    "xmr.predictions",
    1,
    (Table("ranking", (f.QUERY_ROW, f.LABELS, f.SCORES), compression="none"),),
    "the labels ranked for the queries that were held out; 4294967295 and 0 where there are fewer",
)
CALIBRATION = Contract(
    "xmr.calibration", 1, (tensor_table("calibration"),), "how scores become chances: knots and levels of a rising line"
)
_FIGURES = Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"))
EVALUATION = Contract(
    "xmr.evaluation", 1, (_FIGURES,), "how good rankings of held-out queries are, whole and by label frequency"
)
DENSE_LABELS = Contract(
    "xmr.dense_labels",
    1,
    (tensor_table("dense"),),
    "what queries are multiplied with, and vectors of labels by their texts and by their rows; a baseline",
)
TOWERS = Contract(
    "xmr.towers",
    1,
    (tensor_table("towers"),),
    "a two-tower network: what hashed n-grams of queries are multiplied with, vectors of labels, document frequencies",
)
COMPARISON = Contract(
    "xmr.comparison",
    1,
    (_FIGURES,),
    "the ranker and its baselines on the same test queries, whole and by label frequency",
)
SWEEP = Contract(
    "xmr.sweep", 1, (_FIGURES,), "what recall costs: figures of the ranker pruned at thresholds and searched with beams"
)
RANKER = Contract(
    "xmr.ranker",
    1,
    (MEMBERS,),
    "a ranker that answers: the artifacts that belong together",
)

CONTRACTS = (
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
    RANKER,
)
