"""Blocks of labels, parents and rows that are processed together, and the arrays they are stored as.

Blocks depend on counts and parameters only, so that no result depends on the number of workers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.xmr.model import ChunkBlock
from fingerpost.tasks.xmr.tree import LabelTree

if TYPE_CHECKING:  # ranking makes no tree, and scipy takes time and memory
    from fingerpost.tasks.xmr.clustering import ClusterParams

#: Name of the array that holds the level of a stored block.
LEVEL = "level"
#: Name of the array that a stored tree with chain nodes has in addition to those of its levels.
_CHAINS = "chains"


@dataclass(frozen=True)
class BlockParams:
    """Sizes of blocks.

    labels: labels whose features, subtree or weights are computed together.
    rows: rows that are ranked together.
    memory_mb: memory that one process may use for label features, tree or training, in MiB beyond the program itself;
        blocks are smaller than ``labels`` where they would exceed it. 0: blocks of ``labels``, within the available
        memory.
    """

    labels: int = 16_384
    rows: int = 16_384
    memory_mb: int = 0

    def __post_init__(self) -> None:
        if self.memory_mb < 0:
            raise ValueError(f"memory_mb: expected at least 0, got {self.memory_mb}; use 0 for all available memory")
        for name in ("labels", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")


def upper_splits(labels: int, clusters: "ClusterParams", blocks: BlockParams) -> int:
    """Number of levels to split before subtrees of about ``blocks.labels`` labels are split separately."""
    base = clusters.branching if clusters.method == "kmeans" else 2
    wanted = math.ceil(round(math.log(max(labels / blocks.labels, 1), base), 9))
    return min(wanted, clusters.splits(labels))


def parent_blocks(tree: LabelTree, level: int, blocks: BlockParams) -> list[tuple[int, int]]:
    """Ranges of parents, each ending with the first parent that brings it to ``blocks.labels`` children.

    Chain nodes do not count; none where all nodes of the level are such.
    """
    children = np.diff(tree.children(level).start)
    children[tree.chained(level)] = 0
    if not children.any():
        return []
    ranges, start, held = [], 0, 0
    for parent, count in enumerate(children.tolist()):
        held += count
        if held >= blocks.labels or (held and parent == len(children) - 1):
            ranges.append((start, parent + 1))
            start, held = parent + 1, 0
    return ranges


def block_arrays(block: ChunkBlock, level: int) -> dict[str, NDArray]:
    """The named arrays of a block and its level."""
    return {field.name: getattr(block, field.name) for field in fields(block)} | {
        LEVEL: np.array(level, dtype=np.int64)
    }


def block_of(arrays: dict[str, NDArray]) -> tuple[int, ChunkBlock]:
    """Level and block from their named arrays."""
    return int(arrays[LEVEL]), ChunkBlock(**{field.name: arrays[field.name] for field in fields(ChunkBlock)})


def tree_arrays(tree: LabelTree) -> dict[str, NDArray]:
    """The named arrays of a tree: one per level, and a mark where it has chain nodes."""
    levels = {f"level_{level:02d}": parents for level, parents in enumerate(tree.parents)}
    return levels | ({_CHAINS: np.ones(1, dtype=np.uint8)} if tree.chains else {})


def tree_of(arrays: dict[str, NDArray]) -> LabelTree:
    """The tree from its named arrays."""
    levels = sorted(arrays.keys() - {_CHAINS})
    return LabelTree(tuple(arrays[name].astype(np.int32) for name in levels), chains=_CHAINS in arrays)


def by_level(blocks: Sequence[tuple[int, ChunkBlock]], depth: int) -> tuple[tuple[ChunkBlock, ...], ...]:
    """Blocks grouped by level, as a model of ``depth`` levels holds them; a level of chain nodes has none."""
    return tuple(tuple(block for block_level, block in blocks if block_level == level) for level in range(depth))
