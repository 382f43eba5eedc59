"""The graph of an index that another library built, over the rows that the pipeline has today."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.exchanged import ExchangedIndex, ExchangeError, capacity
from fingerpost.tasks.ann.faiss_format import read_faiss
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.growth import GrowthCounters, changed_graph
from fingerpost.tasks.ann.hnsw import HnswParams
from fingerpost.tasks.ann.hnswlib_format import read_hnswlib
from fingerpost.tasks.ann.search import Metric

#: Maximum difference of a number from that in the file, as a fraction of the row's largest.
_TOLERANCE = 1e-5
_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class ImportedGraph:
    """A graph over today's rows, made of a file's.

    max_neighbors: of the file. changed: rows whose vector is not the file's, which were taken out and inserted again.
    """

    graph: Graph
    counters: GrowthCounters
    max_neighbors: int
    changed: int


def names_metric(content: NDArray[np.uint8]) -> bool:
    """Whether the file of an index, uint8 (bytes,), says how vectors are compared, as those of hnswlib do not."""
    # Files of faiss begin with the kind of index in four letters, those of hnswlib with a place of eight bytes that is 0.
    return bool(content[:8].any())


def read_index(content: NDArray[np.uint8], *, metric: Metric | None, name: str) -> ExchangedIndex:
    """The index of a file of faiss or hnswlib, uint8 (bytes,), told apart by how it begins.

    metric: how vectors are compared: hnswlib's files do not say it, and those of faiss know no cosine; None is what a
    file of faiss says, and l2 of hnswlib. ``name`` is that of the file in errors. ExchangeError for another file, and for
    one whose metric is another.
    """
    if not names_metric(content):
        return read_hnswlib(content, metric=metric or "l2", name=name)
    index = read_faiss(content, name=name)
    if metric is None:
        return index
    if metric not in (index.metric, "cosine"):
        raise ExchangeError(
            f"{name}: expected an index that compares vectors by {metric}, found {index.metric}; set ann.hnsw.metric to"
            f" {index.metric}"
        )
    return replace(index, metric=metric)


def imported_graph(
    index: ExchangedIndex,
    rows: NDArray[np.int64],
    vectors: NDArray[np.float32],
    params: HnswParams,
    *,
    name: str,
    threads: int = 1,
) -> ImportedGraph:
    """The graph over vectors float32 (n, d), of length one where cosine compares them.

    rows: int64 (n,), the row of the file with the same id, -1 for none, each once. Rows that the file lacks or has with
    another vector are inserted, its others taken out; rows that no search reaches receive an edge. params: metric of the
    kernels and seed; the file says the others. ExchangeError where the file has no row as it is today.
    """
    if index.dimensions != vectors.shape[1]:
        raise ExchangeError(
            f"{name}: expected vectors of {vectors.shape[1]} numbers as the input has, found {index.dimensions}; give the"
            " index of these vectors"
        )
    origin = _same(index, rows, vectors)
    named = int((rows >= 0).sum())
    if not (origin >= 0).any():
        found = f"{named} with other vectors" if named else "none of their ids"
        raise ExchangeError(
            f"{name}: expected the vectors of the input's {len(vectors)} rows under their ids (for cosine scaled to length"
            f" one), found {found}; give the rows the ids that the index has (without a map of ids: 0 to {index.size - 1}),"
            " or set ann.hnsw.metric to its metric"
        )
    own = replace(
        params,
        max_neighbors=capacity(index.graph, index.max_neighbors),
        ef_construction=max(1, index.ef_construction),
    )
    graph, counters = changed_graph(vectors, index.graph, origin, own, threads=threads)
    return ImportedGraph(graph, counters, own.max_neighbors, named - counters.kept)


def _same(index: ExchangedIndex, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows of the file that have the same vector, -1 for the others."""
    origin = np.full(len(rows), -1, np.int64)
    for begin in range(0, len(rows), _BLOCK_ROWS):
        mine = begin + np.flatnonzero(rows[begin : begin + _BLOCK_ROWS] >= 0)
        now, then = vectors[mine], index.vectors[rows[mine]]
        near = np.abs(now - then).max(axis=1) <= _TOLERANCE * np.abs(now).max(axis=1)
        origin[mine[near]] = rows[mine[near]]
    return origin
