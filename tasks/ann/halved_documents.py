"""An engine over the same documents, of which some have lost the half that questions are made from."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.changed_texts import replace_rows
from fingerpost.tasks.ann.dense_side import DenseSide, NeighborTable
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.neighbors import without_self
from fingerpost.tasks.ann.questions import Questions
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.postings import Postings, build_postings
from fingerpost.tasks.corpus.svd import SvdParams, factorize, project, projection
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import feature_rows

_BLOCK_ROWS = 4_096


def halved_engine(
    engine: Engine, questions: Questions, *, weights: FieldWeights, svd: SvdParams, fitted: int, seed: int
) -> Engine:
    """The engine where the documents of questions have only the halves that are to be found.

    Their postings are computed again, and the projection is fitted again: fitted on whole documents, it would know which
    halves belong together. All vectors are compared, without a graph. The other documents keep their neighbours.
    weights: of fields. svd: as vectors of documents are made. fitted: maximum number of documents that the projection is
    fitted on, besides the halves; seed: of their choice.
    """
    counts = count_terms([""] * len(questions.rows), questions.halves, engine.analyzer)
    impacts = term_impacts(counts, engine.lexicon, weights, lacking=True)
    postings = build_postings(replace_rows(engine.postings.forward, questions.rows, impacts))
    dense = (
        None
        if engine.dense is None
        else _halved_side(
            engine.dense, postings, questions.rows, svd, _fitted(postings.size, questions.rows, fitted, seed)
        )
    )
    return replace(engine, postings=postings, dense=dense)


def _fitted(documents: int, rows: NDArray[np.int64], others: int, seed: int) -> NDArray[np.int64]:
    """``rows`` and a sample of the other documents, ascending."""
    rest = np.setdiff1d(np.arange(documents), rows)
    if len(rest) > others:
        rest = np.random.default_rng(seed).choice(rest, size=others, replace=False)
    return np.union1d(rows, rest)


def _halved_side(
    dense: DenseSide, postings: Postings, rows: NDArray[np.int64], svd: SvdParams, fitted: NDArray[np.int64]
) -> DenseSide:
    features = feature_rows(postings.forward, dense.terms.columns)
    model = factorize([features[fitted]], svd, energy=float(len(fitted)))
    components = projection(model, whitening=svd.whitening)
    vectors = np.concatenate(
        [project(features[begin : begin + _BLOCK_ROWS], components) for begin in range(0, postings.size, _BLOCK_ROWS)]
    )
    index = ExactIndex(vectors, dense.metric)
    return replace(dense, components=components, index=index, neighbors=_neighbors(dense, index, rows))


def _neighbors(dense: DenseSide, index: ExactIndex, rows: NDArray[np.int64]) -> NeighborTable:
    """The neighbours of all documents, those of ``rows`` searched for again, with cosines of the new vectors."""
    neighbors = np.array(dense.neighbors.of(np.arange(len(index.vectors)))[0])
    k = neighbors.shape[1]
    neighbors[rows] = without_self(index.search(index.vectors[rows], k + 1), rows).ids
    known = neighbors != NONE
    places = np.where(known, neighbors, 0)
    cosines = np.empty(neighbors.shape, dtype=np.float32)
    for begin in range(0, len(neighbors), _BLOCK_ROWS):
        part = slice(begin, begin + _BLOCK_ROWS)
        cosines[part] = np.einsum("ij,ikj->ik", index.vectors[part], index.vectors[places[part]])
    return NeighborTable(neighbors, np.where(known, cosines, np.float32(0)))
