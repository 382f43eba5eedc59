"""The label tree, a chain of cluster assignments (PECOS, JMLR 23(98), 2022): each node has a parent one level above.

The nodes of the last level are the labels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.sparse_rows import checked_rows


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

    Raises TreeError for parents out of range.
    """

    parents: tuple[NDArray[np.int32], ...]

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
        """Depth, nodes of each level, and labels of the largest leaf, for the manifest."""
        return {
            "depth": self.depth,
            "widths": [self.width(level) for level in range(self.depth)],
            "largest_leaf": int(np.diff(self.children(self.depth - 1).start).max()),
        }

    def children(self, level: int) -> Children:
        """The nodes of a level grouped by parent."""
        parents = self.parents[level]
        counts = np.bincount(parents, minlength=self.width(level - 1))
        start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return Children(start, np.argsort(parents, kind="stable").astype(np.uint32))

    def lift(self, targets: sparse.csr_array, level: int) -> sparse.csr_array:
        """Nodes of ``level`` above the targets of each row on level + 1: CSR of ones (rows, nodes)."""
        parents = self.parents[level + 1]
        up = sparse.csr_array(
            (np.ones(len(parents), np.float32), parents, np.arange(len(parents) + 1)),
            shape=(len(parents), self.width(level)),
        )
        lifted = targets @ up
        lifted.sort_indices()
        lifted.data[:] = 1.0
        return checked_rows(lifted, "targets")

    def targets(self, labels: sparse.csr_array) -> list[sparse.csr_array]:
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
