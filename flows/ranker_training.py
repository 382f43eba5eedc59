"""From features to the artifacts of a ranker that answers, as parts of the flow that trains it."""

from flows.runtime import Run
from schemas.refs import Ref
from tasks.xmr.open import served_role
from tasks.xmr.ranking_stages import (
    calibrate_scores,
    evaluate_ranker,
    predict_labels,
    prune_rankers,
    sweep_ranker,
)
from tasks.xmr.stages import cluster_labels, embed_labels, train_rankers


def train(run: Run, made: dict[str, Ref]) -> dict[str, Ref]:
    """The tree and the weights over it, by role, of interactions and features."""
    xmr, taken, features = run.settings.xmr, made["interactions"], made["features"]
    new: dict[str, Ref] = {}
    new["label_features"] = embed_labels(taken, features, params=xmr.embedding, rows=xmr.rows, blocks=xmr.blocks)
    new["tree"] = cluster_labels(new["label_features"], params=xmr.clusters, blocks=xmr.blocks)
    new["model"] = train_rankers(
        taken, features, new["tree"], params=xmr.training, rows=xmr.rows, blocks=xmr.blocks
    )  # fmt: skip
    return new


def measure(run: Run, made: dict[str, Ref]) -> dict[str, Ref]:
    """What makes weights a release, by role: the sweep and the weights that it picks, predictions, chances, evaluation."""
    xmr, taken, held, tree = run.settings.xmr, made["interactions"], made["held_features"], made["tree"]
    new: dict[str, Ref] = {}
    if xmr.sweep.on or xmr.sweep.picks:
        new["sweep"] = sweep_ranker(taken, held, tree, made["model"], params=xmr.sweep, beam=xmr.beam)
    if xmr.sweep.picks:
        new["pruned"] = prune_rankers(new["sweep"], made["model"])
    members = made | new
    model = members[served_role(members)]
    new["predictions"] = predictions = predict_labels(
        taken, held, tree, model, k=xmr.predicted, beam=xmr.beam, blocks=xmr.blocks
    )
    new["calibration"] = calibrate_scores(taken, predictions, k=xmr.calibrated)
    new["evaluation"] = evaluate_ranker(taken, predictions)
    return new
