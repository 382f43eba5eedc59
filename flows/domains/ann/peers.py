"""Other libraries' graphs over the same vectors, where they are installed. Imports none of them until it is asked to."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.flows.domains.ann.report.search_plots import SearchPoint
from fingerpost.schemas.errors import FingerpostError
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.held_out import AskedVectors, recalls
from fingerpost.tasks.ann.search import SearchCounters, SearchResult
from fingerpost.tasks.ann.search_tuning import CertificateParams, search_widths

#: Queries, number of neighbours and search width to ids (q, k), -1 for none.
_Search = Callable[[NDArray[np.float32], int, int], NDArray[np.int64]]
#: Recall beyond which no wider search is measured.
_ENOUGH = 0.998


@dataclass(frozen=True)
class PeerGraph:
    """Parameters of a build: maximum degree above level 0, and width of the search during it."""

    max_neighbors: int
    ef_construction: int


def installed_peers() -> dict[str, Any]:
    """The libraries that are installed, by name; FingerpostError where none is."""
    found = {}
    for name in _BUILDERS:
        try:
            found[name] = import_module(name)
        except ImportError:
            continue
    if not found:
        raise FingerpostError(
            "--peers: expected faiss or hnswlib in this environment, found neither; install faiss-cpu or hnswlib, or leave"
            " --peers out"
        )
    return found


def measure_peers(
    libraries: Mapping[str, Any],
    vectors: NDArray[np.float32],
    removed: NDArray[np.int64],
    metric: str,
    asked: AskedVectors,
    graph: PeerGraph,
    params: CertificateParams,
) -> dict[str, list[SearchPoint]]:
    """Recall and speed on one thread by width of each library, over the rows that are not ``removed``."""
    rows = np.setdiff1d(np.arange(len(vectors)), removed)
    found = {}
    for name, library in libraries.items():
        search = _BUILDERS[name](library, np.ascontiguousarray(vectors[rows]), metric, graph)
        found[name] = _points(search, rows, vectors, metric, asked, params)
    return found


def _points(
    search: _Search,
    rows: NDArray[np.int64],
    vectors: NDArray[np.float32],
    metric: Any,
    asked: AskedVectors,
    params: CertificateParams,
) -> list[SearchPoint]:
    points = []
    for width in search_widths(params.k, params.widest):
        times = []
        for _ in range(params.repeats):
            started = time.perf_counter()
            ids = search(asked.vectors, params.k, width)
            times.append(time.perf_counter() - started)
        known = np.where(ids < 0, NONE, rows[np.maximum(ids, 0)]).astype(np.uint32)
        result = SearchResult(known, np.zeros(known.shape, np.float32), SearchCounters())
        recall = float(recalls(result, asked, vectors, metric).mean())
        points.append(SearchPoint(width, recall, 0.0, 0.0, asked.size / max(float(np.median(times)), 1e-12)))
        if recall >= _ENOUGH:
            break
    return points


def _faiss(library: Any, rows: NDArray[np.float32], metric: str, graph: PeerGraph) -> _Search:
    threads = library.omp_get_max_threads()
    kind = library.METRIC_L2 if metric == "l2" else library.METRIC_INNER_PRODUCT
    index = library.IndexHNSWFlat(rows.shape[1], graph.max_neighbors, kind)
    index.hnsw.efConstruction = graph.ef_construction
    index.add(rows)

    def search(queries: NDArray[np.float32], k: int, ef: int) -> NDArray[np.int64]:
        index.hnsw.efSearch = ef
        library.omp_set_num_threads(1)
        try:
            return np.asarray(index.search(queries, k)[1], dtype=np.int64)
        finally:
            library.omp_set_num_threads(threads)

    return search


def _hnswlib(library: Any, rows: NDArray[np.float32], metric: str, graph: PeerGraph) -> _Search:
    index = library.Index(space=metric, dim=rows.shape[1])
    index.init_index(
        max_elements=len(rows), M=graph.max_neighbors, ef_construction=graph.ef_construction, random_seed=1
    )
    index.add_items(rows)

    def search(queries: NDArray[np.float32], k: int, ef: int) -> NDArray[np.int64]:
        index.set_ef(max(ef, k))
        return np.asarray(index.knn_query(queries, k=k, num_threads=1)[0], dtype=np.int64)

    return search


_BUILDERS: dict[str, Callable[[Any, NDArray[np.float32], str, PeerGraph], _Search]] = {
    "faiss": _faiss,
    "hnswlib": _hnswlib,
}
