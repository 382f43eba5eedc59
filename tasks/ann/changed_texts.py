"""An engine over the same documents, of which some have other texts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.dense_side import DenseSide, ExactNeighbors, Neighbors, NeighborTable
from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.neighbors import without_self
from fingerpost.tasks.ann.search import Index
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_counts import count_terms
from fingerpost.tasks.corpus.term_weights import feature_rows


def with_texts(
    engine: Engine,
    rows: NDArray[np.int64],
    titles: Sequence[str],
    texts: Sequence[str],
    *,
    weights: FieldWeights,
    hnsw: HnswParams | None = None,
    threads: int = 1,
) -> Engine:
    """The engine where documents have other titles and texts, by lexicon, weights and projection as they are.

    rows: int64 (n,), the documents, ascending. Their postings and vectors are computed again, and a graph is built over
    the changed vectors; without parameters of one, all vectors are compared. A term that the lexicon lacks weighs nothing.
    """
    impacts = term_impacts(count_terms(titles, texts, engine.analyzer), engine.lexicon, weights, lacking=True)
    postings = build_postings(replace_rows(engine.postings.forward, rows, impacts))
    if engine.dense is None:
        return replace(engine, postings=postings)
    vectors = np.array(engine.dense.index.vectors)
    vectors[rows] = project(feature_rows(impacts, engine.dense.terms.columns), engine.dense.components)
    index, width = _index(engine.dense, vectors, hnsw, threads)
    dense = replace(engine.dense, index=index, neighbors=_neighbors(engine.dense, index, rows, width))
    return replace(engine, postings=postings, dense=dense)


def _index(dense: DenseSide, vectors: NDArray[np.float32], hnsw: HnswParams | None, threads: int) -> tuple[Index, int]:
    """The search over changed vectors, and its width when neighbours are searched for."""
    if hnsw is None:
        return ExactIndex(vectors, dense.metric), 1
    return HnswIndex(vectors, build(vectors, hnsw, threads=threads)[0], hnsw.metric), hnsw.ef_construction


def replace_rows(matrix: sparse.csr_array, rows: NDArray[np.int64], new: sparse.csr_array) -> sparse.csr_array:
    """The matrix with ``rows`` replaced by the rows of ``new``."""
    stacked = sparse.csr_array(sparse.vstack([matrix, new], format="csr"))
    order = np.arange(matrix.shape[0])
    order[rows] = matrix.shape[0] + np.arange(len(rows))
    result = stacked[order]
    result.has_canonical_format = True
    return result


def _neighbors(dense: DenseSide, index: Index, rows: NDArray[np.int64], ef: int) -> Neighbors:
    """The neighbours of documents, of which ``rows`` have other vectors: these are searched for theirs.

    The others keep theirs, with the cosines that they have now; a changed document that would be a new one is left out.
    Neighbours that are found by comparing all vectors are found so again.
    """
    if isinstance(dense.neighbors, ExactNeighbors) and isinstance(index, ExactIndex):
        return ExactNeighbors(index, dense.neighbors.count)
    neighbors, cosines = (np.array(table) for table in dense.neighbors.of(np.arange(len(index.vectors))))
    k = neighbors.shape[1]
    if len(rows):
        found = without_self(index.search(index.vectors[rows], k + 1, ef=max(ef, k + 1)), rows)
        neighbors[rows] = found.ids
    changed = np.zeros(len(neighbors), dtype=bool)
    changed[rows] = True
    known = neighbors != NONE
    moved = known & (changed[np.where(known, neighbors, 0)] | changed[:, None])
    places, _ = np.nonzero(moved)
    vectors = index.vectors
    cosines[moved] = np.einsum("ij,ij->i", vectors[places], vectors[neighbors[moved]])
    cosines[~known] = 0.0
    return NeighborTable(neighbors.astype(np.uint32), cosines.astype(np.float32))
