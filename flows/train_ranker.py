"""From interactions to a published ranker."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow

from flows.crashes import tell_when_crashed
from flows.inputs import interactions_of
from flows.publishing import make_live
from flows.ranker_baselines import compare
from flows.requests import RunRequest
from flows.runtime import Run, named, running
from schemas.refs import Ref
from tasks.corpus.stages import count_ngrams, merge_vocabulary, weigh_terms
from tasks.xmr.ranking_stages import assemble_ranker, calibrate_scores, evaluate_ranker, predict_labels
from tasks.xmr.stages import cluster_labels, embed_labels, import_interactions, list_queries, train_rankers


@flow(name="train_ranker", flow_run_name=named, persist_result=False, on_crashed=[tell_when_crashed])
def train_ranker(request: RunRequest = RunRequest()) -> None:
    """Trains, measures and publishes the ranker of a collection."""
    with running("train_ranker", request) as run:
        xmr, made = run.settings.xmr, {}
        made["interactions"] = taken = import_interactions(interactions_of(run), params=xmr.interactions)
        made |= _features(run, taken)
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


def _features(run: Run, interactions: Ref) -> dict[str, Ref]:
    """Features of the queries to train on, over their own vocabulary, and of those held out."""
    settings, made = run.settings, {}
    ngrams, tfidf, rows = settings.xmr.ngrams, settings.xmr.tfidf, settings.corpus.imports.rows_per_shard
    with _apart(run, "queries"):
        made["queries"] = queries = list_queries(
            interactions, held_out=False, label_words=settings.xmr.label_words, rows_per_shard=rows
        )
        made["ngrams"] = counted = count_ngrams(queries, params=ngrams)
        made["vocabulary"] = vocabulary = merge_vocabulary(counted, params=ngrams)
        made["features"] = weigh_terms(counted, vocabulary, params=tfidf)
    with _apart(run, "held-out"):
        made["held_queries"] = queries = list_queries(interactions, held_out=True, label_words=0, rows_per_shard=rows)
        made["held_ngrams"] = counted = count_ngrams(queries, params=ngrams)
        made["held_features"] = weigh_terms(counted, vocabulary, params=tfidf)
    return made


@contextmanager
def _apart(run: Run, part: str) -> Iterator[None]:
    """Within it stages are remembered apart from the same ones over the collection's documents, so that the reason why one
    runs again compares it with itself.
    """
    env = run.env
    kept = env.part, env.asked, env.before
    env.part, env.asked, env.before = part, {}, {}
    try:
        yield
    finally:
        env.part, env.asked, env.before = kept
