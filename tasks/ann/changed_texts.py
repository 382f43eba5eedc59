"""An engine over the same documents, of which some have other texts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.engine import Engine
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.corpus.impacts import FieldWeights, term_impacts
from fingerpost.tasks.corpus.postings import build_postings
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.term_counts import count_terms


def with_texts(
    engine: Engine,
    rows: NDArray[np.int64],
    titles: Sequence[str],
    texts: Sequence[str],
    *,
    weights: FieldWeights,
    hnsw: HnswParams,
    threads: int,
) -> Engine:
    """The engine where documents have other titles and texts, by lexicon, weights and projection as they are.

    rows: int64 (n,), the documents, ascending. Their postings and vectors are computed again, and a graph is built over the
    changed vectors. ValueError for a text with a term that the lexicon lacks.
    """
    counts = count_terms(titles, texts, engine.analyzer)
    forward = replace_rows(engine.postings.forward, rows, term_impacts(counts, engine.lexicon, weights))
    changed = replace(engine, postings=build_postings(forward))
    if engine.dense is None:
        return changed
    vectors = np.array(engine.dense.index.vectors)
    vectors[rows] = project(rows_of, engine.dense.components)
    graph, _ = build(vectors, hnsw, threads=threads)
    return replace(changed, dense=replace(engine.dense, index=HnswIndex(vectors, graph, hnsw.metric)))


def replace_rows(matrix: sparse.csr_array, rows: NDArray[np.int64], new: sparse.csr_array) -> sparse.csr_array:
    """The matrix with ``rows`` replaced by the rows of ``new``."""
    stacked = sparse.csr_array(sparse.vstack([matrix, new], format="csr"))
    order = np.arange(matrix.shape[0])
    order[rows] = matrix.shape[0] + np.arange(len(rows))
    result = stacked[order]
    result.has_canonical_format = True
    return result
