"""From interactions to a published ranker."""

from prefect import flow

from flows.crashes import tell_when_crashed
from flows.inputs import interactions_of
from flows.publishing import make_live
from flows.ranker_baselines import compare
from flows.ranker_features import features_of
from flows.requests import RunRequest
from flows.runtime import named, running
from tasks.xmr.ranking_stages import assemble_ranker, calibrate_scores, evaluate_ranker, predict_labels
from tasks.xmr.stages import cluster_labels, embed_labels, import_interactions, train_rankers


@flow(name="train_ranker", flow_run_name=named, persist_result=False, on_crashed=[tell_when_crashed])
def train_ranker(request: RunRequest = RunRequest()) -> None:
    """Trains, measures and publishes the ranker of a collection."""
    with running("train_ranker", request) as run:
        xmr, made = run.settings.xmr, {}
        made["interactions"] = taken = import_interactions(interactions_of(run), params=xmr.interactions)
        made |= features_of(run, taken)
        made["label_features"] = label_features = embed_labels(
            taken, made["features"], params=xmr.embedding, rows=xmr.rows, blocks=xmr.blocks
        )
        made["tree"] = tree = cluster_labels(label_features, params=xmr.clusters, blocks=xmr.blocks)
        made["model"] = model = train_rankers(
            taken, made["features"], tree, params=xmr.training, rows=xmr.rows, blocks=xmr.blocks
        )
        made["predictions"] = predictions = predict_labels(
            taken, made["held_features"], tree, model, k=xmr.predicted, beam=xmr.beam, blocks=xmr.blocks
        )
        made["calibration"] = calibrate_scores(taken, predictions, k=xmr.calibrated)
        made["evaluation"] = evaluate_ranker(taken, predictions)
        roles = tuple(sorted(made))
        ranker = assemble_ranker(*(made[role] for role in roles), roles=roles)
        if xmr.baselines.compared:
            run.refs |= {f"ranker_{role}": ref for role, ref in compare(xmr, made).items()}
        run.refs |= {f"ranker_{role}": ref for role, ref in made.items()} | {"ranker": ranker}
        make_live(run, ranker)
