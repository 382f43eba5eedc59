"""Baselines of a trained ranker: BM25 over label texts, dense retrieval of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.search import Index, SearchResult
from fingerpost.tasks.corpus.bm25 import Bm25Params, rank_scores, weigh_bm25
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, ShardCounts, count_shard, csr_rows
from fingerpost.tasks.corpus.svd import project
from fingerpost.tasks.corpus.tfidf import Featurizer
from fingerpost.tasks.corpus.vocabulary import Vocabulary, select_vocabulary, shard_frequencies
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.xmr.frequent import check_k, padded
from fingerpost.tasks.xmr.ranking import NONE, Ranking
from fingerpost.tasks.xmr.sparse_rows import MatrixError

#: Single words, the usual terms of BM25.
WORDS = NgramParams((FamilyParams("word", 1, 1, max_terms=1_000_000),), name_weight=0, first_weight=0, body_weight=1)


def count_texts(texts: Sequence[str], params: NgramParams) -> ShardCounts:
    """N-gram counts of texts that consist of a body only, which needs a weight in the parameters."""
    nothing = [""] * len(texts)
    return count_shard(nothing, nothing, list(texts), params)


def featurizer_of(texts: Sequence[str], ngrams: NgramParams, tfidf: TfidfParams) -> Featurizer:
    """A TF-IDF featurizer with a vocabulary selected from these texts."""
    return Featurizer(select_vocabulary(shard_frequencies(count_texts(texts, ngrams)), ngrams), ngrams, tfidf)


class Bm25Labels:
    """Ranks labels by BM25 of their texts; labels that share no word with the query are not ranked."""

    def __init__(self, texts: Sequence[str], params: Bm25Params = Bm25Params()) -> None:
        """texts: one per label, empty for a label without text."""
        counts = count_texts(texts, WORDS)
        self._vocabulary: Vocabulary = select_vocabulary(shard_frequencies(counts), WORDS)
        self._featurizer = Featurizer(self._vocabulary, WORDS, TfidfParams(family_weights=(1.0,)))
        self._weights = weigh_bm25(_known_counts(counts, self._vocabulary), params)
        self.labels = len(texts)

    @property
    def nbytes(self) -> int:
        """Bytes of weights and vocabulary."""
        weights = self._weights
        words = sum(len(term.encode()) + 1 for term in self._vocabulary.families[0].terms or [])
        return int(weights.data.nbytes + weights.indices.nbytes + weights.indptr.nbytes + words)

    def rank(self, queries: Sequence[str], k: int = 10) -> Ranking:
        """The k best labels for each text, ties by label."""
        check_k(k)
        rows = _known_counts(self._featurizer.count(list(queries)), self._vocabulary)
        if self.labels == 0 or self._vocabulary.size == 0:
            return padded(np.empty((len(queries), 0), np.uint32), np.empty((len(queries), 0), np.float32), k)
        ids, scores = rank_scores(rows, self._weights, top=k)
        return padded(np.where(scores > 0, ids, NONE).astype(np.uint32), scores, k)


def _known_counts(counts: ShardCounts, vocabulary: Vocabulary) -> sparse.csr_array:
    """Term counts restricted to the vocabulary, CSR float32 (texts, words)."""
    family = counts.families[0]
    columns = vocabulary.families[0].columns(family.terms)
    size = vocabulary.families[0].size
    if not len(columns):
        return sparse.csr_array((counts.documents, size), dtype=np.float32)
    named = columns[family.counts.indices]
    known = named >= 0
    indptr = np.concatenate(([0], np.cumsum(known)))[family.counts.indptr].astype(np.int64)
    return csr_rows(family.counts.data[known], named[known], indptr, columns=size)


@dataclass(frozen=True)
class DenseParams:
    """Graph over label vectors and search width ``ef``; ``exact``: exhaustive search instead.

    ef: search width of dense retrieval.
    exact: whether dense retrieval compares all labels instead of searching a graph.
    """

    hnsw: HnswParams = field(default_factory=HnswParams)
    ef: int = 200
    exact: bool = False


class DenseLabels:
    """Ranks labels by cosine of their vectors and the projected query, with an HNSW index."""

    def __init__(
        self, components: NDArray[np.float32], vectors: NDArray[np.float32], params: DenseParams = DenseParams()
    ) -> None:
        """components: float32 (features, rank), projection of queries. vectors: float32 (labels, rank), zeros for none.

        Raises MatrixError for different ranks.
        """
        if components.shape[1] != vectors.shape[1]:
            raise MatrixError(
                f"label vectors: expected {components.shape[1]} columns, got {vectors.shape[1]}; use one projection"
            )
        self._components = np.ascontiguousarray(components, dtype=np.float32)
        self._known = np.flatnonzero(np.abs(vectors).max(axis=1, initial=0) > 0).astype(np.uint32)
        self._index: Index | None = None
        self._graph_bytes = 0
        rows = np.ascontiguousarray(vectors[self._known], dtype=np.float32)
        if len(rows) and params.exact:
            self._index = ExactIndex(rows, "cosine")
        elif len(rows):
            graph, _ = build(rows, params.hnsw)
            self._graph_bytes = graph.indices.nbytes + graph.indptr.nbytes
            self._index = HnswIndex(rows, graph, "cosine")
        self._ef = params.ef
        self.labels = len(vectors)

    @classmethod
    def of_features(
        cls, components: NDArray[np.float32], features: sparse.csr_array, params: DenseParams = DenseParams()
    ) -> "DenseLabels":
        """An index over label features CSR (labels, features): those of label texts, or PIFA."""
        return cls(components, project(features, components), params)

    @property
    def nbytes(self) -> int:
        """Bytes of projection, vectors and graph."""
        vectors = self._index.vectors.nbytes if self._index is not None else 0
        return int(self._components.nbytes + vectors + self._graph_bytes + self._known.nbytes)

    def rank(self, queries: sparse.csr_array, k: int = 10) -> Ranking:
        """The k nearest labels for each query of CSR (q, features), scored by cosine."""
        check_k(k)
        dense = project(queries, self._components)
        ids = np.full((len(dense), k), NONE, dtype=np.uint32)
        scores = np.zeros((len(dense), k), dtype=np.float32)
        # A query without a known feature is the zero vector and gets no answer.
        rows = np.flatnonzero(np.abs(dense).max(axis=1, initial=0) > 0)
        if self._index is not None and len(rows):
            neighbours: SearchResult = self._index.search(dense[rows], k, ef=max(self._ef, k))
            is_label = neighbours.ids != NONE
            ids[rows] = np.where(is_label, self._known[np.where(is_label, neighbours.ids, 0)], NONE)
            scores[rows] = np.where(is_label, 1 - neighbours.distances, 0)
        return Ranking(ids, scores)
