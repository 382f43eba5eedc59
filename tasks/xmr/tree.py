"""The tree of labels: levels of nodes, each with its parent on the level above; the last level is the labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.sparse_rows import checked_rows


class TreeError(ValueError):
    """Parents that make no tree."""


@dataclass(frozen=True)
class Children:
    """The children of each node: ``ids`` uint32 [start[p]:start[p + 1]], ascending; ``start`` int64 (parents + 1,)."""

    start: NDArray[np.int64]
    ids: NDArray[np.uint32]

    def of(self, parent: int) -> NDArray[np.uint32]:
        """The children of one node."""
        return self.ids[self.start[parent] : self.start[parent + 1]]


@dataclass(frozen=True)
class LabelTree:
    """``parents[t]`` int32: for each node of level t its parent on level t - 1; on level 0 all have the root, 0."""

    parents: tuple[NDArray[np.int32], ...]

    def __post_init__(self) -> None:
        if not self.parents:
            raise TreeError("tree: expected at least one level, got none; the last level is the labels")
        above = 1
        for level, parents in enumerate(self.parents):
            if parents.ndim != 1 or len(parents) == 0 or parents.min() < 0 or parents.max() >= above:
                raise TreeError(f"tree level {level}: expected parents of 0 to {above - 1} for its nodes, got others")
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
        """Nodes of a level; -1 is the root's."""
        return len(self.parents[level]) if level >= 0 else 1

    def figures(self) -> dict[str, object]:
        """Levels, nodes of each, and labels of the largest leaf, as manifests keep them."""
        return {
            "depth": self.depth,
            "widths": [self.width(level) for level in range(self.depth)],
            "largest_leaf": int(np.diff(self.children(self.depth - 1).start).max()),
        }

    def children(self, level: int) -> Children:
        """The nodes of a level by their parent."""
        parents = self.parents[level]
        counts = np.bincount(parents, minlength=self.width(level - 1))
        start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return Children(start, np.argsort(parents, kind="stable").astype(np.uint32))

    def lift(self, targets: sparse.csr_array, level: int) -> sparse.csr_array:
        """Which nodes of ``level`` are above each row's entries on level + 1: CSR of ones."""
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
        """For each level which of its nodes each row has below or at them; the last is the labels themselves."""
        levels = [checked_rows(labels, "targets", columns=self.labels)]
        for level in range(self.depth - 2, -1, -1):
            levels.insert(0, self.lift(levels[0], level))
        return levels


def merged_tree(leaf_of_label: NDArray[np.int32], leaves: int, branching: int) -> LabelTree:
    """The tree whose leaf clusters are merged ``branching`` at a time, neighbours first, until that few are left."""
    levels = [leaf_of_label.astype(np.int32)]
    width = leaves
    while width > branching:
        levels.insert(0, (np.arange(width) // branching).astype(np.int32))
        width = -(-width // branching)
    if leaves > 1:
        levels.insert(0, np.zeros(width, dtype=np.int32))
    return LabelTree(tuple(levels))
