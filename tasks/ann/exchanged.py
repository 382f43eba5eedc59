"""Indexes as they are exchanged with other libraries, and the bounded reading of their files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fingerpost.tasks.ann.graph import Graph, GraphError, UpperLevel
from fingerpost.tasks.ann.search import Metric, checked_vectors

#: Nodes whose lists are gathered at once, so that the indexes of a gather stay small beside the file.
_BLOCK = 1 << 16
#: Maximum number of levels of a graph that is read; ours count them in 8 bits, and even a billion nodes have fewer than 20.
MAX_LEVELS = 255


class ExchangeError(ValueError):
    """A file of another library that cannot be read, or an index that cannot be written as one."""


@dataclass(frozen=True)
class ExchangedIndex:
    """Vectors, their HNSW graph and their ids.

    vectors: float32 (n, d). graph: one entry point. ids: int64 (n,), or uint64 beyond it, distinct. metric: "cosine" where
    the vectors have length one and are compared by inner product. max_neighbors: maximum degree above level 0. ef_construction: width of
    the search during the build. deleted: bool (n,), the rows that searches pass but never return. Raises ExchangeError
    where these do not fit each other.
    """

    vectors: NDArray[np.float32]
    graph: Graph
    ids: NDArray[np.int64] | NDArray[np.uint64]
    metric: Metric
    max_neighbors: int
    ef_construction: int = 200
    deleted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        n = self.graph.size
        if len(self.deleted) == 0:
            object.__setattr__(self, "deleted", np.zeros(n, dtype=np.bool_))
        for name, rows in (("vectors", self.vectors), ("ids", self.ids), ("deleted", self.deleted)):
            if len(rows) != n:
                raise ExchangeError(f"{name}: expected {n} rows, one per node, got {len(rows)}; pass the graph's rows")
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32:
            raise ExchangeError(f"vectors: expected float32 (n, d), got {self.vectors.dtype} {self.vectors.shape}")
        if len(np.unique(self.ids)) < n:
            raise ExchangeError("ids: expected each once, got one of several rows; give every row an id of its own")

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.graph.size

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self.vectors.shape[1])


class Bytes:
    """The content of a file, read from its beginning in order; nothing larger than what is left is ever allocated.

    content: uint8 (bytes,), for example a mapped file. name: of the file, in errors.
    """

    def __init__(self, content: NDArray[np.uint8], name: str) -> None:
        self.content, self.name, self.at = content, name, 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.content) - self.at

    def fail(self, expected: str, found: str) -> ExchangeError:
        """The error for a part of the file that is not as expected."""
        return ExchangeError(
            f"{self.name}, byte {self.at}: expected {expected}, found {found}; the file is of another kind, damaged or"
            " incomplete: write it again"
        )

    def array(self, dtype: DTypeLike, count: int, what: str) -> NDArray[Any]:
        """The next ``count`` values as a view, little-endian and not aligned."""
        kind = np.dtype(dtype).newbyteorder("<")
        if count < 0 or count > self.left // kind.itemsize:
            raise self.fail(f"{count} values of {what} ({kind.itemsize} bytes each)", f"{self.left} bytes to the end")
        view = np.frombuffer(self.content, dtype=kind, count=count, offset=self.at)
        self.at += count * kind.itemsize
        return view

    def number(self, dtype: DTypeLike, what: str) -> int:
        """The next integer."""
        return int(self.array(dtype, 1, what)[0])

    def real(self, dtype: DTypeLike, what: str) -> float:
        """The next floating-point number."""
        return float(self.array(dtype, 1, what)[0])

    def end(self) -> None:
        """Raises ExchangeError unless everything was read."""
        if self.left:
            raise self.fail("the end of the file", f"{self.left} more bytes")


def graph_of_lists(levels: NDArray[np.int64], lists: Sequence["LevelLists"], entry_point: int, *, name: str) -> Graph:
    """The graph of nodes with a highest level each, int64 (n,), and their lists by level.

    A node in its own list is left out: it changes no search. ExchangeError where lists name nodes that there are not.
    """
    n = len(levels)
    if not 0 <= entry_point < n:
        raise ExchangeError(f"{name}: expected an entry point below {n}, found {entry_point}; build the index again")
    if levels[entry_point] != len(lists) - 1:
        raise ExchangeError(f"{name}: expected an entry point on the top level {len(lists) - 1}; build the index again")
    made = [level.packed(n, name=f"{name}, level {number}") for number, level in enumerate(lists)]
    upper = tuple(UpperLevel(level.nodes, *pair) for level, pair in zip(lists[1:], made[1:], strict=True))
    try:
        return Graph(*made[0], upper, np.array([entry_point], dtype=np.uint32))
    except GraphError as problem:
        raise ExchangeError(f"{name}: {problem}") from problem


class LevelLists:
    """The lists of one level in a table of words: node i has up to ``width`` ids from word ``starts[i]`` on.

    nodes: uint32 (m,) ascending. words: the table, integers. starts: int64 (m,). counts: int64 (m,), the ids of each
    node, or None where a negative id ends a list.
    """

    def __init__(
        self,
        nodes: NDArray[np.uint32],
        words: NDArray[Any],
        starts: NDArray[np.int64],
        width: int,
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        self.nodes, self._words, self._starts, self._width, self._counts = nodes, words, starts, width, counts

    def packed(self, n: int, *, name: str) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """The lists as index pointers int64 (m + 1,) and ids uint32, all below ``n``."""
        degrees, parts = [np.zeros(1, dtype=np.int64)], [np.zeros(0, dtype=np.uint32)]
        for begin in range(0, len(self.nodes), _BLOCK):
            ids, valid = self._block(slice(begin, begin + _BLOCK))
            valid &= ids != self.nodes[begin : begin + _BLOCK, None]
            kept = ids[valid]
            if len(kept) and not 0 <= int(kept.min()) <= int(kept.max()) < n:
                raise ExchangeError(
                    f"{name}: expected neighbours below {n}, found {int(kept.max())}; the file is damaged: write it"
                    " again"
                )
            degrees.append(valid.sum(axis=1))
            parts.append(kept.astype(np.uint32))
        return np.cumsum(np.concatenate(degrees), dtype=np.int64), np.concatenate(parts)

    def _block(self, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The ids of some nodes, (m, width), and which of them count."""
        columns = np.arange(self._width, dtype=np.int64)
        ids = self._words[self._starts[rows, None] + columns].astype(np.int64)
        if self._counts is not None:
            return ids, columns < self._counts[rows, None]
        return ids, np.logical_and.accumulate(ids >= 0, axis=1)


def padded_lists(
    indptr: NDArray[np.int64], indices: NDArray[np.uint32], width: int, padding: int, dtype: DTypeLike
) -> Iterator[NDArray[Any]]:
    """Lists as tables (rows, width) with padding at the end, a block of rows at a time."""
    for begin in range(0, len(indptr) - 1, _BLOCK):
        pointers = indptr[begin : begin + _BLOCK + 1]
        degrees = np.diff(pointers)
        table = np.full((len(degrees), width), padding, dtype=dtype)
        table[np.arange(width) < degrees[:, None]] = indices[pointers[0] : pointers[-1]]
        yield table


def node_levels(graph: Graph) -> NDArray[np.int64]:
    """The highest level of each node, int64 (n,)."""
    levels = np.zeros(graph.size, dtype=np.int64)
    for level in graph.upper:
        levels[level.nodes] += 1
    return levels


def single_entry(graph: Graph) -> int:
    """The one entry point of a graph; ExchangeError for several, which other libraries' files cannot hold."""
    if len(graph.entry_points) != 1:
        raise ExchangeError(
            f"graph: expected one entry point, as an HNSW graph has, got {len(graph.entry_points)}; export an HNSW graph"
        )
    return int(graph.entry_points[0])


def capacity(graph: Graph, max_neighbors: int) -> int:
    """The smallest M of which no list is longer than M, on level 0 than 2 M; at least ``max_neighbors`` and 2."""
    upper = max((int(np.diff(level.indptr).max(initial=0)) for level in graph.upper), default=0)
    return max(2, max_neighbors, upper, (int(graph.degrees.max(initial=0)) + 1) // 2)


def stored_vectors(vectors: ArrayLike, metric: Metric) -> NDArray[np.float32]:
    """The vectors as a library without cosine stores them: scaled to length one where cosine compares them."""
    rows = checked_vectors(vectors)
    if metric != "cosine":
        return rows
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not lengths.all():
        raise ExchangeError(
            f"vectors row {int(np.argmin(lengths))}: expected a vector of nonzero length for cosine, got zeros; leave it"
            " out"
        )
    scaled = rows if (np.abs(lengths - 1) <= 1e-6).all() else (rows / lengths[:, None]).astype(np.float32)
    return np.ascontiguousarray(scaled)
