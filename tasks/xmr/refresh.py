"""Incremental refresh of a ranker: features and tree are kept, only columns with new positives are solved again.

New labels join the leaf with the nearest centroid. A column that is solved again equals that of a full training on the
same tree with the same negatives; every other column is copied bit for bit.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.chunk_merge import merge_columns
from fingerpost.tasks.xmr.label_features import EmbeddingParams
from fingerpost.tasks.xmr.model import Chunk, ChunkBlock, join_chunks, split_chunks
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows
from fingerpost.tasks.xmr.training import LevelTrainer, SolveCounters, TrainingParams
from fingerpost.tasks.xmr.tree import Children, LabelTree
from fingerpost.tasks.xmr.tree_growth import ChangedLabels, embedded, grow_tree


@dataclass(frozen=True)
class RefreshParams:
    """Which nodes a refresh solves again, how they are solved, and how far leaves may grow.

    training: solver and negatives.
    embedding: label features, which decide the leaf of a new label.
    max_leaf_size: maximum number of labels per leaf of the full training.
    leaf_growth: a leaf accepts new labels up to this multiple of ``max_leaf_size``, unless all leaves are full.
    label_gain: a label with new rows is solved again once its number of positives has changed by more than this
        fraction of the number at its last solve; 0: with every new row.
    node_gain: the same for nodes above the labels.
    warm: whether the solver starts from the old weights. This pays off for a small eps and unpruned weights; at the
        default settings the old weights are further from the solution than zero.
    """

    training: TrainingParams = field(default_factory=lambda: TrainingParams(negatives="tfn"))
    embedding: EmbeddingParams = field(default_factory=EmbeddingParams)
    max_leaf_size: int = 100
    leaf_growth: float = 1.25
    label_gain: float = 0.05
    node_gain: float = 0.2
    warm: bool = False

    def __post_init__(self) -> None:
        for name, minimum in (("max_leaf_size", 1), ("leaf_growth", 1.0), ("node_gain", 0.0), ("label_gain", 0.0)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name}: expected at least {minimum}, got {getattr(self, name)}; raise it")


def positives_of(tree: LabelTree, labels: sparse.csr_array) -> tuple[NDArray[np.int64], ...]:
    """Number of positive rows of each node, int64 (nodes,) per level; ``labels``: CSR (rows, tree.labels)."""
    return tuple(np.bincount(level.indices, minlength=level.shape[1]) for level in tree.targets(labels))


def gained_labels(labels: sparse.csr_array, before: sparse.csr_array, origin: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Labels (columns of ``labels``) with a positive row that they did not have ``before``, bool (labels,).

    The first rows of ``labels`` are the rows of ``before``. origin: int64 (labels,), the column of each label in
    ``before``, -1 for a new label.
    """
    now, old = checked_rows(labels, "labels"), checked_rows(before, "labels before")
    if old.shape[0] > now.shape[0] or len(origin) != now.shape[1]:
        raise MatrixError(
            f"labels: expected at least {old.shape[0]} rows and {len(origin)} columns, got {now.shape}; keep the old"
            " rows"
        )
    column_now = np.full(old.shape[1], -1, dtype=np.int64)
    column_now[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    rows = np.repeat(np.arange(old.shape[0]), np.diff(old.indptr))
    columns = column_now[old.indices]
    width = np.int64(now.shape[1])
    old_pairs = rows[columns >= 0] * width + columns[columns >= 0]
    pairs = np.repeat(np.arange(now.shape[0]), np.diff(now.indptr)) * width + now.indices
    gained = origin < 0
    gained[now.indices[~np.isin(pairs, old_pairs, assume_unique=True)]] = True
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
    """Nodes of a level to solve again, bool (nodes,), and their positives at the last solve, int64 (0: new label).

    now: positives of the level's nodes, int64 (nodes,).
    before: positives at the last solve, in the numbering of that time.
    gained: bool (labels,), whether a label has new rows; used for the ``last`` level only.
    origin: int64 (labels,), the label's former number, -1 for a new label; used for the ``last`` level only.
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
    """The tree with new labels in the nearest leaves, and the drift of each leaf's centroid, float64 (leaves,).

    Drift is 1 - cosine of the centroid before and now.

    rows: CSR (n, d), scaled to unit length if ``params.embedding`` normalises.
    targets: CSR (n, labels).
    gained: bool (labels,), known labels whose features are recomputed; new labels always are.
    origin: int64 (labels,), the label's former number, -1 for a new label.
    label_features: CSR (labels before, d).

    Raises ValueError for an embedding other than PIFA, and for a tree with chain nodes.
    """
    if params.embedding.method != "pifa":
        raise ValueError(f"refresh: expected labels embedded by pifa, got {params.embedding.method}; train again")
    if tree.chains:
        raise ValueError("refresh: expected a tree without chain nodes, which cannot get siblings; train again")
    chosen = np.flatnonzero(gained | (origin < 0))
    changed = ChangedLabels(chosen, embedded(rows, targets, chosen) if len(chosen) else label_features[:0])
    return grow_tree(tree, origin, label_features, changed, capacity=int(params.max_leaf_size * params.leaf_growth))


def refresh_block(
    block: ChunkBlock,
    children: Children,
    to_solve: NDArray[np.bool_],
    origin: NDArray[np.int64],
    trainer: LevelTrainer | None,
    *,
    warm: bool = False,
    threads: int = 1,
) -> tuple[ChunkBlock, SolveCounters]:
    """A block of a level with the columns selected by ``to_solve`` solved again; ``block`` itself if nothing changed.

    children: the level's nodes by parent, now.
    to_solve: bool (nodes,), whether a node is solved again.
    origin: int64 (nodes,), the node's former number, -1 for a new node.
    trainer: that of the level; None where no node of the block is solved.
    """
    ids = [children.of(parent) for parent in block.parents.tolist()]
    nodes = np.concatenate([*ids, np.empty(0, np.uint32)])
    if np.array_equal(nodes, block.ids) and not to_solve[nodes].any() and (origin[nodes] == nodes).all():
        return block, SolveCounters()
    chunks, total = [], SolveCounters()
    for (parent, chunk, old), node_ids in zip(split_chunks(block), ids, strict=True):
        refreshed, counters = refresh_chunk(
            parent, chunk, old, node_ids, origin[node_ids], to_solve[node_ids], trainer, warm, threads
        )
        chunks.append(refreshed)
        total += counters
    return join_chunks(block.parents, chunks, ids), total


def refresh_chunk(
    parent: int,
    chunk: Chunk,
    old: NDArray[np.uint32],
    ids: NDArray[np.uint32],
    origin: NDArray[np.int64],
    to_solve: NDArray[np.bool_],
    trainer: LevelTrainer | None,
    warm: bool = False,
    threads: int = 1,
) -> tuple[Chunk, SolveCounters]:
    """The chunk of one parent for its children ``ids``, from the chunk of its former children ``old``.

    Children selected by ``to_solve`` are solved; the columns of the others are copied.
    """
    kept_columns = np.full(len(old), -1, dtype=np.int64)
    before = np.searchsorted(old, np.maximum(origin, 0))
    kept = np.flatnonzero((origin >= 0) & ~to_solve)
    kept_columns[before[kept]] = kept
    parts = [(chunk, kept_columns)]
    solve_at, total = np.flatnonzero(to_solve), SolveCounters()
    if len(solve_at) and trainer is not None:
        start = None
        if warm:
            solved_before = np.flatnonzero(origin[solve_at] >= 0)
            from_old = np.full(len(old), -1, dtype=np.int64)
            from_old[before[solve_at[solved_before]]] = solved_before
            start = merge_columns([(chunk, from_old)], len(solve_at))
        solved, total = trainer.solve(parent, warm=start, only=solve_at, threads=threads)
        parts.append((solved[:5], solve_at))
    return merge_columns(parts, len(ids)), total
