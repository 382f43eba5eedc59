"""From an input to documents, an inverted index of their terms, features and vectors."""

from prefect import flow

from fingerpost.flows.domains.corpus.inputs import documents_of, made_of
from fingerpost.flows.domains.corpus.languages import note_language
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, running
from fingerpost.tasks.corpus.stages.documents import take_vectors
from fingerpost.tasks.corpus.stages.features import embed_documents, fit_projection
from fingerpost.tasks.corpus.stages.terms import (
    build_postings,
    choose_analyzer,
    choose_field_weights,
    count_terms,
    merge_lexicon,
    weigh_documents,
)
from fingerpost.tasks.corpus.stemming import stemmer_version


@flow(name="featurize_corpus", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def featurize_corpus(request: RunRequest = RunRequest()) -> None:
    """Imports documents, indexes their terms and computes their features and vectors.

    Vectors of the input are imported where every row has one; its texts are then found by words alone. The setting
    ``input.vectors`` says otherwise.
    """
    with running("featurize_corpus", request) as run:
        settings, corpus, refs = run.settings, run.settings.corpus, run.refs
        refs["documents"] = documents = documents_of(run)
        made = made_of(run, documents)
        if made.terms:
            refs["analyzer"] = analyzer = choose_analyzer(documents, params=corpus.analyzer, stemmer=stemmer_version())
            note_language(run, analyzer)
            refs["term_counts"] = counts = count_terms(documents, analyzer)
            refs["lexicon"] = lexicon = merge_lexicon(counts, analyzer)
            refs["field_weights"] = weights = choose_field_weights(
                documents, analyzer, counts, lexicon, params=corpus.fields
            )
            refs["postings"] = build_postings(counts, lexicon, weights)
        if made.vectors:
            refs["features"] = features = weigh_documents(counts, lexicon, weights, params=corpus.features)
            refs["projection"] = projection = fit_projection(features, params=corpus.svd)
            refs["vectors"] = embed_documents(features, projection)
        else:
            refs["vectors"] = take_vectors(documents, normalize=settings.ann.hnsw.metric == "cosine")
