"""What a trained ranker is measured against: the most frequent labels, BM25 over label text, dense retrieval of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.ann.exact import ExactIndex
from tasks.ann.hnsw import HnswIndex, HnswParams, build
from tasks.ann.search import Index, SearchResult
from tasks.corpus.bm25 import Bm25Params, rank_scores, weigh_bm25
from tasks.corpus.ngrams import FamilyParams, NgramParams, ShardCounts, count_shard, csr_rows
from tasks.corpus.svd import project
from tasks.corpus.tfidf import Featurizer, TfidfParams
from tasks.corpus.vocabulary import Vocabulary, select_vocabulary, shard_frequencies
from tasks.xmr.ranking import NONE, RankCounters, Ranking
from tasks.xmr.sparse_rows import MatrixError

#: Single words, as BM25 is used.
WORDS = NgramParams((FamilyParams("word", 1, 1, max_terms=1_000_000),), name_weight=0, first_weight=0, body_weight=1)


def count_texts(texts: Sequence[str], params: NgramParams) -> ShardCounts:
    """The n-grams of texts that have a body alone; the parameters must give the body a weight."""
    nothing = [""] * len(texts)
    return count_shard(nothing, nothing, list(texts), params)


def featurizer_of(texts: Sequence[str], ngrams: NgramParams, tfidf: TfidfParams) -> Featurizer:
    """What turns texts into TF-IDF rows, its vocabulary chosen from these texts."""
    return Featurizer(select_vocabulary(shard_frequencies(count_texts(texts, ngrams)), ngrams), ngrams, tfidf)


def padded(ids: NDArray[np.uint32], scores: NDArray[np.float32], k: int) -> Ranking:
    """A ranking of k columns from one of fewer; scores of padding are 0."""
    missing = ((0, 0), (0, max(0, k - ids.shape[1])))
    filled = np.pad(ids[:, :k], missing, constant_values=NONE)
    kept = np.pad(scores[:, :k], missing)
    return Ranking(filled.astype(np.uint32), np.where(filled == NONE, 0, kept).astype(np.float32), RankCounters())


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}; raise it")


class FrequentLabels:
    """Answers every query with the labels that training rows have most often; ties by label."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """counts: how often each label was seen, (labels,); labels never seen are not answered."""
        order = np.argsort(-counts, kind="stable")
        self._ids = order[counts[order] > 0].astype(np.uint32)
        self._shares = (counts[self._ids] / max(int(counts.sum()), 1)).astype(np.float32)
        self.labels = len(counts)

    @property
    def nbytes(self) -> int:
        """Bytes of what it keeps."""
        return self._ids.nbytes + self._shares.nbytes

    def rank(self, queries: list[str] | sparse.csr_array, k: int = 10) -> Ranking:
        """The same k labels for each query, scored by their share of all training labels."""
        _check_k(k)
        rows = len(queries) if isinstance(queries, list) else int(queries.shape[0])
        ids, shares = np.repeat(self._ids[None, :k], rows, axis=0), np.repeat(self._shares[None, :k], rows, axis=0)
        return padded(ids, shares, k)


class Bm25Labels:
    """Labels by BM25 of their text; a label that shares no word with the query is not answered."""

    def __init__(self, texts: Sequence[str], params: Bm25Params = Bm25Params()) -> None:
        """texts: one a label, empty where it has none."""
        counts = count_texts(texts, WORDS)
        self._vocabulary: Vocabulary = select_vocabulary(shard_frequencies(counts), WORDS)
        self._featurizer = Featurizer(self._vocabulary, WORDS, TfidfParams(family_weights=(1.0,)))
        self._weights = weigh_bm25(_known_counts(counts, self._vocabulary), params)
        self.labels = len(texts)

    @property
    def nbytes(self) -> int:
        """Bytes of weights and words."""
        weights = self._weights
        words = sum(len(term.encode()) + 1 for term in self._vocabulary.families[0].terms or [])
        return int(weights.data.nbytes + weights.indices.nbytes + weights.indptr.nbytes + words)

    def rank(self, queries: Sequence[str], k: int = 10) -> Ranking:
        """The k best labels of each text, ties by label."""
        _check_k(k)
        rows = _known_counts(self._featurizer.count(list(queries)), self._vocabulary)
        if self.labels == 0 or self._vocabulary.size == 0:
            return padded(np.empty((len(queries), 0), np.uint32), np.empty((len(queries), 0), np.float32), k)
        ids, scores = rank_scores(rows, self._weights, top=k)
        return padded(np.where(scores > 0, ids, NONE).astype(np.uint32), scores, k)


def _known_counts(counts: ShardCounts, vocabulary: Vocabulary) -> sparse.csr_array:
    """Counts of the vocabulary's words, CSR float32 (texts, words)."""
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
    """The graph over label vectors and the width of its search; ``exact``: all labels are compared instead."""

    hnsw: HnswParams = field(default_factory=HnswParams)
    ef: int = 200
    exact: bool = False


class DenseLabels:
    """Labels by the cosine of their vectors with the query's projected features, found in our own graph index."""

    def __init__(
        self, components: NDArray[np.float32], vectors: NDArray[np.float32], params: DenseParams = DenseParams()
    ) -> None:
        """components: (features, rank) that queries are multiplied with; vectors: (labels, rank), zeros for none."""
        if components.shape[1] != vectors.shape[1]:
            raise MatrixError(
                f"label vectors: expected {components.shape[1]} columns, got {vectors.shape[1]}; project them alike"
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
        """From sparse label features (labels, features): those of label texts, or PIFA."""
        return cls(components, project(features, components), params)

    @property
    def nbytes(self) -> int:
        """Bytes of projection, vectors and graph."""
        vectors = self._index.vectors.nbytes if self._index is not None else 0
        return int(self._components.nbytes + vectors + self._graph_bytes + self._known.nbytes)

    def rank(self, queries: sparse.csr_array, k: int = 10) -> Ranking:
        """The k nearest labels of each row of features (q, features), scored by cosine."""
        _check_k(k)
        dense = project(queries, self._components)
        ids = np.full((len(dense), k), NONE, dtype=np.uint32)
        scores = np.zeros((len(dense), k), dtype=np.float32)
        # A query without a known feature points nowhere and gets no answer.
        rows = np.flatnonzero(np.abs(dense).max(axis=1, initial=0) > 0)
        if self._index is not None and len(rows):
            found: SearchResult = self._index.search(dense[rows], k, ef=max(self._ef, k))
            real = found.ids != NONE
            ids[rows] = np.where(real, self._known[np.where(real, found.ids, 0)], NONE)
            scores[rows] = np.where(real, 1 - found.distances, 0)
        return Ranking(ids, scores)
