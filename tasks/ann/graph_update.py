"""Which rows of an earlier graph are rows of today's, and whether so many are that the graph is better changed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.compaction import GuardParams, guard_recall
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.growth import GrowthCounters, changed_graph
from fingerpost.tasks.ann.hnsw import HnswParams

#: Rows of vectors that are compared at a time.
_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class RowChanges:
    """The rows of an index beside those of an earlier one.

    origin: int64 (n,), the earlier row with the same id and the same vector, -1 for a row that is new or has another
    vector. before: number of earlier rows.
    """

    origin: NDArray[np.int64]
    before: int

    @property
    def kept(self) -> int:
        """Number of rows that are in both."""
        return int((self.origin >= 0).sum())

    @property
    def added(self) -> int:
        """Number of rows that are new or have another vector."""
        return len(self.origin) - self.kept

    @property
    def removed(self) -> int:
        """Number of earlier rows that are gone or have another vector."""
        return self.before - self.kept

    @property
    def share(self) -> float:
        """Added and removed rows as a fraction of the earlier ones."""
        return (self.added + self.removed) / max(self.before, 1)


@dataclass(frozen=True)
class UpdatedGraph:
    """A graph brought up to date.

    recall, base: of it and of the earlier graph, as the guard measures them. must_rebuild: why it must be built of all
    rows instead, or "".
    """

    graph: Graph
    counters: GrowthCounters
    recall: float
    base: float
    must_rebuild: str


def row_changes(before: NDArray[np.int64], vectors: NDArray[np.float32], earlier: NDArray[np.float32]) -> RowChanges:
    """The rows whose vector is that of the earlier row with the same id.

    before: int64 (n,), that row, -1 where the id is new. vectors (n, d) and earlier (m, e); where d differs from e, or
    ids were there twice, nothing is kept of them.
    """
    origin = np.full(len(before), -1, np.int64)
    if vectors.shape[1] != earlier.shape[1]:
        return RowChanges(origin, len(earlier))
    named, counts = np.unique(before[before >= 0], return_counts=True)
    once = np.zeros(len(earlier) + 1, np.bool_)
    once[named[counts == 1]] = True
    for begin in range(0, len(before), _BLOCK_ROWS):
        rows = begin + np.flatnonzero(once[before[begin : begin + _BLOCK_ROWS]])
        # Bit for bit: a zero of the other sign is another vector, as a build sees it.
        same = (vectors[rows].view(np.uint32) == earlier[before[rows]].view(np.uint32)).all(axis=1)
        origin[rows[same]] = before[rows[same]]
    return RowChanges(origin, len(earlier))


def updated_graph(
    vectors: NDArray[np.float32],
    changes: RowChanges,
    earlier: NDArray[np.float32],
    graph: Graph,
    params: HnswParams,
    guard: GuardParams,
    *,
    threads: int = 1,
) -> UpdatedGraph:
    """The graph of today's vectors (n, d) from that of earlier ones (m, d), with the recall of both.

    The result depends on these arguments alone, but for the number of threads. At least one row must be kept.
    """
    base = guard_recall(earlier, graph, params.metric, guard)
    changed, counters = changed_graph(vectors, graph, changes.origin, params, threads=threads)
    found = guard_recall(vectors, changed, params.metric, guard)
    fell = found < base - guard.max_fall
    reason = f"recall {found:.4f} is more than {guard.max_fall:g} below the earlier graph's {base:.4f}" if fell else ""
    return UpdatedGraph(changed, counters, found, base, reason)
