"""The stages from trained rankers to a release: prediction, calibration, evaluation, sweep, pruning, assembly."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.matrices import (
    figures_to_arrow,
    fixed_lists,
    fixed_matrix,
    tensors_from_arrow,
    tensors_to_arrow,
)
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.open import read_features
from fingerpost.tasks.shards import Shard, ShardOutput, even_shards
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.calibration import calibration_error, fit_isotonic
from fingerpost.tasks.xmr.ensembles import Combination, combine
from fingerpost.tasks.xmr.evaluation import JudgeParams, Scorecard
from fingerpost.tasks.xmr.frequent import FrequentLabels
from fingerpost.tasks.xmr.interactions import CALIBRATION, TEST, TRAINING
from fingerpost.tasks.xmr.label_blocks import BlockParams, block_arrays, block_of
from fingerpost.tasks.xmr.metrics import evaluate, frequency_buckets, hits
from fingerpost.tasks.xmr.model import prune_block
from fingerpost.tasks.xmr.open import (
    FINAL,
    beam_of,
    label_counts,
    open_ranker,
    read_held,
    read_model,
    read_ranking,
    read_tree,
    rows_of,
    served_roles,
)
from fingerpost.tasks.xmr.ranking import NONE, BeamParams, Ranking
from fingerpost.tasks.xmr.sweep import NoSettingError, SweepParams, SweepPoint, choose, sweep_settings


@stage(contracts.PREDICTIONS)
def predict_labels(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    model: Ref,
    *,
    k: int,
    beam: BeamParams,
    blocks: BlockParams,
) -> None:
    """Ranks labels for the held-out queries, one shard per block of queries."""
    held = _held_out(run.store, interactions)
    shards = even_shards(len(held), blocks.rows)
    figures = run.map_shards(
        _predict_shard,
        shards,
        interactions=interactions,
        features=features,
        tree=tree,
        model=model,
        k=k,
        beam=beam,
        threads=run.threads_of(shards),
    )
    used = beam_of(run.store, model, beam)
    run.quality = {"queries": len(held), "k": k, "answered": sum(f["answered"] for f in figures)} | asdict(used)


def _predict_shard(
    store: Store,
    shard: Shard,
    *,
    interactions: Ref,
    features: Ref,
    tree: Ref,
    model: Ref,
    k: int,
    beam: BeamParams,
    threads: int,
) -> ShardOutput:
    ranker = open_ranker(store, tree, model, beam)
    rows = read_features(store.open(features, corpus.FEATURES))[shard.start : shard.stop]
    ranking = ranker.rank(rows, k, threads=threads)
    # As with the live ranker, a query without a known word gets no answer.
    unknown = np.diff(rows.indptr) == 0
    ids, scores = ranking.ids.copy(), ranking.scores.copy()
    ids[unknown], scores[unknown] = NONE, 0.0
    held = _held_out(store, interactions)[shard.start : shard.stop]
    table = _ranking_table(pa.array(held.astype(np.int32)), ids, scores)
    return ShardOutput({"ranking": table}, {"answered": int((~unknown).sum())})


@stage(contracts.PREDICTIONS)
def combine_predictions(run: StageRun, *predictions: Ref, combination: Combination) -> None:
    """Combines the rankings of an ensemble's members for the same queries, one shard per block of queries."""
    first = run.store.open(predictions[0], contracts.PREDICTIONS)
    shards = [Shard(entry.shard, index, index + 1) for index, entry in enumerate(first.entries("ranking"))]
    figures = run.map_shards(_combine_shard, shards, predictions=predictions, combination=combination)
    run.quality = dict(first.quality) | {
        "answered": sum(f["answered"] for f in figures),
        "members": len(predictions),
        "combination": combination,
    }


def _combine_shard(store: Store, shard: Shard, *, predictions: Sequence[Ref], combination: Combination) -> ShardOutput:
    tables = [store.open(ref, contracts.PREDICTIONS).read("ranking", shard=shard.index) for ref in predictions]
    rankings = [Ranking(fixed_matrix(table["labels"]), fixed_matrix(table["scores"])) for table in tables]
    combined = combine(rankings, rankings[0].ids.shape[1], combination)
    answered = {"answered": int((combined.ids != NONE).any(axis=1).sum())}
    return ShardOutput({"ranking": _ranking_table(tables[0]["query"], combined.ids, combined.scores)}, answered)


def _ranking_table(queries: "pa.ChunkedArray | pa.Array", ids: np.ndarray, scores: np.ndarray) -> pa.Table:
    return pa.table({"query": queries, "labels": fixed_lists(ids), "scores": fixed_lists(scores)})


@stage(contracts.CALIBRATION)
def calibrate_scores(run: StageRun, interactions: Ref, predictions: Ref, *, k: int) -> None:
    """Fits probabilities to the scores of the calibration queries, and measures their error on the test queries."""
    ranking, truth = read_ranking(run.store, interactions, predictions, CALIBRATION)
    scores, right = _outcomes(ranking, truth, k)
    fitted = fit_isotonic(scores, right) if len(scores) else None
    knots, levels = (fitted.knots, fitted.levels) if fitted else (np.zeros(0), np.zeros(0))
    run.write("calibration", tensors_to_arrow({"knots": knots, "levels": levels}))
    run.quality = {"queries": truth.shape[0], "outcomes": len(scores)}
    other, hit = _outcomes(*read_ranking(run.store, interactions, predictions, TEST), k)
    if fitted and len(other):
        run.quality["calibration_error"] = round(calibration_error(fitted.probabilities(other), hit), 6)


def _outcomes(ranking: Ranking, truth: sparse.csr_array, k: int) -> tuple[np.ndarray, np.ndarray]:
    real = ranking.ids[:, :k] != NONE
    return ranking.scores[:, :k][real], hits(ranking, truth)[:, :k][real]


@stage(contracts.EVALUATION)
def evaluate_ranker(run: StageRun, interactions: Ref, predictions: Ref, *members: Ref) -> None:
    """Evaluates the rankings of the test queries, overall and by label frequency.

    members: the predictions of each member of an ensemble, which are evaluated too, as are the most frequent labels.
    """
    predictions_by_name = {"ranker": predictions} | {
        f"member_{number}": ref for number, ref in enumerate(members, start=1)
    }
    counts, rows = label_counts(run.store, interactions)
    cards = [
        scorecard(name, *read_ranking(run.store, interactions, ref, TEST), counts, rows)
        for name, ref in predictions_by_name.items()
    ]
    cards.append(_frequent(*read_ranking(run.store, interactions, predictions, TEST), counts, rows))
    run.write("figures", figures_to_arrow([figure for card in cards for figure in card.figures()]))
    queries = run.store.manifest(interactions).quality[TEST]
    run.quality = {
        "queries": queries,
        "labels": len(counts),
        "labels_seen": int((counts > 0).sum()),
    } | {metric: round(value, 6) for metric, value in cards[0].metrics.items()}
    of_any = {name: value for name, value in cards[-1].metrics.items() if name.startswith(("recall_at_", "ndcg_at_"))}
    run.quality |= {f"frequent_{metric}": round(value, 6) for metric, value in of_any.items()}


def _frequent(ranking: Ranking, truth: sparse.csr_array, counts: np.ndarray, rows: int) -> Scorecard:
    """Evaluation of the most frequent labels for the queries of a ranking, as many for each."""
    labels = FrequentLabels(counts).rank([""] * len(ranking.ids), ranking.ids.shape[1])
    return scorecard("frequent", labels, truth, counts, rows)


def scorecard(name: str, ranking: Ranking, truth: sparse.csr_array, counts: np.ndarray, rows: int) -> Scorecard:
    """Evaluation of a ranking, overall and by label frequency, without latency.

    truth: CSR (q, labels). counts: int64 (labels,), training rows of each label. rows: number of training rows.
    """
    cutoff = min(JudgeParams().band_k, ranking.ids.shape[1])
    hit = hits(ranking, truth)
    return Scorecard(
        name=name,
        metrics=evaluate(ranking, truth, counts=counts, rows=rows),
        buckets=frequency_buckets(ranking, hit, truth, counts, cutoff),
        latency={},
        seconds=0.0,
        nbytes=0,
        unanswered=float((ranking.ids == NONE).all(axis=1).mean()) if len(ranking.ids) else 0.0,
    )


@stage(contracts.SWEEP)
def sweep_ranker(
    run: StageRun,
    interactions: Ref,
    features: Ref,
    *members: Ref,
    params: SweepParams,
    beam: BeamParams,
    combination: Combination = "average",
) -> None:
    """Measures recall, size and work at each threshold and beam on the calibration queries, one shard per threshold.

    The quality records the chosen setting; times are kept separately. members: tree and weights of each ranker of the
    ensemble, alternating.
    """
    shards = even_shards(len(params.thresholds), 1)
    outputs = run.map_shards(
        _sweep_shard,
        shards,
        interactions=interactions,
        features=features,
        members=members,
        params=params,
        beam=beam,
        combination=combination,
    )
    points = [SweepPoint(**point) for figures in outputs for point in figures["points"]]
    run.quality = {"points": len(points), "k": params.k} | _chosen(points, params)
    run.measured = {"latency_ms": [point.latency_ms for point in points]} if params.timed else {}


def _chosen(points: list[SweepPoint], params: SweepParams) -> dict[str, Any]:
    """The chosen setting, or the reason why none meets the limits."""
    try:
        point = choose(points, **params.limits)
    except NoSettingError as problem:
        return {"chosen": None, "refused": str(problem)}
    return {
        "chosen": {
            "threshold": point.threshold,
            "beam": point.beam,
            "recall": round(point.recall, 6),
            "bytes": point.bytes,
        }
    }


def _sweep_shard(
    store: Store,
    shard: Shard,
    *,
    interactions: Ref,
    features: Ref,
    members: Sequence[Ref],
    params: SweepParams,
    beam: BeamParams,
    combination: Combination,
) -> ShardOutput:
    models = [
        read_model(store.open(model, contracts.MODEL), read_tree(store.open(tree, contracts.TREE)))
        for tree, model in zip(members[::2], members[1::2], strict=True)
    ]
    queries, truth = read_held(store, interactions, features, (CALIBRATION,))
    if queries.shape[0] == 0:
        raise FingerpostError(
            "sweep: expected queries held out for calibration, found none; raise xmr.interactions.calibration_share"
        )
    points = sweep_settings(
        models,
        queries,
        truth,
        thresholds=params.thresholds[shard.start : shard.stop],
        beams=params.beams,
        k=params.k,
        params=beam,
        combination=combination,
        clock=time.perf_counter if params.timed else None,
        timed_rows=params.timed,
    )
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
            ("work", point.work),
        )
    ]
    return ShardOutput({"figures": figures_to_arrow(figures)}, {"points": [asdict(point) for point in points]})


@stage(contracts.MODEL)
def prune_rankers(run: StageRun, sweep: Ref, model: Ref) -> None:
    """Prunes a model to the setting that a sweep chose, one shard per block; the quality records the beam."""
    swept = run.store.manifest(sweep).quality
    chosen = swept["chosen"]
    if chosen is None:
        raise FingerpostError(f"xmr.sweep: expected a setting within the limits, found none: {swept['refused']}")
    artifact = run.store.open(model, contracts.MODEL)
    entries = artifact.entries("weights")
    shards = [Shard(entry.shard, index, index + 1) for index, entry in enumerate(entries)]
    figures = run.map_shards(_prune_shard, shards, model=model, threshold=chosen["threshold"])
    kept = {name: artifact.quality[name] for name in ("features", "normalised", "labels", "rows")}
    sums = {name: sum(f[name] for f in figures) for name in ("weights", "bytes")}
    run.quality = kept | sums | {"threshold": chosen["threshold"], "beam": chosen["beam"]}


def _prune_shard(store: Store, shard: Shard, *, model: Ref, threshold: float) -> ShardOutput:
    arrays = tensors_from_arrow(store.open(model, contracts.MODEL).read("weights", shard=shard.index))
    level, block = block_of(arrays)
    kept = prune_block(block, threshold=threshold)
    figures = {"weights": len(kept.values), "bytes": kept.nbytes}
    return ShardOutput({"weights": tensors_to_arrow(block_arrays(kept, level))}, figures)


@stage(contracts.RANKER)
def assemble_ranker(run: StageRun, *members: Ref, roles: tuple[str, ...]) -> None:
    """Lists the artifacts of a ranker, with the values that its gates check."""
    run.write(
        "members",
        pa.table(
            {"role": pa.array(list(roles), pa.string()), "ref": pa.array([str(ref) for ref in members], pa.string())}
        ),
    )
    by_role = dict(zip(roles, members, strict=True))
    wanted = ["interactions", "predictions", "evaluation", *(model for _, model in served_roles(by_role))]
    run.quality = _release_quality(*(run.store.manifest(by_role[role]).quality for role in wanted))
    trained = by_role.get(f"{FINAL}interactions", by_role["interactions"])
    run.quality["trained"] = run.store.manifest(trained).quality[TRAINING]


def _release_quality(
    interactions: Mapping[str, Any],
    predictions: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    *models: Mapping[str, Any],
) -> dict[str, Any]:
    """Quality of a release, from that of its members."""
    return {
        "labels": interactions["labels"],
        "queries": interactions["queries"],
        "quarantine_share": interactions["quarantine_share"],
        "tested": evaluation["queries"],
        "features": models[0]["features"],
        "weights": sum(model["weights"] for model in models),
        "bytes": sum(model["bytes"] for model in models),
        "beam": predictions["beam"],
        "post_processor": predictions["post_processor"],
        "members": len(models),
        "combination": predictions.get("combination", ""),
        "depth": predictions["k"],
    } | {name: value for name, value in evaluation.items() if "_at_" in name}


def _held_out(store: Store, interactions: Ref) -> np.ndarray:
    artifact = store.open(interactions, contracts.INTERACTIONS)
    return rows_of(artifact.read("queries"), (CALIBRATION, TEST))
