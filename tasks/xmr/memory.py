"""The memory that training a ranker needs beside the program itself: stated before, kept by solving labels in blocks.

Weights are the only part that data decides: as many as stated are let through, a block that has more is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.blocks import BlockParams, parent_blocks
from tasks.xmr.clustering import ClusterParams
from tasks.xmr.model import ChunkBlock, RankerModel
from tasks.xmr.sparse_rows import checked_rows, normalised_rows
from tasks.xmr.training import (
    LevelProblem,
    LevelTrainer,
    SolverParams,
    TrainingParams,
    active_rows,
    predicted_parents,
)
from tasks.xmr.tree import LabelTree

#: Weights that are let through at threshold 0.1, as a share of the entries of labels' (nodes') rows: twice what was met.
_LABEL_SHARE, _NODE_SHARE = 0.5, 0.25
#: Bytes of a weight while its block is solved (chunks, then the block), and in a model that predicts.
_SOLVED, _STORED = 24, 14
#: What the allocator and small objects take beside all that.
_SLACK = 8 * 2**20


class MemoryNeedError(ValueError):
    """Training needs more memory than it may take."""


@dataclass(frozen=True)
class ProblemShape:
    """What the need depends on: rows, their entries, features, and how many rows each label has int64 (labels,), falling."""

    rows: int
    entries: int
    features: int
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, features: sparse.csr_array, labels: sparse.csr_array) -> "ProblemShape":
        """The shape of rows (n, d) and their labels (n, labels)."""
        counts = np.bincount(labels.indices, minlength=labels.shape[1])
        return cls(features.shape[0], features.nnz, features.shape[1], np.sort(counts)[::-1])

    @property
    def labels(self) -> int:
        """Labels."""
        return len(self.counts)

    @property
    def pairs(self) -> int:
        """Entries of the label matrix."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class MemoryStatement:
    """Bytes by part: features and their scaled copy, positives of all levels, rows that parents see, the upper levels' weights
    (needed to predict negatives), a block's weights, and the solver's working memory. ``block``: labels solved together; most_upper, most_block: the weights that are let through.
    """

    features: int
    targets: int
    active: int
    upper_weights: int
    block_weights: int
    working: int
    slack: int
    block: int
    most_upper: int
    most_block: int

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Bytes by part."""
        return {part.name: getattr(self, part.name) for part in fields(self)[:7]}

    def __str__(self) -> str:
        parts = (f"{name} {size / 2**20:.1f}" for name, size in self.parts().items())
        return f"{self.total / 2**20:.1f} MiB with blocks of {self.block} labels ({', '.join(parts)} MiB)"


def most_weights(columns: int, entries: float, features: int, params: SolverParams) -> int:
    """The weights that are let through for so many columns that expect so many in all at threshold 0.1."""
    most = columns * min(features, params.max_nonzeros or features)
    if params.threshold == 0:
        return most
    return min(most, int(max(1.0, (0.1 / params.threshold) ** 2) * entries) + 50 * columns)


def level_widths(labels: int, clusters: ClusterParams) -> list[int]:
    """Nodes of each level of the tree that so many labels get."""
    leaves = (clusters.branching if clusters.method == "kmeans" else 2) ** clusters.splits(labels)
    widths = [labels]
    while leaves > 1:
        widths.insert(0, leaves)
        leaves = -(-leaves // clusters.branching) if leaves > clusters.branching else 1
    return widths


def memory_need(
    shape: ProblemShape,
    training: TrainingParams = TrainingParams(),
    clusters: ClusterParams = ClusterParams(),
    *,
    threads: int = 1,
    block: int = 0,
) -> MemoryStatement:
    """What training holds at once beside the loaded program, with ``block`` labels solved together (0: all)."""
    widths, rows, pairs = level_widths(shape.labels, clusters), shape.rows, shape.pairs
    solver, depth = training.solver, len(widths)
    smallest = smallest_block(shape.labels, clusters)
    width = min(max(block or shape.labels, smallest) + smallest, shape.labels)
    real = 8 if solver.precise else 4
    led = rows * training.beam.beam if depth > 1 and "man" in training.negatives else 0
    a_row = shape.entries / max(rows, 1)
    upper = [most_weights(nodes, _NODE_SHARE * a_row * pairs, shape.features, solver) for nodes in widths[:-1]]
    mine = most_weights(width, _LABEL_SHARE * a_row * int(shape.counts[:width].sum()), shape.features, solver)
    group = 16 * (shape.features * real + rows * (2 * real + 1)) + 8 * rows
    return MemoryStatement(
        # As given, scaled, and row pointers of each.
        features=16 * shape.entries + 40 * rows,
        targets=(12 * depth + 48) * pairs + 8 * (depth + 6) * (rows + shape.labels),
        active=60 * (led + pairs if depth > 1 else 0) + 24 * rows,
        upper_weights=_STORED * sum(upper),
        block_weights=_SOLVED * max([mine, *upper]),
        working=2 * threads * group + 12 * shape.entries + 40 * shape.features + 80 * rows,
        slack=_SLACK,
        block=width,
        most_upper=sum(upper),
        most_block=mine,
    )


def smallest_block(labels: int, clusters: ClusterParams) -> int:
    """Labels of one parent: what has to be solved together."""
    return min(
        labels, -(-labels // (clusters.branching if clusters.method == "kmeans" else 2) ** clusters.splits(labels))
    )


def block_for(
    budget: int,
    shape: ProblemShape,
    training: TrainingParams = TrainingParams(),
    clusters: ClusterParams = ClusterParams(),
    *,
    threads: int = 1,
) -> MemoryStatement:
    """The statement with the largest blocks that ``budget`` bytes allow, halving from all labels down.

    MemoryNeedError names the need where even one parent at a time does not fit.
    """
    least = smallest_block(shape.labels, clusters)
    block = shape.labels
    while True:
        found = memory_need(shape, training, clusters, threads=threads, block=block)
        if found.total <= budget:
            return found
        if block <= least:
            raise MemoryNeedError(
                f"training: expected a need of at most {budget / 2**20:.1f} MiB, got {found}, the smallest blocks; "
                "give more memory, fewer threads, or a larger threshold"
            )
        block = max(least, block // 2)


def train_blocks(
    features: sparse.csr_array,
    labels: sparse.csr_array,
    tree: LabelTree,
    statement: MemoryStatement,
    params: TrainingParams = TrainingParams(),
    *,
    threads: int = 1,
) -> Iterator[tuple[int, ChunkBlock]]:
    """Level and block after block of the model, in the order that prediction reads; write each before asking for the next.

    Holds upper levels, which predict negatives, and one block of the labels. The blocks are the ones of train_ranker, cut.
    """
    rows = checked_rows(features, "features")
    rows = normalised_rows(rows) if params.normalise else rows
    targets = tree.targets(checked_rows(labels, "labels", columns=tree.labels))
    for matrix in targets:
        matrix.data = np.ones_like(matrix.data)
    levels: list[tuple[ChunkBlock, ...]] = []
    upper = 0
    for level in range(tree.depth):
        last, predicted = level == tree.depth - 1, None
        if level and "man" in params.negatives:
            partial = RankerModel(rows.shape[1], tree, tuple(levels), params.normalise)
            predicted = predicted_parents(rows, partial, params.beam, threads=threads)
            del partial
        active = active_rows(targets[level - 1] if level else None, params.negatives, predicted=predicted)
        trainer = LevelTrainer(rows, LevelProblem(tree, level, targets[level], active), params.solver)
        del active, predicted
        kept: list[ChunkBlock] = []
        for start, stop in parent_blocks(tree, level, BlockParams(labels=statement.block)):
            block, _ = trainer.solve_block(range(start, stop), threads=threads)
            upper += 0 if last else len(block.values)
            met, stated = (len(block.values), statement.most_block) if last else (upper, statement.most_upper)
            if met > stated:
                raise MemoryNeedError(
                    f"level {level}: expected at most {stated} weights as stated, got {met}; "
                    "raise the threshold, or set max_nonzeros"
                )
            if not last:
                kept.append(block)
            yield level, block
        levels.append(tuple(kept))
