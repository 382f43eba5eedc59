"""From an input to documents, features and vectors."""

from prefect import flow

from flows.inputs import computes_vectors, input_of
from flows.runtime import running
from flows.settings import Settings
from schemas.refs import Ref
from tasks.corpus.stages import (
    count_ngrams,
    embed_documents,
    fit_projection,
    import_documents,
    merge_vocabulary,
    take_vectors,
    weigh_terms,
)


@flow(name="featurize_corpus", flow_run_name="featurize_corpus {settings.input.collection}", persist_result=False)
def featurize_corpus(settings: Settings) -> dict[str, Ref]:
    """Imports documents and makes their sparse and dense features; the artifacts by role.

    An input of vectors alone is taken as it is, and so is one with both where the settings say so.
    """
    with running("featurize_corpus", settings) as run:
        corpus = settings.corpus
        documents = import_documents(input_of(settings), params=corpus.imports)
        if not computes_vectors(run, documents):
            vectors = take_vectors(documents, normalize=settings.ann.hnsw.metric == "cosine")
            return {"documents": documents, "vectors": vectors}
        ngrams = count_ngrams(documents, params=corpus.ngrams)
        vocabulary = merge_vocabulary(ngrams, params=corpus.ngrams)
        features = weigh_terms(ngrams, vocabulary, params=corpus.tfidf)
        projection = fit_projection(features, params=corpus.svd)
        vectors = embed_documents(features, projection)
        return {
            "documents": documents,
            "ngrams": ngrams,
            "vocabulary": vocabulary,
            "features": features,
            "projection": projection,
            "vectors": vectors,
        }
