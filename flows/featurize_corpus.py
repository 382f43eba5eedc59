"""From an input to documents, features and vectors."""

from prefect import flow

from fingerpost.flows.domains.corpus.inputs import documents_of, made_of
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

    Vectors of the input are imported where every row has one; its texts then have features, for queries by words. The
    setting ``input.vectors`` says otherwise.
    """
    with running("featurize_corpus", request) as run:
        settings, corpus, refs = run.settings, run.settings.corpus, run.refs
        refs["documents"] = documents = documents_of(run)
        made = made_of(run, documents)
        if made.features:
            refs["ngrams"] = ngrams = count_ngrams(documents, params=corpus.ngrams)
            refs["vocabulary"] = vocabulary = merge_vocabulary(ngrams, params=corpus.ngrams)
            refs["features"] = features = weigh_terms(ngrams, vocabulary, params=corpus.tfidf)
        if made.vectors:
            refs["projection"] = projection = fit_projection(features, params=corpus.svd)
            refs["vectors"] = embed_documents(features, projection)
        else:
            refs["vectors"] = take_vectors(documents, normalize=settings.ann.hnsw.metric == "cosine")
