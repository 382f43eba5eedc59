"""What answers of an index are measured beside: lexical and dense search and their fusions by the formulas of the literature.

Written plainly, over whole matrices of scores: for quality, not for speed. One setting for all collections.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import Stemmer
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.utils.extmath import randomized_svd

_WORD = re.compile(r"(?u)\b\w\w+\b")
DEPTH = 100

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Occurrences of terms in documents and in queries, CSR float64 over the same terms."""

    documents: sparse.csr_array
    queries: sparse.csr_array

    @classmethod
    def of(cls, texts: Sequence[str], queries: Sequence[str], words: "Callable[[str], list[str]]") -> "Counts":
        """Those of texts by a function that gives their terms."""
        terms: dict[str, int] = {}
        rows = [[terms.setdefault(word, len(terms)) for word in words(text)] for text in texts]
        asked = [[terms[word] for word in words(text) if word in terms] for text in queries]
        return cls(_matrix(rows, len(terms)), _matrix(asked, len(terms)))


def _matrix(rows: Sequence[Sequence[int]], terms: int) -> sparse.csr_array:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    columns = np.array([term for row in rows for term in row], dtype=np.int64)
    triples = (np.ones(len(columns)), (np.repeat(np.arange(len(rows)), lengths), columns))
    return sparse.csr_array(sparse.coo_array(triples, shape=(len(rows), terms)))


def plain_words(text: str) -> list[str]:
    """Words of two characters or more in lower case."""
    return _WORD.findall(text.lower())


class Stems:
    """The stems of words (Snowball, English) without stop words."""

    def __init__(self) -> None:
        self._stem, self._known = Stemmer.Stemmer("english"), dict[str, str]()

    def __call__(self, text: str) -> list[str]:
        return [self._of(word) for word in plain_words(text) if word not in ENGLISH_STOP_WORDS]

    def _of(self, word: str) -> str:
        if word not in self._known:
            self._known[word] = self._stem.stemWord(word)
        return self._known[word]


def bm25(counts: Counts, *, k1: float = 1.2, b: float = 0.75) -> Scores:
    """BM25 (Robertson and Zaragoza 2009, section 3.1), float64 (queries, documents)."""
    documents = counts.documents
    frequency = np.bincount(documents.indices, minlength=documents.shape[1])
    idf = np.log1p((documents.shape[0] - frequency + 0.5) / (frequency + 0.5))
    lengths = np.asarray(documents.sum(axis=1)).ravel()
    discount = k1 * (1 - b + b * lengths / lengths.mean())
    rows = np.repeat(np.arange(documents.shape[0]), np.diff(documents.indptr))
    values = idf[documents.indices] * documents.data * (k1 + 1) / (documents.data + discount[rows])
    weights = sparse.csr_array((values, documents.indices, documents.indptr), shape=documents.shape)
    return np.asarray((counts.queries @ weights.T).toarray())


def rm3(counts: Counts, scores: Scores, *, documents: int = 10, terms: int = 25, keep: float = 0.6) -> Counts:
    """The queries with the terms of their best documents (RM3: Abdul-Jaleel et al. 2004, after Lavrenko and Croft 2001)."""
    lengths = np.asarray(counts.documents.sum(axis=1)).ravel()
    expanded = []
    for query, row in enumerate(scores):
        best = np.argsort(-row, kind="stable")[:documents]
        best = best[row[best] > 0]
        asked = counts.queries[[query]].toarray()[0]
        if len(best):
            shares = row[best] / row[best].sum()
            model = np.asarray((counts.documents[best] * (shares / lengths[best])[:, None]).sum(axis=0)).ravel()
            chosen = np.argsort(-model, kind="stable")[:terms]
            added = np.zeros(len(model))
            added[chosen] = model[chosen] / model[chosen].sum()
            asked = keep * asked / asked.sum() + (1 - keep) * added
        expanded.append(sparse.csr_array(asked[None]))
    return Counts(counts.documents, sparse.csr_array(sparse.vstack(expanded)))


def lsa(counts: Counts, *, rank: int = 256, whitening: float = 0.5) -> Scores:
    """Cosines of latent semantic analysis: TF-IDF with 1 + ln(tf), truncated SVD, axes divided by their singular values to
    the power of ``whitening``.
    """
    frequency = np.bincount(counts.documents.indices, minlength=counts.documents.shape[1])
    idf = np.log((1 + counts.documents.shape[0]) / (1 + frequency)) + 1
    sides = [_unit(_weighed(part, idf)) for part in (counts.documents, counts.queries)]
    _, values, axes = randomized_svd(
        sides[0].astype(np.float32), min(rank, min(sides[0].shape) - 1), n_iter=4, random_state=0
    )
    dense = [side @ (axes / (values**whitening)[:, None]).T for side in sides]
    documents, queries = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12) for rows in dense)
    return np.asarray(queries @ documents.T, dtype=np.float64)


def _weighed(counts: sparse.csr_array, idf: Scores) -> sparse.csr_array:
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    return sparse.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)


def _unit(rows: sparse.csr_array) -> sparse.csr_array:
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sparse.csr_array(sparse.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ rows)


def standardized(scores: Scores) -> Scores:
    """Each query's scores with mean 0 and standard deviation 1."""
    spread = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)


def best_rows(scores: Scores) -> NDArray[np.int64]:
    """The first ``DEPTH`` documents of each query, int64, ties by row."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH].astype(np.int64)


@dataclass(frozen=True)
class Rivals:
    """The rivals on one collection."""

    texts: Sequence[str]
    queries: Sequence[str]

    @cached_property
    def stems(self) -> Counts:
        """Counts of stems without stop words."""
        return Counts.of(self.texts, self.queries, Stems())

    def rankings(self) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
        """Name, kind and ranking of each rival."""
        plain = bm25(Counts.of(self.texts, self.queries, plain_words))
        words = bm25(self.stems)
        fed = bm25(rm3(self.stems, words))
        dense = lsa(self.stems)
        yield "BM25, plain tokens", "lexical", best_rows(plain)
        yield "BM25, stems without stop words", "lexical", best_rows(words)
        yield "the same with feedback (RM3)", "lexical", best_rows(fed)
        yield "LSA of the stems", "dense", best_rows(dense)
        yield "BM25 0.7 + LSA 0.3", "fused", best_rows(0.7 * standardized(words) + 0.3 * standardized(dense))
        yield "RM3 0.5 + LSA 0.5", "fused", best_rows(0.5 * standardized(fed) + 0.5 * standardized(dense))
