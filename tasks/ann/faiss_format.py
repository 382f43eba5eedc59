"""faiss' files of HNSW graphs over plain vectors: ``IndexHNSWFlat``, alone or in an ``IndexIDMap``.

Either may be in an ``IndexPreTransform`` that scales vectors to length one (``L2norm`` of index_factory), and it in the map.
Source: faiss 1.15.1, impl/index_write.cpp (write_index_header, write_HNSW, write_VectorTransform). All numbers are
little-endian; a vector is its length (int64) and its values.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.exchanged import (
    MAX_LEVELS,
    Bytes,
    ExchangedIndex,
    ExchangeError,
    LevelLists,
    capacity,
    graph_of_lists,
    node_levels,
    padded_lists,
    single_entry,
    stored_vectors,
)
from fingerpost.tasks.ann.search import Metric

_HNSW, _ID_MAPS, _FLAT = b"IHNf", (b"IxMp", b"IxM2"), (b"IxF2", b"IxFI", b"IxFl")
_TRANSFORMED, _SCALED = b"IxPT", b"VNrm"
_METRICS: dict[int, Metric] = {0: "ip", 1: "l2"}
#: What follows an index of each kind that is not read, to say so.
_OTHERS = {
    b"IHNp": "a graph over product-quantised vectors",
    b"IHNs": "a graph over scalar-quantised vectors",
    b"IHN2": "a graph over two-level codes",
    b"IHc2": "a graph in the form of cagra",
    b"IHfP": "a graph over vectors in the layout of panorama",
    b"IxRF": "an index that a second one refines",
}
#: The number that faiss writes, twice, where its header has nothing.
_DUMMY = 1 << 20
#: Levels with a smaller probability are not listed.
_LEAST_PROBABILITY = 1e-9
_EF_SEARCH = 16


def read_faiss(content: NDArray[np.uint8], *, name: str = "faiss index") -> ExchangedIndex:
    """The index of a file's bytes, uint8 (bytes,); ``name`` is that of the file in errors.

    Memory: the vectors and lists, once. ids: those of an IndexIDMap, else the row numbers. metric: "cosine" where the index
    scales vectors to length one itself, else "ip" for every inner product; say yourself that vectors of length one are meant
    for cosine. Raises ExchangeError for another kind of index, and for a damaged or incomplete file.
    """
    source = Bytes(content, name)
    index = _index(source, frozenset({_TRANSFORMED, *_ID_MAPS}))
    source.end()
    return index


def _index(source: Bytes, around: frozenset[bytes]) -> ExchangedIndex:
    """The next index, which may be in others of the kinds ``around``."""
    kind = _kind(source)
    if kind == _HNSW:
        return _hnsw(source)
    if kind not in around:
        raise source.fail("IndexHNSWFlat (IHNf)", _OTHERS.get(kind, f"an index of kind {kind!r}"))
    rows, dimensions, _ = _header(source)
    if kind == _TRANSFORMED:
        _scaling(source, dimensions)
        index = replace(_index(source, around - {kind}), metric="cosine")
    else:
        index = _index(source, around - set(_ID_MAPS))
        ids = _vector(source, np.int64, "ids").astype(np.int64)
        if len(ids) != index.size:
            raise source.fail(f"{index.size} ids, one per vector", f"{len(ids)}")
        index = replace(index, ids=ids)
    if (rows, dimensions) != (index.size, index.dimensions):
        raise source.fail(f"{index.size} vectors of {index.dimensions} dimensions", f"{rows} of {dimensions}")
    return index


def _scaling(source: Bytes, dimensions: int) -> None:
    """Passes the transforms of an index; ExchangeError unless all of them only scale vectors to length one."""
    count = source.number(np.int32, "number of transforms")
    if count < 1:
        raise source.fail("a transform of vectors", f"{count}")
    for _ in range(count):
        kind = _kind(source)
        if kind != _SCALED:
            raise source.fail("vectors that are stored as given, or scaled to length one (VNrm)", f"transform {kind!r}")
        norm = source.real(np.float32, "norm")
        sizes = [source.number(np.int32, "dimensions") for _ in range(2)]
        trained = source.number(np.uint8, "trained")
        if (norm, sizes, trained) != (2.0, [dimensions] * 2, 1):
            raise source.fail("Euclidean length", f"norm {norm:g} of {sizes[0]} dimensions")


def _kind(source: Bytes) -> bytes:
    return source.array(np.uint8, 4, "the kind of index").tobytes()


def _header(source: Bytes) -> tuple[int, int, int]:
    """Rows, dimensions and metric."""
    dimensions, rows = source.number(np.int32, "dimensions"), source.number(np.int64, "vectors")
    for _ in range(2):
        source.number(np.int64, "filling")
    trained, metric = source.number(np.uint8, "trained"), source.number(np.int32, "metric")
    if dimensions < 1 or rows < 1 or trained != 1:
        raise source.fail("a filled index", f"{rows} vectors of {dimensions} dimensions")
    if metric not in _METRICS:
        raise source.fail("squared L2 (1) or inner product (0)", f"metric {metric}")
    return rows, dimensions, metric


def _vector(source: Bytes, dtype: type[np.generic], what: str) -> NDArray[Any]:
    return source.array(dtype, source.number(np.int64, f"number of {what}"), what)


def _hnsw(source: Bytes) -> ExchangedIndex:
    """The index after its kind."""
    rows, dimensions, metric = _header(source)
    _vector(source, np.float64, "probabilities of levels")
    widths = _vector(source, np.int32, "neighbours by level").astype(np.int64)
    tops = _vector(source, np.int32, "levels of nodes").astype(np.int64)
    offsets = _vector(source, np.uint64, "offsets of lists").astype(np.int64)
    neighbours = _vector(source, np.int32, "neighbours")
    entry, top = source.number(np.int32, "entry point"), source.number(np.int32, "top level")
    ef_construction = source.number(np.int32, "efConstruction")
    for what in ("efSearch", "upper_beam"):
        source.number(np.int32, what)
    if len(tops) != rows or tops.min() < 1 or tops.max() != top + 1 or not top + 1 < len(widths) <= MAX_LEVELS:
        raise source.fail(f"levels of {rows} nodes up to {top}", f"{len(tops)} of {len(widths) - 1} levels")
    if widths[0] != 0 or (np.diff(widths) < 0).any():
        raise source.fail("numbers of neighbours that ascend by level from 0", f"{widths[:5].tolist()}")
    ends = np.concatenate([[0], np.cumsum(widths[tops])])
    if not np.array_equal(offsets, ends) or offsets[-1] != len(neighbours):
        raise source.fail("offsets that follow from the levels of nodes", f"{len(neighbours)} neighbours")
    lists = []
    for level in range(top + 1):
        nodes = np.flatnonzero(tops > level).astype(np.uint32)
        starts = offsets[nodes] + widths[level]
        lists.append(LevelLists(nodes, neighbours, starts, int(widths[level + 1] - widths[level])))
    graph = graph_of_lists(tops - 1, lists, entry, name=source.name)
    upper = int(widths[2] - widths[1]) if len(widths) > 2 else 0
    return ExchangedIndex(
        _storage(source, rows, dimensions, metric),
        graph,
        np.arange(rows, dtype=np.int64),
        _METRICS[metric],
        max(upper, int(widths[1] + 1) // 2, 1),
        max(ef_construction, 1),
    )


def _storage(source: Bytes, rows: int, dimensions: int, metric: int) -> NDArray[np.float32]:
    """The vectors, which follow the graph."""
    kind = _kind(source)
    if kind not in _FLAT:
        raise source.fail("the vectors (IxF2 or IxFI)", "none" if kind == b"null" else f"{kind!r}")
    if _header(source) != (rows, dimensions, metric):
        raise source.fail(f"{rows} vectors of {dimensions} dimensions", "others")
    values = _vector(source, np.float32, "values of vectors")
    if len(values) != rows * dimensions:
        raise source.fail(f"{rows} x {dimensions} values", f"{len(values)}")
    vectors = values.astype(np.float32).reshape(rows, dimensions)
    if not np.isfinite(vectors).all():
        raise source.fail("finite numbers", "NaN or infinity")
    return vectors


def write_faiss(index: ExchangedIndex) -> Iterator[bytes | memoryview]:
    """The parts of a file that ``faiss.read_index`` opens; an IndexIDMap where ids are not the row numbers.

    For cosine the vectors are scaled to length one and compared by inner product: scale queries too, or compare ranks
    only. Raises ExchangeError for a graph with several entry points, and for deleted rows, which faiss cannot mark.
    """
    if index.deleted.any():
        raise ExchangeError(
            f"index: expected no deleted rows, got {int(index.deleted.sum())}; remove them by compaction first"
        )
    if index.size > np.iinfo(np.int32).max:
        raise ExchangeError(f"index: expected fewer than 2^31 rows, got {index.size}; export it by shards")
    if index.ids.max() > np.iinfo(np.int64).max:
        raise ExchangeError(f"index: expected ids below 2^63, got {index.ids.max()}; number the rows")
    entry, own = single_entry(index.graph), not np.array_equal(index.ids, np.arange(index.size))
    vectors, metric = stored_vectors(index.vectors, index.metric), 1 if index.metric == "l2" else 0
    head = _written_header(index.size, index.dimensions, metric)
    if own:
        yield _ID_MAPS[0] + head
    yield _HNSW + head
    yield from _written_graph(index, entry)
    yield (_FLAT[0] if metric else _FLAT[1]) + head + np.int64(vectors.size).tobytes()
    yield np.ascontiguousarray(vectors, dtype="<f4").reshape(-1).view(np.uint8).data
    if own:
        yield _written(index.ids, "<i8")


def _written_header(rows: int, dimensions: int, metric: int) -> bytes:
    fields = [("<i4", dimensions), ("<i8", rows), ("<i8", _DUMMY), ("<i8", _DUMMY), ("u1", 1), ("<i4", metric)]
    return b"".join(np.array(value, dtype=dtype).tobytes() for dtype, value in fields)


def _written(values: NDArray[Any] | list[float] | list[int], dtype: str) -> bytes:
    array = np.ascontiguousarray(values, dtype=dtype)
    return np.array(len(array), dtype="<i8").tobytes() + array.tobytes()


def _written_graph(index: ExchangedIndex, entry: int) -> Iterator[bytes]:
    graph, levels = index.graph, node_levels(index.graph)
    m = capacity(graph, index.max_neighbors)
    probabilities, widths = level_probabilities(m), [0]
    # A graph may have more levels than are likely.
    for level in range(max(len(probabilities), len(graph.upper) + 1)):
        widths.append(widths[-1] + (m if level else 2 * m))
    sizes = np.array(widths)[levels + 1]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    yield _written(probabilities, "<f8") + _written(widths, "<i4") + _written(levels + 1, "<i4")
    yield _written(offsets, "<u8")
    neighbours = np.full(int(offsets[-1]), -1, dtype="<i4")
    every = np.arange(graph.size, dtype=np.uint32)
    parts = [(every, graph.indptr, graph.indices), *((u.nodes, u.indptr, u.indices) for u in graph.upper)]
    for level, (nodes, indptr, indices) in enumerate(parts):
        width, done = widths[level + 1] - widths[level], 0
        for table in padded_lists(indptr, indices, width, -1, np.int32):
            mine = nodes[done : done + len(table)]
            neighbours[(offsets[mine] + widths[level])[:, None] + np.arange(width)] = table
            done += len(table)
    yield np.array(len(neighbours), dtype="<i8").tobytes()
    yield neighbours.tobytes()
    yield np.array([entry, len(graph.upper), index.ef_construction, _EF_SEARCH, 1], dtype="<i4").tobytes()


def level_probabilities(max_neighbors: int) -> list[float]:
    """The probability of each level as faiss lists them in single precision, which it needs to add further vectors."""
    multiplier = np.float32(1 / np.log(np.float64(max_neighbors)))
    stays = np.float32(1) - np.exp(np.float32(-1) / multiplier)
    found: list[float] = []
    while (value := np.exp(np.float32(-len(found)) / multiplier) * stays) >= _LEAST_PROBABILITY:
        found.append(float(value))
    return found
