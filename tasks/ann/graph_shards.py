"""Graphs of parts of the rows, built apart from each other: for many machines, or less memory than all rows need.

A shard is a range of consecutive rows. The level of a node is drawn from its row among all rows, so that the merged graph
has the levels that a single one would have.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.graph import MAX_NODES, Graph
from fingerpost.tasks.ann.graph_merge import MERGE_EF
from fingerpost.tasks.ann.hnsw import HnswBuilder, HnswParams


@dataclass(frozen=True)
class ShardingParams:
    """How a build is split. shards: number of graphs, 1 for a single build. merge_ef: width of the merging searches."""

    shards: int = 1
    merge_ef: int = MERGE_EF

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= 65536:
            raise ValueError(
                f"shards: expected 1 to 65536, got {self.shards}; a shard has at least a few thousand rows"
            )
        if self.merge_ef < 1:
            raise ValueError(f"merge_ef: expected at least 1, got {self.merge_ef}; 32 to 200 is usual")


def shard_bounds(rows: int, shards: int) -> list[tuple[int, int]]:
    """The ranges of rows (start, stop) of at most ``shards`` shards of equal size, none empty."""
    if not 0 < rows <= MAX_NODES:
        raise ValueError(f"rows: expected 1 to {MAX_NODES}, got {rows}; build an index for each part")
    size = -(-rows // shards)
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]


def merging_rounds(graphs: int) -> int:
    """The rounds after which one of so many graphs is left, that are merged in pairs."""
    return (graphs - 1).bit_length()


def shard_builder(
    vectors: ArrayLike,
    params: HnswParams,
    *,
    start: int,
    threads: int = 1,
    state: Mapping[str, NDArray[np.generic]] | None = None,
) -> HnswBuilder:
    """The builder of the graph of vectors (m, d) that are the rows ``start`` and on of all rows.

    state: of a builder of the same shard, which is resumed; GraphError if it does not fit.
    """
    stop = start + len(np.asarray(vectors))
    levels = kernel.node_levels(stop, params.max_neighbors, params.seed)[start:].copy()
    if state is None:
        return HnswBuilder(vectors, params, threads=threads, levels=levels)
    return HnswBuilder.restore(vectors, params, state, threads=threads, levels=levels)


def build_shard(vectors: ArrayLike, params: HnswParams, *, start: int, threads: int = 1) -> Graph:
    """The graph of one shard, its nodes numbered from 0."""
    builder = shard_builder(vectors, params, start=start, threads=threads)
    builder.insert_until(builder.size, threads=threads)
    return builder.graph()
