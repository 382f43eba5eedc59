"""Rankers trained and refreshed in one process: the loop of the stages (``train_levels``), its blocks solved here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.chunk_merge import merge_columns
from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.label_blocks import BlockParams, parent_blocks
from fingerpost.tasks.xmr.memory import MemoryEstimate, MemoryNeedError, ProblemShape, fitting, memory_need
from fingerpost.tasks.xmr.model import Chunk, ChunkBlock, RankerModel, prune, split_chunks
from fingerpost.tasks.xmr.refresh import RefreshParams, drifted_tree, nodes_to_solve, refresh_block
from fingerpost.tasks.xmr.sparse_rows import checked_rows, normalised_rows
from fingerpost.tasks.xmr.sweep import SweepPoint
from fingerpost.tasks.xmr.training import (
    LevelProblem,
    LevelTrainer,
    SolveCounters,
    TrainingParams,
    active_rows,
    predicted_parents,
    train_levels,
)
from fingerpost.tasks.xmr.tree import LabelTree

Blocks = tuple[ChunkBlock, ...]


@dataclass(frozen=True)
class Training:
    """A trained model and what each level cost."""

    model: RankerModel
    counters: list[SolveCounters] = field(default_factory=list)


@dataclass(frozen=True)
class Problem:
    """What the solver takes: rows (n, d) and, of each level, which of its nodes each row has."""

    rows: sparse.csr_array
    targets: list[sparse.csr_array]
    tree: LabelTree
    params: TrainingParams
    threads: int = 1

    @classmethod
    def of(
        cls, features: sparse.csr_array, labels: sparse.csr_array, tree: LabelTree, params: TrainingParams, threads: int
    ) -> "Problem":
        """Of rows and their labels."""
        rows = checked_rows(features, "features")
        targets = tree.targets(checked_rows(labels, "labels", columns=tree.labels))
        for matrix in targets:
            matrix.data = np.ones_like(matrix.data)
        return cls(normalised_rows(rows) if params.normalise else rows, targets, tree, params, threads)

    def model(self, levels: Sequence[Blocks]) -> RankerModel:
        """The model of these levels."""
        return RankerModel(self.rows.shape[1], self.tree, tuple(levels), self.params.normalise)

    def predict(self, levels: Sequence[Blocks]) -> sparse.csr_array:
        """The parents that these levels predict for all rows."""
        return predicted_parents(self.rows, self.model(levels), self.params.beam, threads=self.threads)

    def trainer(
        self,
        level: int,
        predicted: sparse.csr_array | None,
        *,
        given: sparse.csr_array | None = None,
        costs: sparse.csr_array | None = None,
    ) -> LevelTrainer:
        """What solves the nodes of a level."""
        above = self.targets[level - 1] if level else None
        active = active_rows(above, self.params.negatives, predicted=predicted, user_parents=given)
        targets = self.targets[level] if costs is None else checked_rows(costs, "relevance")
        return LevelTrainer(self.rows, LevelProblem(self.tree, level, targets, active), self.params.solver)


def train_ranker(
    features: sparse.csr_array,
    labels: sparse.csr_array,
    tree: LabelTree,
    params: TrainingParams = TrainingParams(),
    *,
    given: Mapping[int, sparse.csr_array] | None = None,
    relevance: Sequence[sparse.csr_array] | None = None,
    warm: RankerModel | None = None,
    threads: int = 1,
) -> Training:
    """All levels in one process, one block each.

    features: rows (n, d); labels: their labels (n, tree.labels). given: for "user" negatives by level (rows, parents).
    relevance: a matrix for each level in the pattern of its targets, whose entries are factors on cost_positive.
    """
    problem = Problem.of(features, labels, tree, params, threads)
    counters: list[SolveCounters] = []

    def solve(level: int, predicted: sparse.csr_array | None) -> Blocks:
        costs = None if relevance is None else relevance[level]
        trainer = problem.trainer(level, predicted, given=(given or {}).get(level), costs=costs)
        start = None
        if warm:
            start = {parent: chunk for block in warm.levels[level] for parent, chunk, _ in split_chunks(block)}
        block, total = trainer.solve_block(range(tree.width(level - 1)), warm=start, threads=threads)
        counters.append(total)
        return (block,)

    levels = train_levels(tree.depth, params.negatives, predict=problem.predict, solve=solve)
    return Training(problem.model(levels), counters)


def train_blocks(
    features: sparse.csr_array,
    labels: sparse.csr_array,
    tree: LabelTree,
    estimate: MemoryEstimate,
    params: TrainingParams = TrainingParams(),
    *,
    take: Callable[[int, ChunkBlock], None],
    threads: int = 1,
) -> None:
    """The blocks of train_ranker, cut to those of an estimate; ``take`` gets level and block, in the order of
    prediction.

    Holds upper levels, which predict negatives, and one block of the labels.
    """
    problem = Problem.of(features, labels, tree, params, threads)
    upper = 0

    def solve(level: int, predicted: sparse.csr_array | None) -> Blocks:
        nonlocal upper
        last, held = level == tree.depth - 1, []
        trainer = problem.trainer(level, predicted)
        del predicted
        for start, stop in parent_blocks(tree, level, BlockParams(labels=estimate.block)):
            block, _ = trainer.solve_block(range(start, stop), threads=threads)
            upper += 0 if last else len(block.values)
            met, most = (len(block.values), estimate.max_block_weights) if last else (upper, estimate.max_upper_weights)
            if met > most:
                raise MemoryNeedError(f"level {level}: expected at most {most} weights as estimated, got {met}")
            if not last:
                held.append(block)
            take(level, block)
        return tuple(held)

    train_levels(tree.depth, params.negatives, predict=problem.predict, solve=solve)


def block_for(
    budget: int,
    shape: ProblemShape,
    training: TrainingParams = TrainingParams(),
    clusters: ClusterParams = ClusterParams(),
    *,
    threads: int = 1,
) -> MemoryEstimate:
    """The estimate of training with the largest blocks that ``budget`` bytes allow."""
    return fitting(
        lambda block: memory_need(shape, training, clusters, threads=threads, block=block),
        budget,
        shape.labels,
        shape.smallest_block(clusters),
        remedy="give more memory, fewer threads, or a larger threshold",
    )


@dataclass(frozen=True)
class Trained:
    """What a refresh starts from: the model, its labels' features (labels, m), and the positives of each level's nodes
    when they were last solved, as ``positives_of`` counts them for a fresh training.
    """

    model: RankerModel
    label_features: sparse.csr_array
    positives: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class Refreshed:
    """The refreshed ranker; ``solved``: for each level which nodes were solved again; blocks without such are the old
    ones.
    """

    model: RankerModel
    positives: tuple[NDArray[np.int64], ...]
    solved: tuple[NDArray[np.bool_], ...]
    counters: list[SolveCounters] = field(default_factory=list)

    @property
    def share_solved(self) -> float:
        """Share of label columns that were solved again."""
        return float(self.solved[-1].mean())


def refresh_ranker(
    features: sparse.csr_array,
    labels: sparse.csr_array,
    gained: NDArray[np.bool_],
    origin: NDArray[np.int64],
    before: Trained,
    params: RefreshParams = RefreshParams(),
    *,
    tree: LabelTree | None = None,
    counted: int | None = None,
    threads: int = 1,
) -> Refreshed:
    """Solves what changed. features: all rows, old and new (n, d); labels: their labels (n, labels), renumbered.

    gained bool (labels,): has rows that it had not before; origin int64 (labels,): the number before, -1 for new
    labels. Labels before that no origin names are dropped. tree: what drifted_tree gave, where it was called before.
    counted: only the first so many rows count as positives, as in ``before.positives``.
    """
    old = before.model
    rows = checked_rows(features, "features", columns=old.features)
    rows = normalised_rows(rows) if old.normalised else rows
    chosen = checked_rows(labels, "labels", columns=len(origin))
    if tree is None:
        used = rows if old.normalised or not params.embedding.normalise else normalised_rows(rows)
        none = np.zeros(len(origin), dtype=np.bool_)
        tree, _ = drifted_tree(used, chosen, none, origin, old.tree, before.label_features, params)
    targets = tree.targets(chosen)
    for matrix in targets:
        matrix.data = np.ones_like(matrix.data)
    problem = Problem(rows, targets, tree, replace(params.training, normalise=old.normalised), threads)
    changes = _changes(problem, before, gained, origin, params, counted)
    counters: list[SolveCounters] = []

    def solve(level: int, predicted: sparse.csr_array | None) -> Blocks:
        again = changes[level][0]
        trainer = problem.trainer(level, predicted) if again.any() else None
        numbers = origin if level == problem.tree.depth - 1 else np.arange(len(again))
        children = problem.tree.children(level)
        refreshed = [
            refresh_block(block, children, again, numbers, trainer, warm=params.warm, threads=threads)
            for block in old.levels[level]
        ]
        counters.append(sum((total for _, total in refreshed), SolveCounters()))
        return tuple(block for block, _ in refreshed)

    levels = train_levels(
        tree.depth,
        params.training.negatives,
        predict=problem.predict,
        solve=solve,
        solves=lambda level: bool(changes[level][0].any()),
    )
    model = RankerModel(old.features, tree, tuple(levels), old.normalised)
    solved, positives = zip(*changes, strict=True)
    return Refreshed(model, positives, solved, counters)


def _changes(
    problem: Problem,
    before: Trained,
    gained: NDArray[np.bool_],
    origin: NDArray[np.int64],
    params: RefreshParams,
    counted: int | None,
) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """For each level, which nodes are solved again, and the positives that each is then solved with."""
    changes = []
    for level, targets in enumerate(problem.targets):
        now = np.bincount(targets[:counted].indices, minlength=targets.shape[1])
        last = level == problem.tree.depth - 1
        again, then = nodes_to_solve(now, before.positives[level], gained, origin, params, last=last)
        changes.append((again, np.where(again, now, then)))
    return changes


def pick_columns(chunk: Chunk, places: NDArray[np.int64]) -> Chunk:
    """The chunk with only the columns at these places (ascending), renumbered."""
    rank = np.full(len(chunk[4]), -1, dtype=np.int64)
    rank[places] = np.arange(len(places))
    return merge_columns([(chunk, rank)], len(places))


def size_threshold(model: RankerModel, share: float = 0.5) -> float:
    """A threshold that leaves at most this share of the model's bytes, and not much less."""
    sizes = np.concatenate([np.abs(block.values) for blocks in model.levels for block in blocks])
    if share >= 1 or len(sizes) == 0:
        return 0.0
    sizes.sort()
    part = share
    for _ in range(20):
        at = min(int(len(sizes) * (1 - part)), len(sizes) - 1)
        threshold = float(np.nextafter(sizes[at], np.float32(np.inf)))
        found = prune(model, threshold=threshold).nbytes / model.nbytes
        if found <= share:
            return threshold
        part *= 0.99 * share / found
    return float(np.nextafter(sizes[-1], np.float32(np.inf)))


def pareto_front(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    """Points that no other beats, by having at least the recall at no more bytes and time, one of them better."""
    return [point for point in points if not any(_beats(other, point) for other in points)]


def _beats(other: SweepPoint, point: SweepPoint) -> bool:
    pairs = [(-other.recall, -point.recall), (other.bytes, point.bytes)]
    if other.latency_ms is not None and point.latency_ms is not None:
        pairs.append((other.latency_ms, point.latency_ms))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
