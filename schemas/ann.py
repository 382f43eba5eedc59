"""The contracts of the ann domain: graph, FINGER tables, neighbours, tuning, evaluations and the released index."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.chosen_settings import CHOSEN, SETTINGS
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.matrices import dense_table, tensor_table
from fingerpost.schemas.packed_index import PACKED, PACKED_TEXTS
from fingerpost.schemas.releases import MEMBERS

_FIGURES = Table(
    "figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"), own_words=True
)

GRAPH = Contract("ann.graph", 1, (tensor_table("graph"),), "the HNSW graph: adjacency by level and entry points")
GRAPH_SHARDS = Contract(
    "ann.graph_shards",
    1,
    (tensor_table("graph"),),
    "the HNSW graphs of ranges of the rows, one file for each, of which one graph is made",
)
CHANGES = Contract(
    "ann.changes",
    1,
    (Table("rows", (f.Field("before", f.pa.int64(), "the row of the earlier index, -1 for none"),)),),
    "the rows of an index that an earlier one had with the same id and vector",
)
#: Of indexes of an earlier version, which are opened as they are.
FINGER_BASIS = Contract(
    "ann.finger_basis",
    1,
    (tensor_table("basis"), dense_table("projections")),
    "the residual directions, their statistics by rank, and the projection of every vector onto them",
)
FINGER_TABLES = Contract(
    "ann.finger_tables",
    1,
    (tensor_table("tables"),),
    "the tables from which FINGER estimates distances, by node and edge, one file per range of nodes",
)
FINGER_CODES = Contract(
    "ann.finger_codes",
    1,
    (tensor_table("codes"), dense_table("projections")),
    "the directions, bits and margins of FINGER's estimates, the codes of the nodes that searches begin from, and the"
    " projection of every vector onto the directions",
)
FINGER_BLOCKS = Contract(
    "ann.finger_blocks",
    1,
    (tensor_table("blocks"),),
    "the coded neighbours of every node, from which FINGER estimates distances, one file per range of nodes",
)
NEIGHBORS = Contract(
    "ann.neighbors",
    1,
    (Table("neighbors", (f.NEIGHBORS, f.DISTANCES), compression="none"),),
    "the nearest neighbours of every document, padded with 4294967295 and infinity",
)
EVALUATION = Contract("ann.evaluation", 1, (_FIGURES,), "recall and work of the searches against exact search")
CODES = Contract(
    "ann.codes",
    1,
    (tensor_table("codes"),),
    "the map from vectors to the short codes that candidates are found by",
)
SPEEDS = Contract(
    "ann.speeds", 1, (_FIGURES,), "recall, work and memory of the ways to search an index, on queries that it lacks"
)
CERTIFICATE = Contract(
    "ann.certificate",
    1,
    (
        SETTINGS,
        Table(
            "tried",
            (
                f.Field("plan", f.STRING, "a way to search the index", nonempty=True),
                f.Field("on", f.pa.bool_(), "whether it was chosen"),
                f.Field("reason", f.STRING, "why, in a sentence", nonempty=True),
            ),
            key=("plan",),
            own_words=True,
        ),
        Table(
            "curve",
            (
                f.Field("ef", f.pa.int64(), "width of the search"),
                f.Field("recall", f.pa.float64(), "mean recall", finite=True),
                f.Field("low", f.pa.float64(), "lower bound of it on queries alike", finite=True),
                f.Field("high", f.pa.float64(), "upper bound of it", finite=True),
                f.Field("distances", f.pa.float64(), "full distances per query", finite=True),
                f.Field("estimates", f.pa.float64(), "estimated distances per query", finite=True),
            ),
            key=("ef",),
        ),
    ),
    "how an index is searched, and the recall that it then reaches by the width of the search, with bounds",
)
RETRIEVAL = Contract(
    "ann.retrieval",
    1,
    (
        _FIGURES,
        Table(
            "samples",
            (
                f.Field("query", f.STRING, "a query", nonempty=True),
                f.Field("rank", f.pa.int64(), "from 1"),
                f.ID,
                f.TITLE,
            ),
        ),
    ),
    "known-item retrieval of lexical, dense and fused search and of plain BM25, and sample answers",
)
TUNING = Contract(
    "ann.tuning",
    1,
    (SETTINGS, CHOSEN, _FIGURES),
    "how texts are answered: what was chosen on questions made from the documents or given, and what each part reaches",
)
JUDGED = Contract(
    "ann.judged",
    1,
    (
        # A query without an id is its own key: it stands in the text too.
        Table("queries", (f.QUERY_ID, f.TEXT, f.PURPOSE), key=("id",), holds_keys=("id", "text")),
        Table("judgements", (f.JUDGED_QUERY, f.JUDGED_DOCUMENT, f.GRADE), key=("query", "document")),
    ),
    "judged queries, half of which answering is tuned on, and the grades of documents for them",
)
JUDGEMENT = Contract(
    "ann.judgement",
    1,
    (
        _FIGURES,
        Table("queries", (f.QUERY_ID, f.METHOD, f.JUDGED_BY, *f.QUERY_METRICS), key=("id", "method")),
    ),
    "metrics of lexical, dense and fused search and of plain BM25 on judged queries, in the mean and for each query",
)
INDEX = Contract(
    "ann.index",
    1,
    (MEMBERS,),
    "a released index: the artifacts that it consists of",
)

CONTRACTS = (
    GRAPH,
    GRAPH_SHARDS,
    CHANGES,
    FINGER_BASIS,
    FINGER_TABLES,
    FINGER_CODES,
    FINGER_BLOCKS,
    NEIGHBORS,
    EVALUATION,
    CODES,
    SPEEDS,
    CERTIFICATE,
    PACKED,
    PACKED_TEXTS,
    RETRIEVAL,
    TUNING,
    JUDGED,
    JUDGEMENT,
    INDEX,
)
