"""How the work of a ranker is cut: by counts and parameters alone, so that no result depends on workers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tasks.xmr.clustering import ClusterParams
from tasks.xmr.model import ChunkBlock
from tasks.xmr.tree import LabelTree

#: The number of the level that a block belongs to, beside its arrays.
LEVEL = "level"


@dataclass(frozen=True)
class BlockParams:
    """Labels whose features, subtree or weights are made together, and rows that are ranked together.

    ``memory_mb`` is what one process may take for label features, tree or training beside the program; fewer labels are then
    made together where so many need more. 0: as many as ``labels`` says, if the machine has the memory.
    """

    labels: int = 16_384
    rows: int = 16_384
    memory_mb: int = 0

    def __post_init__(self) -> None:
        if self.memory_mb < 0:
            raise ValueError(f"memory_mb: expected at least 0, got {self.memory_mb}; 0 is what the machine has")
        for name in ("labels", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")


def upper_splits(labels: int, clusters: ClusterParams, blocks: BlockParams) -> int:
    """How many splits are made before subtrees of about ``blocks.labels`` labels go their own ways."""
    base = clusters.branching if clusters.method == "kmeans" else 2
    wanted = math.ceil(round(math.log(max(labels / blocks.labels, 1), base), 9))
    return min(wanted, clusters.splits(labels))


def parent_blocks(tree: LabelTree, level: int, blocks: BlockParams) -> list[tuple[int, int]]:
    """Ranges of parents, each ended by the first parent with which it has ``blocks.labels`` children."""
    children = np.diff(tree.children(level).start)
    ranges, start, held = [], 0, 0
    for parent, count in enumerate(children.tolist()):
        held += count
        if held >= blocks.labels or parent == len(children) - 1:
            ranges.append((start, parent + 1))
            start, held = parent + 1, 0
    return ranges


def block_arrays(block: ChunkBlock, level: int) -> dict[str, NDArray]:
    """A block as named arrays."""
    return {one.name: getattr(block, one.name) for one in fields(block)} | {LEVEL: np.array(level, dtype=np.int64)}


def block_of(arrays: dict[str, NDArray]) -> tuple[int, ChunkBlock]:
    """Level and block of such arrays."""
    return int(arrays[LEVEL]), ChunkBlock(**{one.name: arrays[one.name] for one in fields(ChunkBlock)})


def tree_arrays(tree: LabelTree) -> dict[str, NDArray]:
    """A tree as named arrays, one a level."""
    return {f"level_{level:02d}": parents for level, parents in enumerate(tree.parents)}


def tree_of(arrays: dict[str, NDArray]) -> LabelTree:
    """The tree of such arrays."""
    return LabelTree(tuple(arrays[name].astype(np.int32) for name in sorted(arrays)))


def by_level(blocks: Sequence[tuple[int, ChunkBlock]]) -> tuple[tuple[ChunkBlock, ...], ...]:
    """Blocks with their levels as a model holds them."""
    depth = max((level for level, _ in blocks), default=-1) + 1
    return tuple(tuple(block for at, block in blocks if at == level) for level in range(depth))
