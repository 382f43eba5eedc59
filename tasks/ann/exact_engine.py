"""The engine of an index with exact search, and with another text of one document: what ``why`` compares with."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.corpus.bm25f import FieldWeights, impacts
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_counts import count_terms


def exact_engine(engine: Engine) -> Engine:
    """The engine with all vectors compared instead of a search of the graph."""
    if engine.dense is None:
        return engine
    index = engine.dense.index
    return replace(engine, dense=replace(engine.dense, index=ExactIndex(index.vectors, index.metric)))


def with_document(engine: Engine, row: int, title: str, text: str, weights: FieldWeights) -> Engine:
    """The exact engine with another text of one document; the lexicon and all other documents stay."""
    counts = count_terms([title], [text], engine.analyzer)
    own = impacts(counts, engine.lexicon, weights)
    postings = build_postings(replace_row(engine.postings.forward, row, own))
    if engine.dense is None:
        return replace(engine, postings=postings)
    vectors = np.array(engine.dense.index.vectors)
    vectors[row] = project(engine.dense.terms.rows(own), engine.dense.components)[0]
    index = ExactIndex(vectors, engine.dense.index.metric)
    return replace(engine, postings=postings, dense=replace(engine.dense, index=index))


def replace_row(matrix: sparse.csr_array, row: int, new: sparse.csr_array) -> sparse.csr_array:
    """The matrix with one row replaced."""
    stacked = sparse.csr_array(sparse.vstack([matrix[:row], new, matrix[row + 1 :]], format="csr"))
    stacked.has_canonical_format = True
    return stacked
