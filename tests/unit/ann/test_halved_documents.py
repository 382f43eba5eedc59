"""An engine whose documents lost a half: its postings, vectors and neighbours are those of the texts that are left."""

import numpy as np
import pytest

from fingerpost.tasks.ann.halved_documents import halved_engine
from fingerpost.tasks.ann.questions import QuestionParams, make_questions
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.svd import SvdParams, project
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import feature_rows
from tests.support.text_engines import text_engine
from tests.worlds import texts

ROWS = 150
SVD = SvdParams(rank=12, whitening=0.0)
WEIGHTS = FieldWeights()


@pytest.fixture(scope="module")
def halved():
    documents = list(texts(ROWS, 2))
    titles, bodies = [row["title"] for row in documents], [row["text"] for row in documents]
    engine = text_engine(titles, bodies, svd=SVD)
    params = QuestionParams(questions=30, min_terms=8)
    questions = make_questions(titles, bodies, analyzer=engine.analyzer, lexicon=engine.lexicon, params=params)
    return engine, questions, halved_engine(engine, questions, weights=WEIGHTS, svd=SVD, fitted=ROWS, seed=0)


def test_documents_weigh_what_their_halves_weigh(halved):
    engine, questions, changed = halved
    counts = count_terms([""] * len(questions.rows), questions.halves, engine.analyzer)
    own = term_impacts(counts, engine.lexicon, WEIGHTS, lacking=True).toarray()
    forward, before = changed.postings.forward.toarray(), engine.postings.forward.toarray()
    np.testing.assert_array_equal(forward[questions.rows], own)
    others = np.setdiff1d(np.arange(ROWS), questions.rows)
    np.testing.assert_array_equal(forward[others], before[others])


def test_vectors_and_cosines_are_those_of_a_projection_fitted_again(halved):
    engine, questions, changed = halved
    dense = changed.dense
    assert not np.array_equal(dense.components, engine.dense.components)
    features = feature_rows(changed.postings.forward, dense.terms.columns)
    np.testing.assert_allclose(dense.index.vectors, project(features, dense.components), atol=1e-6)
    ids, cosines = dense.neighbors.ids, dense.neighbors.cosines
    products = dense.index.vectors @ dense.index.vectors.T
    np.testing.assert_allclose(cosines, np.take_along_axis(products, ids.astype(np.int64), axis=1), atol=1e-5)
    others = np.setdiff1d(np.arange(ROWS), questions.rows)
    np.testing.assert_array_equal(ids[others], engine.dense.neighbors.ids[others])
    for row in questions.rows:
        nearest = products[row].copy()
        nearest[row] = -2
        np.testing.assert_allclose(np.sort(cosines[row])[::-1], np.sort(nearest)[::-1][: ids.shape[1]], atol=1e-5)


def test_halves_are_always_among_the_documents_that_are_fitted(halved):
    engine, questions, _ = halved
    alone = halved_engine(engine, questions, weights=WEIGHTS, svd=SVD, fitted=0, seed=0)
    # Thirty short halves have fewer dimensions than all documents, and none of the others' terms.
    features = feature_rows(alone.postings.forward, alone.dense.terms.columns)
    unused = np.setdiff1d(np.arange(features.shape[1]), features[questions.rows].indices)
    np.testing.assert_allclose(alone.dense.components[unused], 0, atol=1e-6)
    assert np.abs(alone.dense.components).max() > 0.01


def test_an_engine_without_vectors_has_none_after_it(halved):
    _, questions, _ = halved
    documents = list(texts(ROWS, 2))
    words = text_engine([row["title"] for row in documents], [row["text"] for row in documents], svd=None)
    assert halved_engine(words, questions, weights=WEIGHTS, svd=SVD, fitted=10, seed=0).dense is None
