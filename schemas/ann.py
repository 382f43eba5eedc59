"""The contracts of the ann domain: graph, FINGER tables, neighbour table, evaluations and the released index."""

from schemas import fields as f
from schemas.contract import Contract, Table
from schemas.matrices import dense_table, tensor_table
from schemas.releases import MEMBERS

_FIGURES = Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric"))

GRAPH = Contract("ann.graph", 1, (tensor_table("graph"),), "the HNSW graph: adjacency by level and entry points")
FINGER_BASIS = Contract(
    "ann.finger_basis",
    1,
    (tensor_table("basis"), dense_table("projections")),
    "the residual directions, their statistics by rank, and every vector along them",
)
FINGER_TABLES = Contract(
    "ann.finger_tables",
    1,
    (tensor_table("tables"),),
    "per node and edge what FINGER estimates distances from, one file a range of nodes",
)
NEIGHBORS = Contract(
    "ann.neighbors",
    1,
    (Table("neighbors", (f.NEIGHBORS, f.DISTANCES), compression="none"),),
    "the nearest neighbours of every document; 4294967295 and infinity where there are fewer",
)
EVALUATION = Contract("ann.evaluation", 1, (_FIGURES,), "recall and work of the searches against exact search")
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
    "known-item retrieval of dense, re-ranked and BM25 search, and sample answers",
)
INDEX = Contract(
    "ann.index",
    1,
    (MEMBERS,),
    "a searchable index: the artifacts that belong together",
)

CONTRACTS = (GRAPH, FINGER_BASIS, FINGER_TABLES, NEIGHBORS, EVALUATION, RETRIEVAL, INDEX)
