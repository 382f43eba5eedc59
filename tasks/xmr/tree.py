"""The label tree, a chain of cluster assignments (PECOS, JMLR 23(98), 2022): each node has a parent one level above.

The nodes of the last level are the labels. All labels are equally deep: where one part of a tree ends before another,
chain nodes go on to the labels. A chain node is the only child of its parent, has no weights, and counts as a factor of 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.xmr.sparse_rows import checked_rows

if TYPE_CHECKING:  # ranking makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse


class TreeError(ValueError):
    """Parents or parameters that do not form a tree."""


@dataclass(frozen=True)
class Children:
    """The children of each parent.

    start: int64 (parents + 1,), the range of parent p in ``ids``.
    ids: uint32, ascending for each parent.
    """

    start: NDArray[np.int64]
    ids: NDArray[np.uint32]

    def of(self, parent: int) -> NDArray[np.uint32]:
        """The children of one node."""
        return self.ids[self.start[parent] : self.start[parent + 1]]


@dataclass(frozen=True)
class LabelTree:
    """Levels of nodes; ``parents[t]``: int32 (nodes of level t,), their parents on level t - 1 (level 0: the root, 0).

    chains: whether nodes without siblings are chain nodes; otherwise they have weights like any other.

    Raises TreeError for parents out of range.
    """

    parents: tuple[NDArray[np.int32], ...]
    chains: bool = False

    def __post_init__(self) -> None:
        if not self.parents:
            raise TreeError("tree: expected at least one level, got none; the last level is the labels")
        above = 1
        for level, parents in enumerate(self.parents):
            if parents.ndim != 1 or len(parents) == 0 or parents.min() < 0 or parents.max() >= above:
                raise TreeError(
                    f"tree level {level}: expected parents of 0 to {above - 1} for its nodes, got others; rebuild it"
                )
            above = len(parents)

    @property
    def depth(self) -> int:
        """Levels below the root."""
        return len(self.parents)

    @property
    def labels(self) -> int:
        """Nodes of the last level."""
        return len(self.parents[-1])

    def width(self, level: int) -> int:
        """Number of nodes of a level; 1 for the root, level -1."""
        return len(self.parents[level]) if level >= 0 else 1

    def figures(self) -> dict[str, object]:
        """Depth, nodes of each level, and labels of the largest leaf, for the manifest; with chains, their number."""
        levels = range(self.depth)
        figures: dict[str, object] = {
            "depth": self.depth,
            "widths": [self.width(level) for level in levels],
            "largest_leaf": int(np.diff(self.children(self.depth - 1).start).max()),
        }
        return figures | ({"chain_nodes": [int(self.chained(level).sum()) for level in levels]} if self.chains else {})

    def chained(self, level: int) -> NDArray[np.bool_]:
        """Whether the child on ``level`` of each node above is a chain node, bool (nodes of level - 1,)."""
        if not self.chains:
            return np.zeros(self.width(level - 1), dtype=np.bool_)
        return np.bincount(self.parents[level], minlength=self.width(level - 1)) == 1

    def children(self, level: int) -> Children:
        """The nodes of a level grouped by parent."""
        parents = self.parents[level]
        counts = np.bincount(parents, minlength=self.width(level - 1))
        start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return Children(start, np.argsort(parents, kind="stable").astype(np.uint32))

    def weighted(self, level: int) -> bool:
        """Whether any node of a level has weights."""
        return not self.chained(level).all()

    def labels_below(self) -> Iterator[tuple[int, Children]]:
        """Iterates over the levels above the labels, from the last: the level, and the labels below each of its nodes.

        The labels of a node ascend.
        """
        nodes = np.arange(self.labels, dtype=np.int32)
        for level in range(self.depth - 2, -1, -1):
            nodes = self.parents[level + 1][nodes]
            start = np.concatenate(([0], np.cumsum(np.bincount(nodes, minlength=self.width(level))))).astype(np.int64)
            in_order = bool((np.diff(nodes) >= 0).all())
            order = np.arange(self.labels) if in_order else np.argsort(nodes, kind="stable")
            yield level, Children(start, order.astype(np.uint32))

    def lift(self, targets: "sparse.csr_array", level: int) -> "sparse.csr_array":
        """Nodes of ``level`` above the targets of each row on level + 1: CSR of ones (rows, nodes)."""
        from scipy import sparse

        parents = self.parents[level + 1]
        up = sparse.csr_array(
            (np.ones(len(parents), np.float32), parents, np.arange(len(parents) + 1)),
            shape=(len(parents), self.width(level)),
        )
        lifted = targets @ up
        lifted.sort_indices()
        lifted.data[:] = 1.0
        return checked_rows(lifted, "targets")

    def targets(self, labels: "sparse.csr_array") -> "list[sparse.csr_array]":
        """Targets of the rows on each level, CSR (rows, nodes): of ones above the labels, the last is ``labels``."""
        levels = [checked_rows(labels, "targets", columns=self.labels)]
        for level in range(self.depth - 2, -1, -1):
            levels.insert(0, self.lift(levels[0], level))
        return levels


def merged_tree(leaf_of_label: NDArray[np.int32], leaves: int, branching: int) -> LabelTree:
    """The tree over leaf clusters, merged ``branching`` neighbours at a time until at most that many remain."""
    levels = [leaf_of_label.astype(np.int32)]
    width = leaves
    while width > branching:
        levels.insert(0, (np.arange(width) // branching).astype(np.int32))
        width = -(-width // branching)
    if leaves > 1:
        levels.insert(0, np.zeros(width, dtype=np.int32))
    return LabelTree(tuple(levels))
