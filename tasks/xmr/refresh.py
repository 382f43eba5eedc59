"""Refreshing a ranker without training it again: features and tree stay, only columns with new positives are solved.

New labels join the leaf whose centre their features are nearest to. A column that is solved again is what a training on
the same tree with the same negatives would make of it; every other column keeps its bits.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.xmr.columns import merge_columns
from tasks.xmr.label_features import EmbeddingParams
from tasks.xmr.leaves import Came, embedded, grow_tree
from tasks.xmr.model import Chunk, ChunkBlock, join_chunks, split_chunks
from tasks.xmr.sparse_rows import MatrixError, checked_rows
from tasks.xmr.training import LevelTrainer, SolveCounters, TrainingParams
from tasks.xmr.tree import Children, LabelTree


@dataclass(frozen=True)
class RefreshParams:
    """What a refresh solves again, how, and how far leaves may grow.

    A label with new rows is solved again once its positives have changed by more than ``label_gain`` of those it was
    last solved with, a node above the labels by more than ``node_gain``; 0: with every new row. A leaf takes new labels
    up to ``leaf_growth`` times ``max_leaf_size`` while any other leaf has room. ``warm``: start from the old weights;
    that pays where eps is small and no weight was pruned, at the default settings they are further from the solution
    than zero is.
    """

    training: TrainingParams = field(default_factory=lambda: TrainingParams(negatives="tfn"))
    embedding: EmbeddingParams = field(default_factory=EmbeddingParams)
    max_leaf_size: int = 100
    leaf_growth: float = 1.25
    label_gain: float = 0.05
    node_gain: float = 0.2
    warm: bool = False

    def __post_init__(self) -> None:
        for name, least in (("max_leaf_size", 1), ("leaf_growth", 1.0), ("node_gain", 0.0), ("label_gain", 0.0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}; raise it")


def positives_of(tree: LabelTree, labels: sparse.csr_array) -> tuple[NDArray[np.int64], ...]:
    """How many rows each node of each level has, from the rows' labels (n, tree.labels)."""
    return tuple(np.bincount(level.indices, minlength=level.shape[1]) for level in tree.targets(labels))


def gained_labels(labels: sparse.csr_array, before: sparse.csr_array, origin: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which labels (columns of ``labels``) have a row that they had not ``before``, whose rows come first.

    origin int64: for each label its column before, -1 for a new one.
    """
    now, old = checked_rows(labels, "labels"), checked_rows(before, "labels before")
    if old.shape[0] > now.shape[0] or len(origin) != now.shape[1]:
        raise MatrixError(
            f"labels: expected at least {old.shape[0]} rows and {len(origin)} columns, got {now.shape}; keep the old"
            " rows"
        )
    place = np.full(old.shape[1], -1, dtype=np.int64)
    place[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    rows = np.repeat(np.arange(old.shape[0]), np.diff(old.indptr))
    mine = place[old.indices]
    width = np.int64(now.shape[1])
    known = rows[mine >= 0] * width + mine[mine >= 0]
    asked = np.repeat(np.arange(now.shape[0]), np.diff(now.indptr)) * width + now.indices
    gained = origin < 0
    gained[now.indices[~np.isin(asked, known, assume_unique=True)]] = True
    return gained


def nodes_to_solve(
    now: NDArray[np.int64],
    before: NDArray[np.int64],
    gained: NDArray[np.bool_],
    origin: NDArray[np.int64],
    params: RefreshParams,
    *,
    last: bool,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which nodes of a level are solved again, and the positives int64 of each when last solved (0: a new label).

    now, before: positives of the level's nodes, before in their numbers then. gained bool (labels,): has rows that it
    had not before; origin int64 (labels,): the number before, -1 for a new label. These count on the ``last`` level
    alone.
    """
    if not last:
        return np.abs(now - before) > params.node_gain * before, before
    then = np.where(origin >= 0, before[np.maximum(origin, 0)], 0)
    return (gained & (np.abs(now - then) > params.label_gain * then)) | (origin < 0), then


def drifted_tree(
    rows: sparse.csr_array,
    targets: sparse.csr_array,
    gained: NDArray[np.bool_],
    origin: NDArray[np.int64],
    tree: LabelTree,
    label_features: sparse.csr_array,
    params: RefreshParams = RefreshParams(),
) -> tuple[LabelTree, NDArray[np.float64]]:
    """The tree with new labels in the leaves nearest to their rows, and float64 (leaves,) how far each leaf's centre
    has gone: 1 - cosine of it before and now.

    rows (n, d): as labels are embedded by, scaled to length one where ``params.embedding`` says so; targets (n,
    labels), origin int64 (labels,): the number before, -1 for a new label; label_features (labels before, d). gained
    bool (labels,): which labels are to have other features than before, beside those that are new.
    """
    if params.embedding.method != "pifa":
        raise ValueError(f"refresh: expected labels embedded by pifa, got {params.embedding.method}; train again")
    chosen = np.flatnonzero(gained | (origin < 0))
    came = Came(chosen, embedded(rows, targets, chosen) if len(chosen) else label_features[:0])
    return grow_tree(tree, origin, label_features, came, capacity=int(params.max_leaf_size * params.leaf_growth))


def refresh_block(
    block: ChunkBlock,
    children: Children,
    again: NDArray[np.bool_],
    origin: NDArray[np.int64],
    trainer: LevelTrainer | None,
    *,
    warm: bool = False,
    threads: int = 1,
) -> tuple[ChunkBlock, SolveCounters]:
    """A block of a level with the columns of ``again`` solved; the very block where nothing changed.

    children: of the level now. again bool, origin int64: whether each node is solved, and its number before, -1 for a
    new one. trainer: of the level; None where none of these is solved.
    """
    ids = [children.of(parent) for parent in block.parents.tolist()]
    nodes = np.concatenate([*ids, np.empty(0, np.uint32)])
    if np.array_equal(nodes, block.ids) and not again[nodes].any() and (origin[nodes] == nodes).all():
        return block, SolveCounters()
    chunks, total = [], SolveCounters()
    for (parent, chunk, old), mine in zip(split_chunks(block), ids, strict=True):
        made, counters = refresh_chunk(parent, chunk, old, mine, origin[mine], again[mine], trainer, warm, threads)
        chunks.append(made)
        total += counters
    return join_chunks(block.parents, chunks, ids), total


def refresh_chunk(
    parent: int,
    chunk: Chunk,
    old: NDArray[np.uint32],
    ids: NDArray[np.uint32],
    origin: NDArray[np.int64],
    again: NDArray[np.bool_],
    trainer: LevelTrainer | None,
    warm: bool = False,
    threads: int = 1,
) -> tuple[Chunk, SolveCounters]:
    """One parent's chunk for its children ``ids``, from that of its children ``old``; those of ``again`` are solved."""
    place = np.full(len(old), -1, dtype=np.int64)
    before = np.searchsorted(old, np.maximum(origin, 0))
    kept = np.flatnonzero((origin >= 0) & ~again)
    place[before[kept]] = kept
    parts = [(chunk, place)]
    todo, total = np.flatnonzero(again), SolveCounters()
    if len(todo) and trainer is not None:
        start = None
        if warm:
            known = np.flatnonzero(origin[todo] >= 0)
            from_old = np.full(len(old), -1, dtype=np.int64)
            from_old[before[todo[known]]] = known
            start = merge_columns([(chunk, from_old)], len(todo))
        made, total = trainer.solve(parent, warm=start, only=todo, threads=threads)
        parts.append((made[:5], todo))
    return merge_columns(parts, len(ids)), total
