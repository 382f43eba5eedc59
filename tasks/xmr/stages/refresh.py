"""The stages that refresh a trained ranker with new interactions on unchanged features.

A refresh always starts from the last full training, so that changes which were not solved accumulate against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.recent import Recent
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.drift import (
    Change,
    DriftLimits,
    DriftReport,
    HeldOutComparison,
    compare_models,
    measure_drift,
    must_retrain,
)
from fingerpost.tasks.xmr.interactions import CALIBRATION, TEST, TRAINING, RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams, block_arrays, by_level, tree_arrays
from fingerpost.tasks.xmr.model import ChunkBlock, RankerModel
from fingerpost.tasks.xmr.open import read_held, read_label_features, read_targets, read_training, read_tree, rows_of
from fingerpost.tasks.xmr.refresh import (
    RefreshParams,
    drifted_tree,
    gained_labels,
    nodes_to_solve,
    positives_of,
    refresh_block,
)
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.stages.levels import LevelInputs, LevelShards, read_block
from fingerpost.tasks.xmr.training import train_levels
from fingerpost.tasks.xmr.tree import LabelTree


@stage(contracts.TREE)
def refresh_tree(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    old_interactions: Ref,
    old_label_features: Ref,
    old_tree: Ref,
    *,
    params: RefreshParams,
    rows: RowParams,
) -> None:
    """Adds new labels to their nearest leaves of the old tree, removes missing labels, and measures centroid drift."""
    data = read_training(run.store, interactions, features, rows)
    old = read_label_features(run.store.open(old_label_features, contracts.LABEL_FEATURES))
    new = _New.since(run.store, interactions, old_interactions)
    label_tree = read_tree(run.store.open(old_tree, contracts.TREE))
    used = data.scaled if params.embedding.normalise else data.features
    tree, distances = drifted_tree(used, data.targets, new.solved(params), new.origin, label_tree, old, params)
    run.write("tree", tensors_to_arrow(tree_arrays(tree)))
    run.quality = {
        "labels": tree.labels,
        "new_labels": int((new.origin < 0).sum()),
        "centroid_mean": round(float(distances.mean()), 6),
        "centroid_most": round(float(distances.max()), 6),
    } | tree.figures()


@stage(contracts.MODEL)
def refresh_rankers(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    held_features: Ref,
    tree: Ref,
    old_interactions: Ref,
    old_tree: Ref,
    old_model: Ref,
    *,
    params: RefreshParams,
    rows: RowParams,
    blocks: BlockParams,
    limits: DriftLimits,
) -> None:
    """Solves new labels and labels with new rows, level by level, one shard per block of parents.

    Features are those of the old vocabulary, and blocks of parents those of the old model. The quality records the
    nodes solved per level, the drift, and the reasons for a full training, if any.
    """
    old_label_tree = read_tree(run.store.open(old_tree, contracts.TREE))
    inputs = LevelInputs(interactions, features, tree, params.training, rows)
    changes = _Changes.since(run.store, inputs, old_interactions, old_label_tree, params)
    levels = _refresh_levels(run, inputs, changes, _old_blocks(run, old_model, old_label_tree.depth), blocks, params)
    comparison = _compare(run, inputs, changes, held_features, old_tree, old_model, queries_per_shard=blocks.rows)
    _stored_blocks.clear()
    _compared_imports.clear()
    report = _drift(run, inputs, old_label_tree, changes, comparison)
    run.quality = _model_quality(run, inputs, levels) | {
        "solved": [int(to_solve.sum()) for to_solve in changes.solved],
        "drift": {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(report).items()},
        "must_retrain": must_retrain(report, limits),
    }


#: A stored block of the old weights: the range of its parents, and its file.
_OldBlock = tuple[Shard, FileEntry]


@dataclass(frozen=True)
class _Changes:
    """Changes since the old interactions, and the nodes to solve again, bool (nodes,) per level."""

    new: "_New"
    solved: list[NDArray[np.bool_]]

    @classmethod
    def since(
        cls, store: Store, inputs: LevelInputs, old_interactions: Ref, old_tree: LabelTree, params: RefreshParams
    ) -> "_Changes":
        """Compares two imports, each with its tree."""
        tree = inputs.read_tree(store)
        new = _New.since(store, inputs.interactions, old_interactions)
        before, now = positives_of(old_tree, new.targets_before), positives_of(tree, new.targets)
        solved = []
        for level in range(tree.depth):
            last = level == tree.depth - 1
            to_solve, _ = nodes_to_solve(now[level], before[level], new.gained, new.origin, params, last=last)
            solved.append(to_solve)
        return cls(new, solved)

    def origin_of(self, level: int) -> NDArray[np.int64]:
        """Former numbers of a level's nodes, int64 (nodes,); only those of labels change."""
        return self.new.origin if level == len(self.solved) - 1 else np.arange(len(self.solved[level]))


def _old_blocks(run: StageRun, old_model: Ref, depth: int) -> list[list[_OldBlock]]:
    """The old weights by level, in the blocks of the old training."""
    entries = run.store.open(old_model, contracts.MODEL).entries("weights")
    ranges = run.gather(_where_shard, [Shard(i, i, i + 1) for i in range(len(entries))], entries=entries)
    blocks_of_level: list[list[_OldBlock]] = [[] for _ in range(depth)]
    for entry, (level, start, stop) in zip(entries, ranges, strict=True):
        blocks_of_level[level].append((Shard(len(blocks_of_level[level]), start, stop), entry))
    return blocks_of_level


def _refresh_levels(
    run: StageRun,
    inputs: LevelInputs,
    changes: _Changes,
    old: list[list[_OldBlock]],
    blocks: BlockParams,
    params: RefreshParams,
) -> LevelShards:
    """Refreshes the blocks of all levels."""
    rows = inputs.read_rows(run.store).features.shape[0]
    levels = LevelShards(run, inputs, rows, blocks.rows, run.threads_of, read=_read_block)

    def solve(level: int, matches: list[FileEntry] | None) -> list[FileEntry]:
        return levels.solve(
            _refresh_shard,
            [shard for shard, _ in old[level]],
            level=level,
            to_solve=changes.solved[level],
            origin=changes.origin_of(level),
            old={levels.number + shard.index: entry for shard, entry in old[level]},
            matches=matches or [],
            warm=params.warm,
        )

    train_levels(
        len(old),
        params.training.negatives,
        predict=levels.predict,
        solve=solve,
        solves=lambda level: bool(changes.solved[level].any()),
    )
    return levels


def _model_quality(run: StageRun, inputs: LevelInputs, levels: LevelShards) -> dict[str, object]:
    """Counts of the refreshed weights."""
    data = inputs.read_rows(run.store)
    return {
        "features": data.features.shape[1],
        "normalised": inputs.training.normalise,
        "labels": data.targets.shape[1],
        "rows": data.features.shape[0],
        "weights": levels.sum("weights"),
        "bytes": levels.sum("bytes"),
    }


def _drift(
    run: StageRun, inputs: LevelInputs, old_tree: LabelTree, changes: _Changes, comparison: HeldOutComparison
) -> DriftReport:
    """Drift of the refreshed ranker from the last full training."""
    quality, new = run.store.manifest(inputs.tree).quality, changes.new
    change = Change(new.origin, new.gained, new.fresh, changes.solved[-1])
    centres = (quality["centroid_mean"], quality["centroid_most"])
    features = inputs.read_rows(run.store).features
    return measure_drift(old_tree, inputs.read_tree(run.store), change, centres, features, comparison)


def _where_shard(store: Store, shard: Shard, *, entries: Sequence[FileEntry]) -> tuple[int, int, int]:
    """Level of a stored block, and the range of its parents."""
    level, block = _read_block(store, entries[shard.index])
    return level, int(block.parents[0]), int(block.parents[-1]) + 1


def _refresh_shard(
    store: Store,
    shard: Shard,
    *,
    inputs: LevelInputs,
    level: int,
    to_solve: NDArray[np.bool_],
    origin: NDArray[np.int64],
    old: Mapping[int, FileEntry],
    matches: Sequence[FileEntry],
    warm: bool,
    threads: int,
) -> ShardOutput:
    """Refreshes a block of parents; training rows are read only where a node of the block is solved."""
    _, block = _read_block(store, old[shard.index])
    children = inputs.read_tree(store).children(level)
    nodes = children.ids[children.start[shard.start] : children.start[shard.stop]]
    trainer = inputs.trainer(store, level, matches) if to_solve[nodes].any() else None
    refreshed, counters = refresh_block(block, children, to_solve, origin, trainer, warm=warm, threads=threads)
    figures = asdict(counters) | {"weights": len(refreshed.values), "bytes": refreshed.nbytes}
    return ShardOutput({"weights": tensors_to_arrow(block_arrays(refreshed, level))}, figures)


def _compare(
    run: StageRun,
    inputs: LevelInputs,
    changes: _Changes,
    held_features: Ref,
    old_tree: Ref,
    old_model: Ref,
    *,
    queries_per_shard: int,
) -> HeldOutComparison:
    """Compares the old and the refreshed model on the held-out queries, in blocks of queries."""
    queries = run.store.open(inputs.interactions, contracts.INTERACTIONS).read("queries")
    shards = even_shards(len(rows_of(queries, (CALIBRATION, TEST))), queries_per_shard)
    parts = run.gather(
        _compare_shard,
        shards,
        interactions=inputs.interactions,
        features=held_features,
        tree=inputs.tree,
        weights=[entry for entry in run.entries if entry.table == "weights"],
        old_tree=old_tree,
        old_model=old_model,
        origin=changes.new.origin,
        leaves=any(to_solve.any() for to_solve in changes.solved[:-1]),
        threads=run.threads_of(shards),
    )
    return sum(parts, HeldOutComparison())


def _compare_shard(
    store: Store,
    shard: Shard,
    *,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    weights: Sequence[FileEntry],
    old_tree: Ref,
    old_model: Ref,
    origin: NDArray[np.int64],
    leaves: bool,
    threads: int,
) -> HeldOutComparison:
    label_tree, artifact = read_tree(store.open(old_tree, contracts.TREE)), store.open(old_model, contracts.MODEL)
    before, after = (
        RankerModel(
            artifact.quality["features"],
            tree_of_model,
            by_level([_read_block(store, entry) for entry in entries], tree_of_model.depth),
            artifact.quality["normalised"],
        )
        for tree_of_model, entries in (
            (label_tree, artifact.entries("weights")),
            (read_tree(store.open(tree, contracts.TREE)), weights),
        )
    )
    queries, truth = read_held(store, interactions, features, (CALIBRATION, TEST))
    rows = slice(shard.start, shard.stop)
    return compare_models(before, after, origin, queries[rows], truth[rows], leaves=leaves, threads=threads)


#: Stored blocks by checksum, up to 256 MiB: the old ones are located, refreshed and compared in turn, often by one
#: process.
_stored_blocks: Recent[str, tuple[int, ChunkBlock]] = Recent(256 * 2**20, lambda stored: stored[1].nbytes)


def _read_block(store: Store, entry: FileEntry) -> tuple[int, ChunkBlock]:
    """A stored block and its level, from the cache if it is still there."""
    return _stored_blocks.get(entry.sha256, lambda: read_block(store, entry))


@dataclass(frozen=True)
class _New:
    """Changes since the old interactions.

    origin: int64 (labels,), the label's former number, -1 for a new label.
    gained: bool (labels,), labels with new training queries.
    fresh: bool (queries,), new training queries.
    targets, targets_before: CSR (queries, labels), chosen labels of the training queries, now and before.
    """

    origin: NDArray[np.int64]
    gained: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    targets: sparse.csr_array
    targets_before: sparse.csr_array

    @classmethod
    def since(cls, store: Store, interactions: Ref, old: Ref) -> "_New":
        """Compares two imports, once for both stages; labels and queries are matched by id."""
        return _compared_imports.get((store.url, interactions, old), lambda: cls._since(store, interactions, old))

    @classmethod
    def _since(cls, store: Store, interactions: Ref, old: Ref) -> "_New":
        (labels, ids, now), (labels_before, ids_before, before) = (_training(store, ref) for ref in (interactions, old))
        origin, rows = _indices_in(labels, labels_before), _indices_in(ids, ids_before)
        # The old rows in the order of the new ones; a new query has an empty row.
        padded = sparse.vstack([before, sparse.csr_array((1, before.shape[1]), dtype=np.float32)], format="csr")
        old_rows = checked_rows(padded[np.where(rows < 0, len(ids_before), rows)], "labels before")
        return cls(origin, gained_labels(now, old_rows, origin), rows < 0, now, before)

    def solved(self, params: RefreshParams) -> NDArray[np.bool_]:
        """Labels to solve again, bool (labels,)."""
        now, before = (
            np.bincount(targets.indices, minlength=targets.shape[1]) for targets in (self.targets, self.targets_before)
        )
        return nodes_to_solve(now, before, self.gained, self.origin, params, last=True)[0]


#: The last two imports that were compared, for both stages of a refresh.
_compared_imports: Recent[tuple[str, Ref, Ref], _New] = Recent()


def _indices_in(ids: pa.Array, among: pa.Array) -> NDArray[np.int64]:
    """Index of each id in ``among``, int64; -1 where it is missing."""
    indices = pc.fill_null(pc.index_in(ids, value_set=among), -1)
    return np.asarray(indices.to_numpy(zero_copy_only=False)).astype(np.int64)


def _training(store: Store, interactions: Ref) -> tuple[pa.Array, pa.Array, sparse.csr_array]:
    """Ids of the labels, ids of the training queries, and the chosen labels of these, CSR (queries, labels)."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries, labels = artifact.read("queries"), artifact.read("labels")["id"].combine_chunks()
    mine = rows_of(queries, (TRAINING,))
    ids = queries["id"].combine_chunks().take(pa.array(mine))
    return labels, ids, checked_rows(read_targets(artifact)[mine], "labels")
