"""hnswlib's files of HNSW graphs over float32 vectors, in the spaces l2, ip and cosine.

Source: hnswlib 0.8.0, hnswalg.h (saveIndex, loadIndex). All numbers are little-endian. A row of level 0 is: number of
neighbours (uint16), a flag byte whose first bit marks deleted rows, a free byte, maxM0 neighbours (uint32), the vector,
the label (uint64). The lists of upper levels follow, row by row, each after its size in bytes (uint32). The file names
neither the space nor the type of the values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
from fingerpost.tasks.ann.search import Metric, check_metric

_DELETED = 1


@dataclass(frozen=True)
class _Header:
    """The numbers at the beginning of a file, in its order."""

    offset_level0: int
    max_elements: int
    count: int
    row_bytes: int
    label_at: int
    data_at: int
    top: int
    entry: int
    max_m: int
    max_m0: int
    m: int
    multiplier: float
    ef_construction: int

    #: Of each number, its type.
    TYPES = ("<u8",) * 6 + ("<i4", "<u4") + ("<u8",) * 3 + ("<f8", "<u8")


def read_hnswlib(
    content: NDArray[np.uint8], *, metric: Metric, dimensions: int | None = None, name: str = "hnswlib index"
) -> ExchangedIndex:
    """The index of a file's bytes, uint8 (bytes,); ``name`` is that of the file in errors.

    metric: the space, which the file does not name. dimensions: an error if the file has others. ids: the labels as hnswlib
    answers with them, uint64 where one is above 2^63, as hashes are and negative labels become. Memory: the vectors and lists,
    once. Raises ExchangeError for a damaged or incomplete file, and for one that does not fit.
    """
    check_metric(metric)
    source = Bytes(content, name)
    head = _header(source)
    found = (head.label_at - head.data_at) // 4
    if dimensions is not None and dimensions != found:
        raise ExchangeError(f"{name}: expected {dimensions} dimensions, found {found}; give the dimensions of the file")
    rows = source.array(np.uint8, head.count * head.row_bytes, "rows").reshape(head.count, head.row_bytes)
    vectors = _columns(rows, head.data_at, found, "<f4").astype(np.float32)
    if not np.isfinite(vectors).all():
        raise source.fail("finite float32 numbers", "NaN or infinity, as values of another type give")
    counts = _columns(rows, 0, 1, "<u2")[:, 0].astype(np.int64)
    if counts.max() > head.max_m0:
        raise source.fail(f"at most {head.max_m0} neighbours of a row", f"{counts.max()}")
    words = rows[:, 4 : head.data_at].copy().view("<u4").reshape(-1)
    starts = np.arange(head.count, dtype=np.int64) * head.max_m0
    lists = [LevelLists(np.arange(head.count, dtype=np.uint32), words, starts, head.max_m0, counts)]
    levels, upper = _upper(source, head)
    source.end()
    labels = _columns(rows, head.label_at, 1, "<u8")[:, 0].astype(np.uint64)
    return ExchangedIndex(
        vectors,
        graph_of_lists(levels, [*lists, *upper], head.entry, name=name),
        labels if labels.max() > np.iinfo(np.int64).max else labels.astype(np.int64),
        metric,
        head.max_m,
        max(head.ef_construction, 1),
        (rows[:, 2] & _DELETED).astype(np.bool_),
    )


def _header(source: Bytes) -> _Header:
    values = [source.array(kind, 1, "the header")[0].item() for kind in _Header.TYPES]
    head = _Header(*values)
    sizes = (head.data_at, head.label_at - head.data_at, head.row_bytes - head.label_at)
    fits = sizes[0] == 4 + 4 * head.max_m0 and sizes[1] >= 4 and sizes[1] % 4 == 0 and sizes[2] == 8
    if head.offset_level0 != 0 or not fits or not 1 <= head.max_m <= 2**16 or not 1 <= head.max_m0 < 2**16:
        raise source.fail("the header of an index", "other numbers")
    if not 0 <= head.top < MAX_LEVELS:
        raise source.fail(f"at most {MAX_LEVELS} levels", f"{head.top + 1}")
    if not 1 <= head.count <= head.max_elements or head.count > source.left // head.row_bytes:
        raise source.fail(f"{head.count} rows of {head.row_bytes} bytes, at least one", f"{source.left} bytes")
    return head


def _columns(rows: NDArray[np.uint8], at: int, count: int, dtype: str) -> NDArray[Any]:
    """Some values of each row, (n, count)."""
    size = np.dtype(dtype).itemsize
    return rows[:, at : at + count * size].copy().view(dtype)


def _upper(source: Bytes, head: _Header) -> tuple[NDArray[np.int64], list[LevelLists]]:
    """The highest level of each row, and the lists of levels 1 and up."""
    if source.left % 4:
        raise source.fail("lists of whole numbers", f"{source.left} bytes")
    words = source.array(np.uint32, source.left // 4, "lists")
    levels, places = _places(source, words, head)
    if int(levels.max()) != head.top:
        raise source.fail(f"{head.top + 1} levels", f"{int(levels.max()) + 1}")
    stride = head.max_m + 1
    lists = []
    for level in range(1, int(levels.max()) + 1):
        nodes = np.flatnonzero(levels >= level)
        heads = places[nodes] + (level - 1) * stride
        # As on level 0, the number of neighbours has the lower 16 bits.
        counts = (words[heads] & 0xFFFF).astype(np.int64)
        if counts.max() > head.max_m:
            raise source.fail(f"at most {head.max_m} neighbours above level 0", f"{counts.max()}")
        lists.append(LevelLists(nodes.astype(np.uint32), words, heads + 1, head.max_m, counts))
    return levels, lists


def _places(source: Bytes, words: NDArray[Any], head: _Header) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The highest level of each row, and where its lists begin in the words after the rows."""
    levels, places = np.zeros(head.count, dtype=np.int64), np.zeros(head.count, dtype=np.int64)
    # Most rows have no lists: their sizes are zeros, which are skipped together.
    nonzero, at, row, stride = np.flatnonzero(words), 0, 0, 4 * (head.max_m + 1)
    while True:
        following = int(np.searchsorted(nonzero, at))
        begin = int(nonzero[following]) if following < len(nonzero) else len(words)
        row += begin - at
        if begin == len(words):
            break
        size = int(words[begin])
        if row >= head.count or size % stride or size // 4 > len(words) - begin - 1:
            raise source.fail(f"lists of {stride} bytes for {head.count} rows", f"{size} bytes for row {row}")
        levels[row], places[row] = size // stride, begin + 1
        at, row = begin + 1 + size // 4, row + 1
    if row != head.count:
        raise source.fail(f"the lists of {head.count} rows", f"those of {row}")
    return levels, places


def write_hnswlib(index: ExchangedIndex) -> Iterator[bytes | memoryview]:
    """The parts of a file that ``hnswlib.Index.load_index`` opens, in the space ``index.metric``.

    Labels are the ids. For cosine the vectors are scaled to length one, as hnswlib stores them. Raises ExchangeError for
    a graph with several entry points, for negative ids and for lists longer than 65,535.
    """
    graph, entry = index.graph, single_entry(index.graph)
    m, levels = capacity(graph, index.max_neighbors), node_levels(graph)
    if index.ids.min() < 0 or 2 * m >= 2**16:
        raise ExchangeError(
            f"index: expected ids of at least 0 and lists of less than 65,536, got {index.ids.min()} and {2 * m}"
        )
    links = 4 + 8 * m
    label_at = links + 4 * index.dimensions
    values: tuple[float, ...] = (0, index.size, index.size, label_at + 8, label_at, links, len(graph.upper), entry)
    values = (*values, m, 2 * m, m, 1 / np.log(m), index.ef_construction)
    yield b"".join(np.array(v, dtype=kind).tobytes() for v, kind in zip(values, _Header.TYPES, strict=True))
    yield from _written_rows(index, stored_vectors(index.vectors, index.metric), m)
    yield from _written_upper(index, levels, m)


def _written_rows(index: ExchangedIndex, vectors: NDArray[np.float32], m: int) -> Iterator[memoryview]:
    kind = np.dtype(
        [
            ("count", "<u2"),
            ("flag", "u1"),
            ("free", "u1"),
            ("links", "<u4", (2 * m,)),
            ("vector", "<f4", (index.dimensions,)),
            ("label", "<u8"),
        ]
    )
    done = 0
    for table in padded_lists(index.graph.indptr, index.graph.indices, 2 * m, 0, np.uint32):
        mine = slice(done, done + len(table))
        rows = np.zeros(len(table), dtype=kind)
        rows["count"], rows["flag"] = index.graph.degrees[mine], index.deleted[mine] * _DELETED
        rows["links"], rows["vector"], rows["label"] = table, vectors[mine], index.ids[mine]
        done += len(table)
        yield rows.view(np.uint8).data


def _written_upper(index: ExchangedIndex, levels: NDArray[np.int64], m: int) -> Iterator[bytes]:
    """The sizes and lists of all rows."""
    stride = m + 1
    sizes = 1 + levels * stride
    begins = np.concatenate([[0], np.cumsum(sizes)])
    words = np.zeros(int(begins[-1]), dtype="<u4")
    words[begins[:-1]] = 4 * stride * levels
    for number, level in enumerate(index.graph.upper, start=1):
        heads = begins[level.nodes] + 1 + (number - 1) * stride
        words[heads] = np.diff(level.indptr)
        done = 0
        for table in padded_lists(level.indptr, level.indices, m, 0, np.uint32):
            words[heads[done : done + len(table), None] + 1 + np.arange(m)] = table
            done += len(table)
    yield words.tobytes()
