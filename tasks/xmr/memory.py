"""Memory estimates for label features, tree and training, in bytes beyond the loaded program.

Estimates are computed from counts: rows, entries, frequencies of features and labels. Training meets them by solving
labels in blocks. The number of distinct features in the rows of a label is not counted but estimated, as if entries
were sampled by feature frequency; rows of one label share more features than that, so that the estimate is an upper
bound on average. Only the number of weights above the threshold depends on the data: a block with more weights than
estimated is refused. tests/bench/RESULTS.md compares the estimates with measured peaks, and with the bound
labels * features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.label_features import BLOCK_LABELS, EmbeddingParams
from fingerpost.tasks.xmr.training import TrainingParams
from fingerpost.tasks.xmr.tree import LabelTree

#: Thresholds, and the weights above each relative to the distinct features of a label's rows, for entries of typical
#: size 1 and a cost of 0.7: the maximum measured on debian12 (0.5 to 0.01: 0.1, 0.5, 1.2, 2.1, 3.6, 5.2, 6.9, 9.7,
#: 12.4, 20.4) and delicious (0.2 to 0.8, then below these), plus a quarter. A cost of 1 gives as many weights above a
#: threshold that is a fifth higher.
_THRESHOLDS = np.array([0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5])
_SHARES = np.array([25.5, 15.5, 12.2, 8.6, 6.5, 4.5, 2.9, 2.05, 1.05, 0.28])
#: From this threshold on, a label has hardly any weight for a feature that none of its rows has.
_OWN_FEATURES = 0.05
#: Bytes per weight: while its block is solved, in a block of several clusters and of one; stored; and loaded for
#: prediction, with its lookups.
WEIGHT_BYTES, _SOLVED_ALONE, _STORED, _PREDICTING = 20, 28, 9, 15
#: Allowance in bytes for the allocator and small objects.
SLACK = 8 * 2**20


class MemoryNeedError(ValueError):
    """A step needs more memory than its budget."""


@dataclass(frozen=True)
class ProblemShape:
    """The counts of a training problem that memory estimates depend on.

    rows: training rows.
    entries: nonzero features of all rows.
    features: columns, including those without an entry.
    shared: features with an entry in more than one row.
    size: root mean square of the entries.
    pairs: (row, label) pairs.
    reach: float64 (labels,), entries of the rows of each label; in the tree's order of labels, without those that are
        chain nodes, where the tree is known.
    sampled, distinct: float64 (points,), a piecewise linear function: the expected number of distinct features
        (``distinct``) among a number of entries (``sampled``).
    nodes: for each level above the labels, its number of nodes and the sum of the distinct features of their rows;
        None where the tree is not known.
    leaf: labels of the largest leaf; 0 where the tree is not known.
    chain_labels: labels that are chain nodes, which have no weights.
    """

    rows: int
    entries: int
    features: int
    shared: int
    size: float
    pairs: int
    reach: NDArray[np.float64]
    sampled: NDArray[np.float64]
    distinct: NDArray[np.float64]
    nodes: tuple[tuple[int, float], ...] | None = None
    leaf: int = 0
    chain_labels: int = 0

    @classmethod
    def of(cls, features: sparse.csr_array, labels: sparse.csr_array, tree: LabelTree | None = None) -> "ProblemShape":
        """The shape of rows CSR (n, d) and their labels CSR (n, labels)."""
        sizes = np.diff(features.indptr).astype(np.float64)
        of_pair = np.repeat(sizes, np.diff(labels.indptr))
        reach: NDArray[np.float64] = np.bincount(labels.indices, weights=of_pair, minlength=labels.shape[1]).astype(
            np.float64
        )
        frequency = np.bincount(features.indices, minlength=features.shape[1])
        share = frequency[frequency > 0] / max(features.nnz, 1)
        sampled = np.concatenate(([0.0], np.geomspace(1, max(reach.sum(), 2.0), 40)))
        distinct = np.array([-np.expm1(-share * count).sum() for count in sampled])
        squares = float(np.square(features.data, dtype=np.float64).sum())
        shape = cls(
            features.shape[0],
            features.nnz,
            features.shape[1],
            int((frequency > 1).sum()),
            (squares / max(features.nnz, 1)) ** 0.5,
            labels.nnz,
            reach,
            sampled,
            distinct,
        )
        if tree is None:
            return shape
        levels: list[tuple[int, float]] = []
        of_level = labels
        for level in range(tree.depth - 2, -1, -1):
            of_level = tree.lift(of_level, level)
            of_pair = np.repeat(sizes, np.diff(of_level.indptr))
            reach_of_node: NDArray[np.float64] = np.bincount(
                of_level.indices, weights=of_pair, minlength=tree.width(level)
            ).astype(np.float64)
            reach_of_node = reach_of_node[_weighted(tree, level)]
            levels.insert(0, (len(reach_of_node), float(shape.expected(reach_of_node).sum())))
        last = tree.depth - 1
        leaf = int(np.diff(tree.children(last).start).max())
        order = tree.children(last).ids
        order = order[_weighted(tree, last)[order]]
        return replace(shape, nodes=tuple(levels), leaf=leaf, reach=reach[order], chain_labels=len(reach) - len(order))

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.reach) + self.chain_labels

    def expected(self, reach: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected number of distinct features among numbers of entries."""
        return np.interp(reach, self.sampled, self.distinct)

    def of_labels(self, count: int) -> float:
        """Maximum number of entries in the features of any ``count`` labels."""
        return float(np.sort(self.expected(self.reach))[::-1][:count].sum())

    def of_neighbours(self, count: int) -> float:
        """Maximum number of entries in the features of any ``count`` consecutive labels."""
        sums = np.concatenate(([0.0], np.cumsum(self.expected(self.reach))))
        return float((sums[count:] - sums[:-count]).max()) if 0 < count < len(sums) else float(sums[-1])

    def upper_levels(self, clusters: ClusterParams) -> list[tuple[int, float]]:
        """Number of nodes and the sum of the distinct features of their rows, for each level above the labels.

        Where the tree is not known: those of the tree that ``clusters`` leads to, with nodes of equal size, which is an
        upper bound.
        """
        if self.nodes is not None:
            return list(self.nodes)
        entries = float(self.reach.sum())
        widths = level_widths(self.labels, clusters)[:-1]
        return [(count, count * float(self.expected(np.array([entries / count]))[0])) for count in widths]

    def smallest_block(self, clusters: ClusterParams) -> int:
        """Labels of the largest parent: the minimum that has to be solved together."""
        leaves = (clusters.branching if clusters.method == "kmeans" else 2) ** clusters.splits(self.labels)
        return self.leaf or min(self.labels, -(-self.labels // leaves))

    def typical(self, *, normalise: bool) -> float:
        """Root mean square of the entries, after scaling of rows to unit length if ``normalise``."""
        return (self.rows / max(self.entries, 1)) ** 0.5 if normalise else self.size


def _weighted(tree: LabelTree, level: int) -> NDArray[np.bool_]:
    """Whether the nodes of a level have weights, bool (nodes,)."""
    return ~tree.chained(level)[tree.parents[level]]


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated memory of a step.

    step: name of the step in messages.
    parts: bytes by part; of parts that do not exist at the same time, only the larger.
    block: labels processed together.
    max_upper_weights: maximum number of weights that training accepts on the levels above the labels.
    max_block_weights: maximum number of weights that training accepts in a block of labels.
    """

    step: str
    parts: dict[str, int]
    block: int
    max_upper_weights: int = 0
    max_block_weights: int = 0

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
        """The values that the manifest records, in MiB."""
        return {"stated_mb": round(self.total / 2**20, 1), "block_labels": self.block}


def max_weights(columns: int, distinct: float, shape: ProblemShape, training: TrainingParams) -> int:
    """Maximum number of weights that training accepts for ``columns`` nodes whose rows have ``distinct`` features."""
    solver = training.solver
    maximum = columns * min(shape.features, solver.max_nonzeros or shape.features)
    if solver.threshold == 0:
        return maximum
    threshold = solver.threshold * (0.7 / max(solver.cost_positive, solver.cost_negative)) ** 0.5
    share = float(np.exp(np.interp(np.log(threshold), np.log(_THRESHOLDS), np.log(_SHARES))))
    share *= shape.typical(normalise=training.normalise) * max(_THRESHOLDS[0] / threshold, 1.0)
    share = min(share, 1.1) if threshold >= _OWN_FEATURES else share
    return min(maximum, int(share * distinct) + 50 * columns)


def level_widths(labels: int, clusters: ClusterParams) -> list[int]:
    """Number of nodes of each level of the tree over ``labels`` labels."""
    leaves = (clusters.branching if clusters.method == "kmeans" else 2) ** clusters.splits(labels)
    widths = [labels]
    while leaves > 1:
        widths.insert(0, leaves)
        leaves = -(-leaves // clusters.branching) if leaves > clusters.branching else 1
    return widths


def embedding_need(
    shape: ProblemShape, params: EmbeddingParams = EmbeddingParams(), *, block: int = 0, own_entries: int = 0
) -> MemoryEstimate:
    """Memory of computing features of ``block`` labels (0: all); ``own_entries``: those of the labels' own features."""
    width = min(block or shape.labels, shape.labels)
    matrices = 8 * (shape.entries + shape.pairs + own_entries) + 16 * shape.rows
    transposed = 28 * shape.pairs + 8 * shape.labels
    if params.method == "pii":
        parts = {"matrices": matrices, "labels_by_row": transposed, "result": 24 * shape.pairs}
        return MemoryEstimate("label features", parts | {"slack": SLACK}, width)
    entries, batch_entries = shape.of_neighbours(width), shape.of_neighbours(min(width, BLOCK_LABELS))
    joined = 32 * (entries + own_entries) if params.method != "pifa" else 0
    # While a batch is summed, its rows exist in float64; later, batches and result, or the result while it is written.
    result = max(8 * entries + 24 * shape.entries + 44 * batch_entries, 24 * entries + joined)
    scaled = 4 * shape.entries + 8 * shape.rows if params.normalise else 0
    parts = {
        "matrices": matrices,
        "scaled": scaled,
        "labels_by_row": transposed,
        "result": int(result),
        "slack": SLACK,
    }
    return MemoryEstimate("label features", parts, width)


def clustering_need(labels: int, entries: int, columns: int, params: ClusterParams = ClusterParams()) -> MemoryEstimate:
    """Memory of clustering label features (labels, columns) with ``entries`` entries, which is not done in blocks."""
    if params.splits(labels) == 0:
        parts = {"label_features": 8 * entries + 16 * labels, "slack": SLACK}
    elif params.method == "kmeans":
        dense = params.branching * columns
        parts = {"label_features": 8 * entries, "splits": 28 * entries + 24 * dense + 120 * labels, "slack": SLACK}
    else:
        # Features renumbered within a node, in buffers that double when they grow; sums of both halves.
        splits = 14 * entries + 32 * columns + 60 * labels
        parts = {"label_features": 8 * entries + 16 * labels, "splits": splits, "slack": SLACK}
    return MemoryEstimate("the label tree", parts, labels)


def memory_need(
    shape: ProblemShape,
    training: TrainingParams = TrainingParams(),
    clusters: ClusterParams = ClusterParams(),
    *,
    threads: int = 1,
    block: int = 0,
) -> MemoryEstimate:
    """Peak memory of training with ``block`` labels solved together (0: all).

    clusters: parameters of the tree, used where the shape does not include one.
    """
    levels, rows, pairs = shape.upper_levels(clusters), shape.rows, shape.pairs
    depth, real_bytes = len(levels) + 1, 8 if training.solver.precise else 4
    smallest = shape.smallest_block(clusters)
    block = min(max(block or shape.labels, smallest), shape.labels)
    width = min(block + smallest, shape.labels)
    distinct = shape.of_labels(width) if shape.nodes is None else shape.of_neighbours(width)
    routed = rows * training.beam.beam if depth > 1 and "man" in training.negatives else 0
    upper = [max_weights(nodes, found, shape, training) for nodes, found in levels]
    block_weights = max_weights(width, distinct, shape, training)
    solved = (WEIGHT_BYTES if width > smallest else _SOLVED_ALONE) * max([block_weights, *upper])
    largest = 16 * real_bytes * max(shape.shared, rows)
    group = 16 * (shape.shared * real_bytes + rows * (real_bytes + 1)) + 4 * rows + largest
    return MemoryEstimate(
        "training",
        {
            # As read, and scaled with the indices shared.
            "features": (12 if training.normalise else 8) * shape.entries + 24 * rows,
            "targets": (8 * depth + 48) * pairs + 8 * (depth + 6) * (rows + shape.labels),
            "active": 40 * (routed + pairs if depth > 1 else 0) + 24 * rows,
            # Prediction and solving a block do not overlap in time.
            "weights": max(_PREDICTING * sum(upper), _STORED * sum(upper) + solved),
            "working": threads * group + 8 * shape.entries + 20 * shape.features + 40 * rows,
            "slack": SLACK,
        },
        block=block,
        max_upper_weights=sum(upper),
        max_block_weights=block_weights,
    )


def fitting(
    estimate: Callable[[int], MemoryEstimate], budget: int, largest: int, smallest: int = 1, *, remedy: str
) -> MemoryEstimate:
    """The estimate with the largest block within ``budget`` bytes, halving from ``largest`` labels to ``smallest``.

    Raises MemoryNeedError with the estimate and the ``remedy`` where even the smallest block does not fit.
    """
    block = largest
    while True:
        fitted = estimate(block)
        if fitted.total <= budget:
            return fitted
        if block <= smallest:
            raise MemoryNeedError(
                f"memory: expected a need of at most {budget / 2**20:.1f} MiB, got {fitted}; {remedy}"
            )
        block = max(smallest, block // 2)
