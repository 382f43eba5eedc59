"""Coded residuals of every node's neighbours, in the lines of memory that the search reads, by ranges of nodes.

The blocks of a range depend on that range only, so ranges computed anywhere and joined in order equal the blocks of all
nodes, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import deferred as kernel
from fingerpost.tasks.ann.edge_codes import EdgeCoder
from fingerpost.tasks.ann.finger_tables import compared_rows
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.search import Metric

#: Most nodes that a search may begin from: it looks at all of their codes.
MOST_ENTRIES = 1024
#: Lines that 32-bit numbers can name.
MOST_LINES = 2**32 - 1


@dataclass(frozen=True)
class EdgeBlocks:
    """The blocks of a graph.

    lines: (m, 64) uint8, the blocks of all nodes in order, as ext/deferred.hpp defines them. stride: lines of every
    block, or 0 where they differ; then first (n + 1,) uint32 is the line at which each node's block begins. entries: (e, 64) uint8, the block of the nodes that searches begin from.
    """

    coder: EdgeCoder
    stride: int
    lines: NDArray[np.uint8]
    first: NDArray[np.uint32]
    entries: NDArray[np.uint8]

    def arrays(self) -> dict[str, np.ndarray]:
        """The blocks as named arrays; :meth:`from_arrays` is the inverse."""
        own: dict[str, np.ndarray] = {"stride": np.array([self.stride]), "lines": self.lines, "first": self.first}
        coder = {f"coder_{name}": value for name, value in self.coder.arrays().items()}
        return own | {"entries": self.entries} | coder

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The inverse of :meth:`arrays`."""
        coder = {name.removeprefix("coder_"): value for name, value in arrays.items() if name.startswith("coder_")}
        stride = int(arrays["stride"][0])
        return cls(EdgeCoder.from_arrays(coder), stride, arrays["lines"], arrays["first"], arrays["entries"])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(int(array.nbytes) for array in self.arrays().values())


def edge_blocks(vectors: np.ndarray, graph: Graph, metric: Metric, coder: EdgeCoder, *, threads: int = 1) -> EdgeBlocks:
    """The blocks of all nodes of a graph; vectors (n, dim) as given. Raises VectorError if they do not fit."""
    rows = compared_rows(vectors, graph, metric)
    projected = project(rows, coder, threads=threads)
    stride = block_stride(graph, metric, coder)
    whole = range_lines(
        projected,
        graph.indptr,
        graph.indices,
        metric=metric,
        coder=coder,
        stride=stride,
        begin=0,
        threads=threads,
    )
    entries = entry_lines(projected, graph, metric=metric, coder=coder)
    return assembled([whole], entries, graph, metric=metric, coder=coder)


def block_stride(graph: Graph, metric: Metric, coder: EdgeCoder) -> int:
    """Lines of every block where that costs at most half more memory, else 0.

    Blocks of one size are found without a look at a table, which is a cache miss for each node that is expanded.
    """
    counts = kernel.block_lines(graph.degrees, rank=coder.rank, bits=coder.bits, metric=metric)
    widest = int(counts.max())
    return widest if 2 * widest * len(counts) <= 3 * int(counts.sum()) else 0


class Projected(NamedTuple):
    """Rows as compared (n, dim), along each direction (n, rank), and their squared norms (n,), float32."""

    rows: NDArray[np.float32]
    projections: NDArray[np.float32]
    norms2: NDArray[np.float32]


def project(rows: np.ndarray, coder: EdgeCoder, *, threads: int = 1) -> Projected:
    """What the blocks are made of, for all nodes; each row independently of the others."""
    return with_projections(rows, kernel.project(rows, coder.directions, threads=threads), threads=threads)


def with_projections(rows: np.ndarray, projections: np.ndarray, *, threads: int = 1) -> Projected:
    """What the blocks are made of, from rows (n, dim) as compared and their projections (n, rank), for all nodes."""
    return Projected(rows, projections, kernel.squared_norms(rows, threads=threads))


def range_lines(
    projected: Projected,
    indptr: np.ndarray,
    indices: np.ndarray,
    *,
    metric: Metric,
    coder: EdgeCoder,
    stride: int,
    begin: int,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Lines of the nodes ``begin, begin + 1, ...``, one block per row of the range's part of the adjacency.

    projected: of *all* nodes; indptr: (rows + 1,) int64, from any start; indices: uint32 ids of the range's edges only;
    stride: of :func:`block_stride` of the whole graph. Raises ValueError if they do not fit together.
    """
    if len(indices) and int(indices.max()) >= len(projected.rows):
        raise ValueError(
            f"indices: expected ids below {len(projected.rows)}, got {indices.max()}; check the graph's ids"
        )
    counts = kernel.block_lines(np.diff(indptr), rank=coder.rank, bits=coder.bits, metric=metric)
    out = kernel.aligned(stride * len(counts) if stride else int(counts.sum()))
    kernel.fill_blocks(
        *projected,
        np.ascontiguousarray(indptr - indptr[0]),
        indices,
        out,
        begin=begin,
        stride=stride,
        bits=coder.bits,
        metric=metric,
        tiny_norm2=coder.tiny_norm2,
        margins=coder.margins,
        threads=threads,
    )
    return out


def assembled(
    parts: Sequence[NDArray[np.uint8]],
    entries: NDArray[np.uint8],
    graph: Graph,
    *,
    metric: Metric,
    coder: EdgeCoder,
) -> EdgeBlocks:
    """The blocks of a graph from the lines of consecutive ranges, in order; ValueError if they are not all its nodes.

    entries: of :func:`entry_lines`.
    """
    counts = kernel.block_lines(graph.degrees, rank=coder.rank, bits=coder.bits, metric=metric)
    stride = block_stride(graph, metric, coder)
    total, found = stride * graph.size if stride else int(counts.sum()), sum(len(part) for part in parts)
    if found != total or (total > MOST_LINES and not stride):
        raise ValueError(f"lines: expected {total}, at most {MOST_LINES}, got {found}; pass all ranges, or shard")
    lines = parts[0] if len(parts) == 1 else _aligned(parts, total)
    first = np.zeros(0, dtype=np.uint32) if stride else np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
    return EdgeBlocks(coder, stride, lines, first, entries)


def _aligned(parts: Sequence[NDArray[np.uint8]], total: int) -> NDArray[np.uint8]:
    lines = kernel.aligned(total)
    np.concatenate(parts, out=lines)
    return lines


def entry_lines(projected: Projected, graph: Graph, *, metric: Metric, coder: EdgeCoder) -> NDArray[np.uint8]:
    """The block (e, 64) uint8 of the nodes that searches begin from; projected: of *all* nodes."""
    ids = entry_nodes(graph)
    return kernel.entry_block(*projected, ids, bits=coder.bits, metric=metric, margins=coder.margins)


def entry_nodes(graph: Graph) -> NDArray[np.uint32]:
    """The nodes that searches begin from: the lowest upper level that is small enough, else rows evenly spaced.

    The graph's own entry points are among them.
    """
    level = next((level.nodes for level in graph.upper if len(level.nodes) <= MOST_ENTRIES), None)
    if level is None:
        level = np.linspace(0, graph.size - 1, min(graph.size, MOST_ENTRIES)).astype(np.uint32)
    return np.union1d(level, graph.entry_points).astype(np.uint32)
