"""The stages that keep a trained ranker: a refresh with new interactions, features unchanged.

A refresh always starts from the last full training, so that what was left unsolved adds up against that one.
"""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from schemas import xmr as contracts
from schemas.matrices import tensors_to_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.stage import stage
from tasks.stage_run import StageRun
from tasks.xmr.blocks import block_arrays, tree_arrays
from tasks.xmr.drift import DriftLimits, measure_drift, must_retrain
from tasks.xmr.interactions import CALIBRATION, TEST, TRAINING, RowParams
from tasks.xmr.open import read_held, read_label_features, read_model, read_targets, read_training, read_tree, rows_of
from tasks.xmr.refresh import (
    RefreshParams,
    Trained,
    gained_labels,
    positives_of,
    refresh_ranker,
    refreshed_tree,
)
from tasks.xmr.sparse_rows import checked_rows


@stage(contracts.TREE)
def refresh_tree(
    run: StageRun, interactions: Ref, features: Ref, old_interactions: Ref, old_label_features: Ref, old_tree: Ref, *,
    params: RefreshParams, rows: RowParams,
) -> None:  # fmt: skip
    """The old tree with new labels in their nearest leaves, and without those that are gone."""
    data = read_training(run.store, interactions, features, rows)
    old = read_label_features(run.store.open(old_label_features, contracts.LABEL_FEATURES))
    origin = _origin(run.store, interactions, old_interactions)
    chain = read_tree(run.store.open(old_tree, contracts.TREE))
    tree = refreshed_tree(data.features, data.targets, origin, chain, old, params)
    run.write("tree", tensors_to_arrow(tree_arrays(tree)))
    run.quality = {
        "labels": tree.labels,
        "depth": tree.depth,
        "widths": [tree.width(level) for level in range(tree.depth)],
        "largest_leaf": int(np.diff(tree.children(tree.depth - 1).start).max()),
        "new_labels": int((origin < 0).sum()),
    }


@stage(contracts.MODEL)
def refresh_rankers(
    run: StageRun, interactions: Ref, features: Ref, held_features: Ref, tree: Ref, old_interactions: Ref, old_features: Ref,
    old_label_features: Ref, old_tree: Ref, old_model: Ref, *, params: RefreshParams, rows: RowParams, limits: DriftLimits,
) -> None:  # fmt: skip
    """Solves the labels with new rows and the new ones; states the share solved, the drift, and why to train again, if so.

    The features are those of the old vocabulary.
    """
    store = run.store
    data, old = read_training(store, interactions, features, rows), store.open(old_model, contracts.MODEL)
    origin = _origin(store, interactions, old_interactions)
    gained = _gained(store, interactions, old_interactions, origin)
    chain = read_tree(store.open(old_tree, contracts.TREE))
    then = read_training(store, old_interactions, old_features, rows)
    before = Trained(
        read_model(old, chain),
        read_label_features(store.open(old_label_features, contracts.LABEL_FEATURES)),
        positives_of(chain, then.targets),
    )
    grown = read_tree(store.open(tree, contracts.TREE))
    after = refresh_ranker(data.features, data.targets, gained, origin, before, params, tree=grown, threads=run.threads)
    blocks = [(level, block) for level, mine in enumerate(after.model.levels) for block in mine]
    for number, (level, block) in enumerate(blocks):
        run.write("weights", tensors_to_arrow(block_arrays(block, level)), shard=number)
    held = read_held(store, interactions, held_features, (CALIBRATION, TEST))
    report = measure_drift(before, after, origin, data.features, data.targets, held, threads=run.threads)
    drift = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(report).items()}
    run.quality = {
        "features": after.model.features, "normalised": after.model.normalised, "labels": after.model.tree.labels,
        "rows": data.features.shape[0], "weights": after.model.nonzeros, "bytes": after.model.nbytes,
        "solved": [int(again.sum()) for again in after.solved], "drift": drift, "must_retrain": must_retrain(report, limits),
    }  # fmt: skip


def _origin(store: Store, interactions: Ref, old: Ref) -> NDArray[np.int64]:
    """For each label its number before, -1 for new ones, by id."""
    ids, before = (
        store.open(ref, contracts.INTERACTIONS).read("labels")["id"].to_pylist() for ref in (interactions, old)
    )
    place = {key: number for number, key in enumerate(before)}
    return np.array([place.get(key, -1) for key in ids], dtype=np.int64)


def _gained(store: Store, interactions: Ref, old: Ref, origin: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Labels with a training query that they had not before; queries are the same by id."""
    (ids, now), (before_ids, before) = (_training(store, ref) for ref in (interactions, old))
    place = {key: number for number, key in enumerate(before_ids)}
    # The old rows in the order of the new ones; what is new has an empty row.
    padded = sparse.vstack([before, sparse.csr_array((1, before.shape[1]), dtype=np.float32)], format="csr")
    rows = np.array([place.get(key, len(before_ids)) for key in ids], dtype=np.int64)
    return gained_labels(now, checked_rows(padded[rows], "labels before"), origin)


def _training(store: Store, interactions: Ref) -> tuple[list[str], sparse.csr_array]:
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    mine = rows_of(queries, (TRAINING,))
    return queries["id"].take(pa.array(mine)).to_pylist(), checked_rows(read_targets(artifact)[mine], "labels")
