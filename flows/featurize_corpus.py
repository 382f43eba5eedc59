"""From an input to documents, features and vectors."""

from prefect import flow

from fingerpost.flows.domains.corpus.inputs import computes_vectors, documents_of
from fingerpost.flows.run.crashes import alert_when_crashed
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import named, running
from fingerpost.tasks.corpus.stages.documents import take_vectors
from fingerpost.tasks.corpus.stages.features import (
    count_ngrams,
    embed_documents,
    fit_projection,
    merge_vocabulary,
    weigh_terms,
)


@flow(name="featurize_corpus", flow_run_name=named, persist_result=False, on_crashed=[alert_when_crashed])
def featurize_corpus(request: RunRequest = RunRequest()) -> None:
    """Imports documents and computes their sparse and dense features.

    The vectors of an input without texts are imported, and those of one with both where the settings say so.
    """
    with running("featurize_corpus", request) as run:
        settings, corpus, refs = run.settings, run.settings.corpus, run.refs
        refs["documents"] = documents = documents_of(run)
        if not computes_vectors(run, documents):
            refs["vectors"] = take_vectors(documents, normalize=settings.ann.hnsw.metric == "cosine")
            return
        refs["ngrams"] = ngrams = count_ngrams(documents, params=corpus.ngrams)
        refs["vocabulary"] = vocabulary = merge_vocabulary(ngrams, params=corpus.ngrams)
        refs["features"] = features = weigh_terms(ngrams, vocabulary, params=corpus.tfidf)
        refs["projection"] = projection = fit_projection(features, params=corpus.svd)
        refs["vectors"] = embed_documents(features, projection)
