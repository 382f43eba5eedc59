"""The stages that keep a trained ranker: a refresh with new interactions, features unchanged.

A refresh always starts from the last full training, so that what was left unsolved adds up against that one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from schemas import xmr as contracts
from schemas.manifests import FileEntry
from schemas.matrices import sparse_from_arrow, sparse_to_arrow, tensors_from_arrow, tensors_to_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.shards import Shard, ShardOutput, even_shards
from tasks.stage import stage
from tasks.stage_run import StageRun
from tasks.xmr.blocks import BlockParams, block_arrays, block_of, by_level, tree_arrays
from tasks.xmr.drift import Change, DriftLimits, HeldOut, compare_models, measure_drift, must_retrain
from tasks.xmr.interactions import CALIBRATION, TEST, TRAINING, RowParams, level_problem
from tasks.xmr.model import ChunkBlock, RankerModel
from tasks.xmr.open import read_held, read_label_features, read_targets, read_training, read_tree, rows_of
from tasks.xmr.refresh import RefreshParams, drifted_tree, gained_labels, nodes_to_solve, positives_of, refresh_block
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.training import LevelTrainer, predicted_parents
from tasks.xmr.tree import LabelTree


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
    """The old tree with new labels in their nearest leaves, and without those that are gone; states how far leaves drifted."""
    data = read_training(run.store, interactions, features, rows)
    old = read_label_features(run.store.open(old_label_features, contracts.LABEL_FEATURES))
    new = _New.since(run.store, interactions, old_interactions)
    chain = read_tree(run.store.open(old_tree, contracts.TREE))
    used = data.scaled if params.embedding.normalise else data.features
    tree, distances = drifted_tree(used, data.targets, new.solved(params), new.origin, chain, old, params)
    run.write("tree", tensors_to_arrow(tree_arrays(tree)))
    run.quality = {
        "labels": tree.labels,
        "depth": tree.depth,
        "widths": [tree.width(level) for level in range(tree.depth)],
        "largest_leaf": int(np.diff(tree.children(tree.depth - 1).start).max()),
        "new_labels": int((new.origin < 0).sum()),
        "centroid_mean": round(float(distances.mean()), 6),
        "centroid_most": round(float(distances.max()), 6),
    }


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
    """Solves the labels with new rows and the new ones level by level, one shard a block of parents, as training does; states
    the share solved, the drift, and why to train again, if so.

    The features are those of the old vocabulary, the blocks of parents those that the old model was trained in.
    """
    store = run.store
    chain, old_chain = (read_tree(store.open(ref, contracts.TREE)) for ref in (tree, old_tree))
    new = _New.since(store, interactions, old_interactions)
    before, now = positives_of(old_chain, new.targets_before), positives_of(chain, new.targets)
    data, origin = read_training(store, interactions, features, rows), new.origin
    fan_out = _FanOut(run, chain, _Given(interactions, features, tree, params, rows), blocks, old_model)
    solved: list[NDArray[np.bool_]] = []
    for level in range(chain.depth):
        last = level == chain.depth - 1
        again, _ = nodes_to_solve(now[level], before[level], new.gained, origin, params, last=last)
        fan_out.solve(level, again, origin if last else np.arange(len(again)), data.features.shape[0])
        solved.append(again)
    held = _compared(
        run,
        interactions,
        held_features,
        tree,
        old_tree,
        old_model,
        origin,
        blocks,
        any(again.any() for again in solved[:-1]),
    )
    _kept.clear()
    _compared_imports.clear()
    centres = (store.manifest(tree).quality["centroid_mean"], store.manifest(tree).quality["centroid_most"])
    change = Change(origin, new.gained, new.fresh, solved[-1])
    report = measure_drift(old_chain, chain, change, centres, data.features, held)
    drift = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(report).items()}
    run.quality = {
        "features": data.features.shape[1],
        "normalised": params.training.normalise,
        "labels": chain.labels,
        "rows": data.features.shape[0],
        "weights": fan_out.weights,
        "bytes": fan_out.bytes,
        "solved": [int(again.sum()) for again in solved],
        "drift": drift,
        "must_retrain": must_retrain(report, limits),
    }


@dataclass(frozen=True)
class _Given:
    """What every shard of a refresh is told."""

    interactions: Ref
    features: Ref
    tree: Ref
    params: RefreshParams
    rows: RowParams


@dataclass
class _FanOut:
    """The shards of a refresh, numbered through over all levels so that their files do not collide."""

    run: StageRun
    tree: LabelTree
    given: _Given
    blocks: BlockParams
    old_model: Ref
    number: int = 0
    weights: int = 0
    bytes: int = 0

    def __post_init__(self) -> None:
        entries = self.run.store.open(self.old_model, contracts.MODEL).entries("weights")
        places = self.run.gather(_where_shard, [Shard(i, i, i + 1) for i in range(len(entries))], entries=entries)
        self._old: list[list[tuple[Shard, FileEntry]]] = [[] for _ in range(self.tree.depth)]
        for entry, (level, start, stop) in zip(entries, places, strict=True):
            self._old[level].append((Shard(len(self._old[level]), start, stop), entry))
        self._new: list[FileEntry] = []

    def solve(self, level: int, again: NDArray[np.bool_], origin: NDArray[np.int64], count: int) -> None:
        """Makes the blocks of a level; before that, if any of its nodes is solved, leads blocks of rows to their parents."""
        matches: list[FileEntry] = []
        if level and again.any() and "man" in self.given.params.training.negatives:
            matches = self._map(_match_shard, even_shards(count, self.blocks.rows), weights=list(self._new))
        shards = [shard for shard, _ in self._old[level]]
        old = {self.number + shard.index: entry for shard, entry in self._old[level]}
        self._new += self._map(
            _refresh_shard, shards, level=level, again=again, origin=origin, old=old, matches=matches
        )

    def _map(self, function: Callable[..., ShardOutput], shards: list[Shard], **arguments: Any) -> list[FileEntry]:
        run, before = self.run, len(self.run.entries)
        mine = [Shard(self.number + shard.index, shard.start, shard.stop) for shard in shards]
        self.number += len(shards)
        figures = run.map_shards(function, mine, given=self.given, threads=run.threads_of(mine), **arguments)
        self.weights += sum(one.get("weights", 0) for one in figures)
        self.bytes += sum(one.get("bytes", 0) for one in figures)
        return run.entries[before:]


def _where_shard(store: Store, shard: Shard, *, entries: Sequence[FileEntry]) -> tuple[int, int, int]:
    """The level of a stored block, its first parent and the one after its last."""
    level, block = _block(store, entries[shard.index])
    return level, int(block.parents[0]), int(block.parents[-1]) + 1


def _match_shard(
    store: Store, shard: Shard, *, given: _Given, weights: Sequence[FileEntry], threads: int
) -> ShardOutput:
    """The parents that the levels above, as they are now, predict for some rows."""
    data = read_training(store, given.interactions, given.features, given.rows)
    chain, training = read_tree(store.open(given.tree, contracts.TREE)), given.params.training
    levels = by_level([_block(store, entry) for entry in weights])
    partial = RankerModel(data.features.shape[1], chain, levels, training.normalise)
    found = predicted_parents(data.features[shard.start : shard.stop], partial, training.beam, threads=threads)
    return ShardOutput({"matches": sparse_to_arrow(found)}, {"non_zeros": int(found.nnz)})


def _refresh_shard(
    store: Store,
    shard: Shard,
    *,
    given: _Given,
    level: int,
    again: NDArray[np.bool_],
    origin: NDArray[np.int64],
    old: Mapping[int, FileEntry],
    matches: Sequence[FileEntry],
    threads: int,
) -> ShardOutput:
    """A block of parents with what changed solved; where nothing of it is, no training row is read."""
    _, block = _block(store, old[shard.index])
    children = read_tree(store.open(given.tree, contracts.TREE)).children(level)
    nodes = children.ids[children.start[shard.start] : children.start[shard.stop]]
    trainer = _trainer(store, given, level, matches) if again[nodes].any() else None
    made, counters = refresh_block(block, children, again, origin, trainer, warm=given.params.warm, threads=threads)
    figures = asdict(counters) | {"weights": len(made.values), "bytes": made.nbytes}
    return ShardOutput({"weights": tensors_to_arrow(block_arrays(made, level))}, figures)


def _trainer(store: Store, given: _Given, level: int, matches: Sequence[FileEntry]) -> LevelTrainer:
    """What solves the nodes of a level on all rows, just as training does."""
    data, training = read_training(store, given.interactions, given.features, given.rows), given.params.training
    chain, predicted = read_tree(store.open(given.tree, contracts.TREE)), None
    if matches:
        parts = [store.read_table(entry, contracts.MODEL, where=entry.path) for entry in matches]
        predicted = sparse_from_arrow(pa.concat_tables(parts), columns=chain.width(level - 1))
    problem = level_problem(data, chain, level, training, given.rows, predicted=predicted)
    scaled = data.scaled if training.normalise else data.features
    return LevelTrainer(scaled, problem, training.solver)


def _compared(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    old_tree: Ref,
    old_model: Ref,
    origin: NDArray[np.int64],
    blocks: BlockParams,
    leaves: bool,
) -> HeldOut:
    """What the old and the refreshed model answer to the held-out queries, in blocks of these."""
    held = rows_of(run.store.open(interactions, contracts.INTERACTIONS).read("queries"), (CALIBRATION, TEST))
    weights = [entry for entry in run.entries if entry.table == "weights"]
    shards = even_shards(len(held), blocks.rows)
    found = run.gather(
        _compare_shard,
        shards,
        interactions=interactions,
        features=features,
        tree=tree,
        weights=weights,
        old_tree=old_tree,
        old_model=old_model,
        origin=origin,
        leaves=leaves,
        threads=run.threads_of(shards),
    )
    return sum(found, HeldOut())


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
) -> HeldOut:
    chain, artifact = read_tree(store.open(old_tree, contracts.TREE)), store.open(old_model, contracts.MODEL)
    before, after = (
        RankerModel(
            artifact.quality["features"],
            grown,
            by_level([_block(store, entry) for entry in entries]),
            artifact.quality["normalised"],
        )
        for grown, entries in (
            (chain, artifact.entries("weights")),
            (read_tree(store.open(tree, contracts.TREE)), weights),
        )
    )
    queries, truth = read_held(store, interactions, features, (CALIBRATION, TEST))
    mine = slice(shard.start, shard.stop)
    return compare_models(before, after, origin, queries[mine], truth[mine], leaves=leaves, threads=threads)


#: Weights by checksum, those read last, up to so many bytes: the old ones are placed, changed and compared in turn, often by
#: one process.
_kept: dict[str, tuple[int, ChunkBlock]] = {}
KEPT_BYTES = 256 * 2**20


def _block(store: Store, entry: FileEntry) -> tuple[int, ChunkBlock]:
    """A stored block and its level, read again only where too much was read since."""
    found = _kept.pop(entry.sha256, None)
    if found is None:
        found = block_of(tensors_from_arrow(store.read_table(entry, contracts.MODEL, where=entry.path)))
    _kept[entry.sha256] = found
    while sum(block.nbytes for _, block in _kept.values()) > KEPT_BYTES:
        del _kept[next(iter(_kept))]
    return found


@dataclass(frozen=True)
class _New:
    """What came since the old interactions: the labels' numbers before (-1: new), which have a training query that they had
    not, which training queries are new; and the labels of the training queries, now and before.
    """

    origin: NDArray[np.int64]
    gained: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    targets: sparse.csr_array
    targets_before: sparse.csr_array

    @classmethod
    def since(cls, store: Store, interactions: Ref, old: Ref) -> "_New":
        """Compares two imports, once for both stages; labels and queries are the same by id."""
        key = (store.url, interactions, old)
        if key not in _compared_imports:
            _compared_imports.clear()
            _compared_imports[key] = cls._since(store, interactions, old)
        return _compared_imports[key]

    @classmethod
    def _since(cls, store: Store, interactions: Ref, old: Ref) -> "_New":
        (labels, ids, now), (labels_before, ids_before, before) = (_training(store, ref) for ref in (interactions, old))
        origin, rows = _places(labels, labels_before), _places(ids, ids_before)
        # The old rows in the order of the new ones; what is new has an empty row.
        padded = sparse.vstack([before, sparse.csr_array((1, before.shape[1]), dtype=np.float32)], format="csr")
        known = checked_rows(padded[np.where(rows < 0, len(ids_before), rows)], "labels before")
        return cls(origin, gained_labels(now, known, origin), rows < 0, now, before)

    def solved(self, params: RefreshParams) -> NDArray[np.bool_]:
        """The labels that are solved again."""
        now, before = (np.bincount(one.indices, minlength=one.shape[1]) for one in (self.targets, self.targets_before))
        return nodes_to_solve(now, before, self.gained, self.origin, params, last=True)[0]


_compared_imports: dict[tuple[str, Ref, Ref], _New] = {}


def _places(ids: pa.Array, among: pa.Array) -> NDArray[np.int64]:
    """Where each id stands among others, -1 where it does not."""
    found = pc.fill_null(pc.index_in(ids, value_set=among), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False)).astype(np.int64)


def _training(store: Store, interactions: Ref) -> tuple[pa.Array, pa.Array, sparse.csr_array]:
    """Ids of the labels, ids of the training queries, and what was chosen for these."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries, labels = artifact.read("queries"), artifact.read("labels")["id"].combine_chunks()
    mine = rows_of(queries, (TRAINING,))
    ids = queries["id"].combine_chunks().take(pa.array(mine))
    return labels, ids, checked_rows(read_targets(artifact)[mine], "labels")
