"""Text queries: dense candidates from an index, re-ranked by the similarity of their sparse features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import Index, SearchCounters
from fingerpost.tasks.corpus.rerank import RerankParams, rerank
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.tfidf import Featurizer


@dataclass(frozen=True)
class Candidates:
    """Rows int64 (q, c), padded with -1, and similarities float32 (q, c), nearest first, with the work done."""

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]
    counters: SearchCounters


@dataclass(frozen=True)
class Engine:
    """Everything that answers text queries, shared by the evaluation and the live index.

    components: float32 (columns, d). features: CSR float32 (n, columns) of the documents.
    """

    featurizer: Featurizer
    components: NDArray[np.float32]
    features: sparse.csr_array
    index: Index
    params: RerankParams

    def candidates(self, queries: sparse.csr_array) -> Candidates:
        """The nearest rows of the index for sparse queries (q, columns)."""
        count = min(self.params.candidates, self.features.shape[0])
        result = self.index.search(project(queries, self.components), count, ef=count)
        rows = np.where(result.ids == NONE, -1, result.ids.astype(np.int64))
        return Candidates(rows, (1.0 - result.distances).astype(np.float32), result.counters)

    def ordered(
        self, queries: sparse.csr_array, rows: NDArray[np.int64], similarities: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Candidates' rows (q, c) and scores, best first; rows of -1 are ranked last with a score of -inf."""
        return rerank(queries, rows, self.features, dense_scores=similarities, dense_share=self.params.dense_share)
