"""The engine of an index with exact search, and with another text of one document: what ``why`` compares with."""

from dataclasses import replace

import numpy as np

from fingerpost.tasks.ann.changed_texts import replace_rows
from fingerpost.tasks.ann.engine import DenseSide, Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import feature_rows


def exact_engine(engine: Engine) -> Engine:
    """The engine with all vectors compared instead of a search of the graph; neighbours of documents stay."""
    return engine if engine.dense is None else replace(engine, dense=_exact(engine.dense, engine.dense.index.vectors))


def with_document(engine: Engine, row: int, title: str, text: str, weights: FieldWeights) -> Engine:
    """The exact engine with another title and text of one document.

    The lexicon, neighbours and all other documents stay; a term that the lexicon lacks weighs nothing. weights: of the
    fields of documents.
    """
    rows, counts = np.array([row]), count_terms([title], [text], engine.analyzer)
    own = term_impacts(counts, engine.lexicon, weights, lacking=True)
    postings = build_postings(replace_rows(engine.postings.forward, rows, own))
    if engine.dense is None:
        return replace(engine, postings=postings)
    vectors = np.array(engine.dense.index.vectors)
    vectors[row] = project(feature_rows(own, engine.dense.terms.columns), engine.dense.components)[0]
    return replace(engine, postings=postings, dense=_exact(engine.dense, vectors))


def _exact(dense: DenseSide, vectors: np.ndarray) -> DenseSide:
    return replace(dense, index=ExactIndex(vectors, dense.index.metric))
