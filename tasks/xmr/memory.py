"""Estimates of the memory that label features, tree and rankers need beside the program itself.

Training keeps within them by blocks of labels. An estimate is made of counts: rows, their entries, how often features
and labels occur. How many features a label's rows have in common is not counted but expected, as if entries were
sampled by the features' frequencies; rows of one label have more in common, so that this is an upper bound on average.
How many weights pass the threshold is the only part that data decides: as many as estimated are let through, a block
that has more is refused. tests/bench/RESULTS.md compares the estimates with met peaks, and with the bound of labels
times features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.clustering import ClusterParams
from tasks.xmr.label_features import BLOCK_LABELS, EmbeddingParams
from tasks.xmr.training import TrainingParams
from tasks.xmr.tree import LabelTree

#: Thresholds, and weights over them as a share of the features of a label's rows, for entries of typical size 1 at a
#: cost of 0.7: the most met on debian12 (0.5 to 0.01: 0.1, 0.5, 1.2, 2.1, 3.6, 5.2, 6.9, 9.7, 12.4, 20.4) and delicious
#: (0.2 to 0.8, then below these), and a quarter more. At a cost of 1 there are as many over a threshold that is a fifth
#: higher.
_THRESHOLDS = np.array([0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5])
_SHARES = np.array([25.5, 15.5, 12.2, 8.6, 6.5, 4.5, 2.9, 2.05, 1.05, 0.28])
#: From this threshold on a label has hardly a weight for a feature that none of its rows has.
_OWN_FEATURES = 0.05
#: Bytes of a weight while its block is solved (of a cluster, then of the block, where it is the only one of both), and
#: of one that predicts, with its lookups.
WEIGHT_BYTES, _SOLVED_ALONE, _STORED, _PREDICTING = 20, 28, 9, 15
#: What the allocator and small objects take beside all that.
_SLACK = 8 * 2**20


class MemoryNeedError(ValueError):
    """A step needs more memory than it may take."""


@dataclass(frozen=True)
class ProblemShape:
    """What the needs of training depend on.

    rows: to train on.
    entries: nonzero features of all rows.
    features: columns, those without an entry among them.
    shared: features that more than one row has.
    size: root mean square of the entries.
    pairs: of a row and a label of it.
    reach: float64 (labels,): entries of the rows of each label; in the tree's order of labels where it is known.
    drawn, distinct: float64 (points,): a line that says how many different features a number of entries is expected to
    have.
    nodes: where the tree is known, nodes of each level above the labels, and different features of their rows, summed.
    leaf: where the tree is known, labels of its largest leaf; else 0.
    """

    rows: int
    entries: int
    features: int
    shared: int
    size: float
    pairs: int
    reach: NDArray[np.float64]
    drawn: NDArray[np.float64]
    distinct: NDArray[np.float64]
    nodes: tuple[tuple[int, float], ...] | None = None
    leaf: int = 0

    @classmethod
    def of(cls, features: sparse.csr_array, labels: sparse.csr_array, tree: LabelTree | None = None) -> "ProblemShape":
        """The shape of rows (n, d) and their labels (n, labels)."""
        sizes = np.diff(features.indptr).astype(np.float64)
        of_pair = np.repeat(sizes, np.diff(labels.indptr))
        reach: NDArray[np.float64] = np.bincount(labels.indices, weights=of_pair, minlength=labels.shape[1]).astype(
            np.float64
        )
        often = np.bincount(features.indices, minlength=features.shape[1])
        share = often[often > 0] / max(features.nnz, 1)
        drawn = np.concatenate(([0.0], np.geomspace(1, max(reach.sum(), 2.0), 40)))
        distinct = np.array([-np.expm1(-share * count).sum() for count in drawn])
        squares = float(np.square(features.data, dtype=np.float64).sum())
        found = cls(
            features.shape[0],
            features.nnz,
            features.shape[1],
            int((often > 1).sum()),
            (squares / max(features.nnz, 1)) ** 0.5,
            labels.nnz,
            reach,
            drawn,
            distinct,
        )
        if tree is None:
            return found
        levels: list[tuple[int, float]] = []
        of_level = labels
        for level in range(tree.depth - 2, -1, -1):
            of_level = tree.lift(of_level, level)
            of_pair = np.repeat(sizes, np.diff(of_level.indptr))
            below: NDArray[np.float64] = np.bincount(
                of_level.indices, weights=of_pair, minlength=tree.width(level)
            ).astype(np.float64)
            levels.insert(0, (tree.width(level), float(found.expected(below).sum())))
        leaf = int(np.diff(tree.children(tree.depth - 1).start).max())
        order = tree.children(tree.depth - 1).ids
        return replace(found, nodes=tuple(levels), leaf=leaf, reach=reach[order])

    @property
    def labels(self) -> int:
        """Labels."""
        return len(self.reach)

    def expected(self, reach: NDArray[np.float64]) -> NDArray[np.float64]:
        """Different features of so many entries."""
        return np.interp(reach, self.drawn, self.distinct)

    def of_labels(self, count: int) -> float:
        """Entries that the features of any ``count`` labels have at most."""
        return float(np.sort(self.expected(self.reach))[::-1][:count].sum())

    def of_neighbours(self, count: int) -> float:
        """The same of ``count`` labels that follow each other."""
        sums = np.concatenate(([0.0], np.cumsum(self.expected(self.reach))))
        return float((sums[count:] - sums[:-count]).max()) if 0 < count < len(sums) else float(sums[-1])

    def upper_levels(self, clusters: ClusterParams) -> list[tuple[int, float]]:
        """Nodes and different features of their rows for each level above the labels.

        Where the tree is not known, of the one that these labels get, with nodes that are alike: such have most.
        """
        if self.nodes is not None:
            return list(self.nodes)
        whole = float(self.reach.sum())
        widths = level_widths(self.labels, clusters)[:-1]
        return [(count, count * float(self.expected(np.array([whole / count]))[0])) for count in widths]

    def smallest_block(self, clusters: ClusterParams) -> int:
        """Labels of one parent: what has to be solved together."""
        leaves = (clusters.branching if clusters.method == "kmeans" else 2) ** clusters.splits(self.labels)
        return self.leaf or min(self.labels, -(-self.labels // leaves))

    def typical(self, *, normalise: bool) -> float:
        """The root mean square of entries, of rows scaled to length one."""
        return (self.rows / max(self.entries, 1)) ** 0.5 if normalise else self.size


@dataclass(frozen=True)
class MemoryEstimate:
    """What a step is estimated to take.

    step: its name in messages.
    parts: bytes by part; parts that are not there at once are left out.
    block: labels solved together.
    most_upper: of training, the weights that are let through on the levels above the labels.
    most_block: of training, the weights that are let through in a block of labels.
    """

    step: str
    parts: dict[str, int]
    block: int
    most_upper: int = 0
    most_block: int = 0

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        parts = (f"{name} {size / 2**20:.1f}" for name, size in self.parts.items())
        return (
            f"{self.total / 2**20:.1f} MiB for {self.step} with blocks of {self.block} labels ({', '.join(parts)} MiB)"
        )

    def figures(self) -> dict[str, float]:
        """What a manifest keeps of it, in MiB."""
        return {"stated_mb": round(self.total / 2**20, 1), "block_labels": self.block}


def most_weights(columns: int, distinct: float, shape: ProblemShape, training: TrainingParams) -> int:
    """The weights that are let through for so many columns, whose rows have so many different features in all."""
    solver = training.solver
    most = columns * min(shape.features, solver.max_nonzeros or shape.features)
    if solver.threshold == 0:
        return most
    threshold = solver.threshold * (0.7 / max(solver.cost_positive, solver.cost_negative)) ** 0.5
    share = float(np.exp(np.interp(np.log(threshold), np.log(_THRESHOLDS), np.log(_SHARES))))
    share *= shape.typical(normalise=training.normalise) * max(_THRESHOLDS[0] / threshold, 1.0)
    share = min(share, 1.1) if threshold >= _OWN_FEATURES else share
    return min(most, int(share * distinct) + 50 * columns)


def level_widths(labels: int, clusters: ClusterParams) -> list[int]:
    """Nodes of each level of the tree that so many labels get."""
    leaves = (clusters.branching if clusters.method == "kmeans" else 2) ** clusters.splits(labels)
    widths = [labels]
    while leaves > 1:
        widths.insert(0, leaves)
        leaves = -(-leaves // clusters.branching) if leaves > clusters.branching else 1
    return widths


def embedding_need(
    shape: ProblemShape, params: EmbeddingParams = EmbeddingParams(), *, block: int = 0, given: int = 0
) -> MemoryEstimate:
    """What features of ``block`` labels (0: all) take; ``given``: entries of label features that are joined to them."""
    width = min(block or shape.labels, shape.labels)
    matrices = 8 * (shape.entries + shape.pairs + given) + 16 * shape.rows
    turned = 28 * shape.pairs + 8 * shape.labels
    if params.method == "pii":
        parts = {"matrices": matrices, "labels_by_row": turned, "result": 24 * shape.pairs}
        return MemoryEstimate("label features", parts | {"slack": _SLACK}, width)
    found, part = shape.of_neighbours(width), shape.of_neighbours(min(width, BLOCK_LABELS))
    joined = 32 * (found + given) if params.method != "pifa" else 0
    # While a part is summed, its rows are there in float64; then parts and whole, or the whole as it is written.
    result = max(8 * found + 24 * shape.entries + 44 * part, 24 * found + joined)
    scaled = 4 * shape.entries + 8 * shape.rows if params.normalise else 0
    parts = {"matrices": matrices, "scaled": scaled, "labels_by_row": turned, "result": int(result), "slack": _SLACK}
    return MemoryEstimate("label features", parts, width)


def clustering_need(labels: int, entries: int, columns: int, params: ClusterParams = ClusterParams()) -> MemoryEstimate:
    """What the tree over label features (labels, columns) with so many entries takes; it is split in one piece."""
    if params.splits(labels) == 0:
        parts = {"label_features": 8 * entries + 16 * labels, "slack": _SLACK}
    elif params.method == "kmeans":
        dense = params.branching * columns
        parts = {"label_features": 8 * entries, "splits": 28 * entries + 24 * dense + 120 * labels, "slack": _SLACK}
    else:
        # Features renumbered within a node, in memory that doubles as it grows; sums of both halves.
        splits = 14 * entries + 32 * columns + 60 * labels
        parts = {"label_features": 8 * entries + 16 * labels, "splits": splits, "slack": _SLACK}
    return MemoryEstimate("the label tree", parts, labels)


def memory_need(
    shape: ProblemShape,
    training: TrainingParams = TrainingParams(),
    clusters: ClusterParams = ClusterParams(),
    *,
    threads: int = 1,
    block: int = 0,
) -> MemoryEstimate:
    """What training holds at once beside the loaded program, with ``block`` labels solved together (0: all).

    ``clusters`` says which tree there will be, where the shape knows of none.
    """
    levels, rows, pairs = shape.upper_levels(clusters), shape.rows, shape.pairs
    depth, real = len(levels) + 1, 8 if training.solver.precise else 4
    smallest = shape.smallest_block(clusters)
    block = min(max(block or shape.labels, smallest), shape.labels)
    width = min(block + smallest, shape.labels)
    distinct = shape.of_labels(width) if shape.nodes is None else shape.of_neighbours(width)
    led = rows * training.beam.beam if depth > 1 and "man" in training.negatives else 0
    upper = [most_weights(nodes, found, shape, training) for nodes, found in levels]
    mine = most_weights(width, distinct, shape, training)
    solved = (WEIGHT_BYTES if width > smallest else _SOLVED_ALONE) * max([mine, *upper])
    largest = 16 * real * max(shape.shared, rows)
    group = 16 * (shape.shared * real + rows * (real + 1)) + 4 * rows + largest
    return MemoryEstimate(
        "training",
        {
            # As given, and scaled with the places of the same.
            "features": (12 if training.normalise else 8) * shape.entries + 24 * rows,
            "targets": (8 * depth + 48) * pairs + 8 * (depth + 6) * (rows + shape.labels),
            "active": 40 * (led + pairs if depth > 1 else 0) + 24 * rows,
            # Predicting and solving a block are not at once.
            "weights": max(_PREDICTING * sum(upper), _STORED * sum(upper) + solved),
            "working": threads * group + 8 * shape.entries + 20 * shape.features + 40 * rows,
            "slack": _SLACK,
        },
        block=block,
        most_upper=sum(upper),
        most_block=mine,
    )


def fitting(
    estimate: Callable[[int], MemoryEstimate], budget: int, largest: int, smallest: int = 1, *, remedy: str
) -> MemoryEstimate:
    """The estimate with the largest blocks within ``budget`` bytes, halving from ``largest`` labels to ``smallest``.

    MemoryNeedError names the need where even the smallest does not fit, and the ``remedy``.
    """
    block = largest
    while True:
        found = estimate(block)
        if found.total <= budget:
            return found
        if block <= smallest:
            raise MemoryNeedError(f"memory: expected a need of at most {budget / 2**20:.1f} MiB, got {found}; {remedy}")
        block = max(smallest, block // 2)
