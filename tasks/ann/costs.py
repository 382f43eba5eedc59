"""What building an index will take, told before anything is computed: seconds, peak memory and bytes stored.

Memory and bytes follow from the size of what is held and written. Seconds are those of a build of a few of the rows on the
same machine, grown to all of them; what is no search is counted by numbers read and compared, at rates that were measured.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.build_cost import build_memory
from fingerpost.tasks.ann.edge_codes import EdgeCodeParams
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswParams

#: Rows of the build that is timed.
PROBE_ROWS = 8192
#: Power by which the seconds of a search grow with the rows beyond its logarithm, as these leave the caches: measured on
#: photographs' descriptors from 8,192 rows to a million.
_CACHES = 0.16
#: Seconds of a round of merging graphs in pairs, as a fraction of those of a build of all rows: measured with 8 graphs.
_MERGED = 0.4
#: Memory of a process that runs a flow, and of one that computes shards, in bytes.
_FLOW, _WORKER = 350e6, 230e6
#: Seconds until the processes of an executor have started.
_START = 4.0
#: Seconds for a number: read from a file and checked, compared exactly, packed.
_READ, _EXACT, _PACKED = 2.5e-8, 4.5e-11, 4.0e-8
#: Seconds for a query that is asked at all widths, several times.
_ASKED = 1.2e-3
#: Bytes of a document's id and other columns where these are written and held.
_KEY = 40.0
_FLOAT, _LINK, _LINE = 4, 4, 64
#: Columns of floats are filled up to a multiple of this.
_PADDED = 16


@dataclass(frozen=True)
class Cost:
    """Expected seconds, peak memory of a process in bytes, and bytes stored."""

    seconds: float
    peak: float
    stored: float = 0.0


@dataclass(frozen=True)
class Probe:
    """What a build of ``rows`` rows took: processor seconds, and the mean degree on level 0."""

    rows: int
    seconds: float
    degree: float


@dataclass(frozen=True)
class IndexWork:
    """What is to be built.

    whole: whether all values are whole numbers of 8 bits. threads: of kernels. workers: processes for shards, 0 where they run
    in that of the flow. asked, evaluated: queries of the certificate and of the evaluation. neighbors: neighbours listed for
    each document, 0 for none. shards: graphs that are built apart and merged, 1 for a single build.
    """

    rows: int
    dim: int
    whole: bool
    params: HnswParams
    threads: int
    workers: int
    asked: int
    evaluated: int
    neighbors: int
    shards: int = 1

    @property
    def built(self) -> HnswParams:
        """The parameters of the build itself: for cosine, vectors are stored scaled and compared by their product."""
        return replace(self.params, metric="ip") if self.params.metric == "cosine" else self.params


def probe(vectors: NDArray[np.float32], params: HnswParams, *, clock: Callable[[], float]) -> Probe:
    """The build of the first rows on one thread; ``clock`` gives processor seconds."""
    rows = np.ascontiguousarray(vectors[:PROBE_ROWS])
    started = clock()
    builder = HnswBuilder(rows, params)
    builder.insert_until(len(rows))
    seconds = clock() - started
    return Probe(len(rows), seconds, float(builder.graph().degrees.mean()))


def build_seconds(rows: int, timed: Probe) -> float:
    """Processor seconds of a build of all rows."""
    grown = _work(rows) / max(_work(timed.rows), 1.0)
    return timed.seconds * grown * max(rows / timed.rows, 1.0) ** _CACHES


def index_costs(work: IndexWork, timed: Probe) -> Mapping[str, Cost]:
    """The cost of each stage from vectors to an index, FINGER's tables apart."""
    n, d = work.rows, work.dim
    numbers, vectors = float(n) * d, float(n) * d * _FLOAT
    graph = n * (timed.degree * _LINK + 8)
    lists = n * (2 * work.params.max_neighbors + 1) * _LINK * 1.07
    store = float(n) * (d if work.whole else d * _FLOAT)
    packed = store + lists + n * _LINE
    build = build_seconds(n, timed)
    read, held = numbers * _READ, _FLOW + vectors
    # Vectors that are kept as they are lie in memory once.
    lent = 0.0 if work.whole or work.params.metric == "cosine" or d % _PADDED else vectors
    opened = held + 2 * graph + packed - lent + 0.1 * vectors

    def exact(queries: int) -> float:
        return numbers * queries * _EXACT

    single = Cost(read + build / work.threads**0.93, held + build_memory(n, d, work.built).total, graph)
    costs = (_sharded(work, timed, single) if work.shards > 1 else {"build_graph": single}) | {
        "fit_vector_codes": Cost(0.5 + read / 3, held + 0.1 * vectors),
        "measure_searches": Cost(4 * read + exact(work.asked // 4) + _PACKED * numbers + _ASKED * work.asked, opened),
        "certify_search": Cost(read + exact(work.asked) + _PACKED * numbers + _ASKED / 2 * work.asked, opened),
        "pack_index": Cost(read + _PACKED * numbers / 2, held + graph + packed - lent, packed + n * _KEY),
        "evaluate_index": Cost(
            2 * read + 2 * exact(work.evaluated) + _ASKED * work.evaluated, held + graph + lists + 0.25 * vectors
        ),
        "assemble_index": Cost(0.1, _FLOW),
    }
    if work.neighbors:
        # A search by codes takes about a third of an insertion.
        seconds = 0.3 * build / max(work.workers, 1)
        costs["find_neighbors"] = Cost(seconds, max(_FLOW, _WORKER + packed), n * work.neighbors * 8.4)
    return costs


def _sharded(work: IndexWork, timed: Probe, single: Cost) -> dict[str, Cost]:
    """The cost of graphs of shards, as many at a time as there are workers, and of merging them."""
    rows = -(-work.rows // work.shards)
    share, together = rows / work.rows, -(-work.shards // max(work.workers, 1))
    memory = build_memory(rows, work.dim, work.built).total + share * 4.0 * work.rows * work.dim
    built = _started(work.workers) + together * (build_seconds(rows, timed) + share * work.rows * work.dim * _READ)
    rounds = (work.shards - 1).bit_length()
    merged = work.rows * work.dim * _READ + rounds * _MERGED * build_seconds(work.rows, timed) / work.threads**0.93
    return {
        "build_graph_shards": Cost(built, max(_FLOW, _WORKER + memory), single.stored),
        "merge_graph_shards": Cost(merged, single.peak, single.stored),
    }


def vector_costs(rows: int, dim: int, *, stored_row: float, workers: int = 1) -> Mapping[str, Cost]:
    """The cost of importing documents with vectors.

    stored_row: bytes of a document as it is stored. workers: as of `IndexWork`.
    """
    numbers = float(rows) * dim
    vectors = numbers * _FLOAT
    return {
        "import_documents": Cost(
            rows * 1e-6 + numbers * 6e-8, _FLOW + 1.25 * vectors + 130.0 * rows, rows * stored_row
        ),
        "take_vectors": Cost(_started(workers) + numbers * 8e-8, _FLOW + 0.1 * vectors, vectors * 1.01),
    }


def _started(workers: int) -> float:
    """Seconds until shards are computed."""
    return _START if workers else 0.0


def _work(rows: int) -> float:
    """The sum of ln(i) over the rows."""
    return rows * math.log(rows) - rows + 1.0 if rows > 1 else 1.0


def finger_costs(work: IndexWork, timed: Probe, params: EdgeCodeParams) -> Mapping[str, Cost]:
    """The cost of FINGER's codes and tables; the directions are those given, or as many as measured for texts."""
    n, d = float(work.rows), float(work.dim)
    rank = params.rank or d
    projections, edges = n * rank * _FLOAT, n * timed.degree
    fitted = 0.4 + min(n, params.nodes) * timed.degree * d * 7e-9 + n * d * rank * 1.2e-10
    return {
        "fit_finger": Cost(fitted, _FLOW + n * d * _FLOAT + 3 * projections + 2.5e8, projections),
        "compute_finger_tables": Cost(
            _started(work.workers) / 4 + edges * d * 2.6e-8 / max(work.workers, 1),
            max(_FLOW, _WORKER + 2 * projections),
            edges * rank * 0.64 + n * 250,
        ),
    }


def with_finger(costs: Mapping[str, Cost], finger: Mapping[str, Cost]) -> Mapping[str, Cost]:
    """The costs of an index with those of FINGER, whose tables are in memory where its search is measured."""
    tables = sum(cost.stored for cost in finger.values())
    beside = {"measure_searches": 1.0, "evaluate_index": 2.0}
    held = {name: replace(cost, peak=cost.peak + beside.get(name, 0.0) * tables) for name, cost in costs.items()}
    return {**held, **finger}
