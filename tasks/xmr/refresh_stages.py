"""The stages that keep a trained ranker: a sweep of its settings, and a refresh with new interactions, features unchanged.

A refresh always starts from the last full training, so that what was left unsolved adds up against that one.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from schemas import corpus
from schemas import xmr as contracts
from schemas.errors import FingerpostError
from schemas.matrices import tensors_to_arrow
from schemas.refs import Ref
from schemas.store import Store
from tasks.corpus.open import read_features
from tasks.shards import Shard, ShardOutput
from tasks.stage import stage
from tasks.stage_run import StageRun
from tasks.xmr.blocks import block_arrays, tree_arrays
from tasks.xmr.drift import DriftLimits, measure_drift, must_retrain
from tasks.xmr.interactions import CALIBRATION, TEST, TRAINING, RowParams
from tasks.xmr.open import read_label_features, read_model, read_targets, read_tree
from tasks.xmr.ranking import BeamParams
from tasks.xmr.refresh import (
    RefreshParams,
    Trained,
    gained_labels,
    positives_of,
    refresh_ranker,
    refreshed_tree,
)
from tasks.xmr.sparse_rows import checked_rows
from tasks.xmr.stages import figures_table, read_training
from tasks.xmr.sweep import NoSettingError, SweepPoint, choose, sweep_settings


@dataclass(frozen=True)
class SweepParams:
    """Thresholds and beams to try, recall at ``k``, and the limits that pick the setting; 0: no limit."""

    thresholds: tuple[float, ...] = (0.1, 0.15, 0.2, 0.3, 0.5)
    beams: tuple[int, ...] = (5, 10, 20)
    k: int = 10
    megabytes: float = 0.0
    least_recall: float = 0.0
    latency_ms: float = 0.0
    timed: int = 200


@stage(contracts.SWEEP)
def sweep_ranker(
    run: StageRun, interactions: Ref, features: Ref, tree: Ref, model: Ref, *, params: SweepParams, beam: BeamParams
) -> None:  # fmt: skip
    """Measures recall and size at each threshold and beam on the queries held out to calibrate, one shard a threshold, and
    names the setting that the limits pick. Latencies are measured beside it; a limit on them counts only there.
    """
    shards = [Shard(place, place, place + 1) for place in range(len(params.thresholds))]
    found = run.map_shards(
        _sweep_shard, shards, interactions=interactions, features=features, tree=tree, model=model, params=params, beam=beam
    )  # fmt: skip
    points = [SweepPoint(**point) for figures in found for point in figures["points"]]
    limits = {name: getattr(params, name) or None for name in ("megabytes", "least_recall")}
    run.quality = {"points": len(points), "k": params.k, "chosen": _chosen(points, **limits)}
    timed = {"latency_ms": params.latency_ms or None}
    run.measured = {
        "chosen": _chosen(points, **limits, **timed) if params.timed else None,
        "points": [asdict(point) for point in points],
    }


def _chosen(points: list[SweepPoint], **limits: float | None) -> dict[str, Any] | None:
    try:
        point = choose(points, **limits)
    except NoSettingError:
        return None
    return {"threshold": point.threshold, "beam": point.beam, "recall": round(point.recall, 6), "bytes": point.bytes}


def _sweep_shard(
    store: Store, shard: Shard, *, interactions: Ref, features: Ref, tree: Ref, model: Ref, params: SweepParams, beam: BeamParams
) -> ShardOutput:  # fmt: skip
    weights = read_model(store.open(model, contracts.MODEL), read_tree(store.open(tree, contracts.TREE)))
    queries, truth = _held(store, interactions, features, (CALIBRATION,))
    if queries.shape[0] == 0:
        raise FingerpostError(
            "sweep: expected queries held out to calibrate, found none; raise xmr.interactions.calibration_share"
        )
    points = sweep_settings(
        weights, queries, truth, thresholds=params.thresholds[shard.start : shard.stop], beams=params.beams, k=params.k,
        params=beam, clock=time.perf_counter if params.timed else None, timed_rows=params.timed,
    )  # fmt: skip
    figures = [
        ("ranker", f"threshold {point.threshold:g}, beam {point.beam}", metric, float(value))
        for point in points
        for metric, value in (
            ("threshold", point.threshold),
            ("beam", point.beam),
            ("precision_at_1", point.precision_at_1),
            (f"recall_at_{params.k}", point.recall),
            ("bytes", point.bytes),
            ("weights", point.nonzeros),
        )
    ]
    return ShardOutput({"figures": figures_table(figures)}, {"points": [asdict(point) for point in points]})


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
    held = _held(store, interactions, held_features, (CALIBRATION, TEST))
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
    mine = _of(queries, (TRAINING,))
    return queries["id"].take(pa.array(mine)).to_pylist(), checked_rows(read_targets(artifact)[mine], "labels")


def _held(
    store: Store, interactions: Ref, features: Ref, parts: tuple[str, ...]
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Features and labels of the queries of some parts that were held out."""
    artifact = store.open(interactions, contracts.INTERACTIONS)
    queries = artifact.read("queries")
    held, mine = _of(queries, (CALIBRATION, TEST)), _of(queries, parts)
    rows = read_features(store.open(features, corpus.FEATURES))[np.flatnonzero(np.isin(held, mine))]
    return checked_rows(rows, "queries"), checked_rows(read_targets(artifact)[mine], "truth")


def _of(queries: pa.Table, parts: tuple[str, ...]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(queries["split"].to_numpy(zero_copy_only=False).astype(str), parts))
