"""From vectors to a published nearest-neighbour index."""

from prefect import flow

from fingerpost.flows.domains.ann.certified import certify_and_pack, finger_wanted, pack_words
from fingerpost.flows.domains.ann.graph import graph_of
from fingerpost.flows.domains.ann.search import tune_and_measure
from fingerpost.flows.featurize_corpus import featurize_corpus
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.publishing import make_live
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, part, running
from fingerpost.tasks.ann.stages.certificate import fit_vector_codes
from fingerpost.tasks.ann.stages.finger import compute_finger_tables, fit_finger
from fingerpost.tasks.ann.stages.index import assemble_index, evaluate_index, find_neighbors


@flow(name="build_ann_index", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def build_ann_index(request: RunRequest = RunRequest()) -> None:
    """Builds, measures and publishes the index over a corpus, which is featurized first if the run has not done so."""
    with running("build_ann_index", request) as run:
        settings, refs = run.settings, run.refs
        if "vectors" not in refs:
            part(featurize_corpus, request)
        ann, metric, vectors = settings.ann, settings.ann.hnsw.metric, refs["vectors"]
        refs |= graph_of(run, vectors)
        graph = refs["graph"]
        refs["codes"] = fit_vector_codes(vectors, metric=metric, params=ann.codes, seed=ann.hnsw.seed)
        if finger_wanted(run):
            refs["finger_codes"] = fitted = fit_finger(vectors, graph, metric=metric, params=ann.finger)
            refs["finger_blocks"] = compute_finger_tables(
                vectors, graph, fitted, metric=metric, rows_per_shard=ann.finger_rows_per_shard
            )
        certify_and_pack(run)
        finger = [refs[role] for role in ("finger_codes", "finger_blocks") if role in refs]
        refs["evaluation"] = evaluate_index(vectors, graph, *finger, metric=metric, params=ann.evaluation)
        if ann.parts.neighbors or "projection" in refs:
            refs["neighbors"] = find_neighbors(vectors, refs["packed"], params=ann.neighbors)
        pack_words(run)
        tune_and_measure(run)
        members = run.members(refs)
        refs["index"] = index = assemble_index(*members.values(), roles=tuple(members))
        make_live(run, index)
