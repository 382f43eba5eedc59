"""From vectors to a published nearest-neighbour index."""

from prefect import flow

from flows.featurize_corpus import featurize_corpus
from flows.inputs import retrieval_params
from flows.publishing import publish_index
from flows.runtime import running
from flows.settings import Settings
from schemas.refs import Ref
from tasks.ann.stages import (
    assemble_index,
    build_graph,
    compute_finger_tables,
    evaluate_index,
    evaluate_retrieval,
    find_neighbors,
    fit_finger,
)


@flow(name="build_ann_index", flow_run_name="build_ann_index {settings.input.collection}", persist_result=False)
def build_ann_index(settings: Settings, corpus: dict[str, Ref] | None = None) -> Ref:
    """Builds, measures and publishes the index over a corpus, which is featurized first if it is not given."""
    with running("build_ann_index", settings) as run:
        ann, metric = settings.ann, settings.ann.hnsw.metric
        made = dict(corpus or featurize_corpus(settings))
        vectors = made["vectors"]
        made["graph"] = graph = build_graph(vectors, params=ann.hnsw)
        made["finger_basis"] = basis = fit_finger(vectors, graph, params=ann.finger)
        made["finger_tables"] = tables = compute_finger_tables(
            vectors, graph, basis, rows_per_shard=ann.finger_rows_per_shard
        )
        made["neighbors"] = find_neighbors(vectors, graph, metric=metric, params=ann.neighbors)
        made["evaluation"] = evaluate_index(vectors, graph, basis, tables, metric=metric, params=ann.evaluation)
        if "features" in made:
            made["retrieval"] = evaluate_retrieval(
                made["documents"], made["features"], made["vocabulary"], made["projection"], vectors, graph, metric=metric,
                hnsw=ann.hnsw, ngrams=settings.corpus.ngrams, tfidf=settings.corpus.tfidf, params=retrieval_params(settings),
            )  # fmt: skip
        roles = tuple(sorted(made))
        index = assemble_index(*(made[role] for role in roles), roles=roles)
        publish_index(run, index)
        return index
