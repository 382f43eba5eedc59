"""Vectors of texts: n-grams of characters, weighted by their rarity, hashed and projected to few dimensions.

The cosine of two vectors estimates that of the weighted n-grams; the standard error is about 1 / sqrt(dimensions). Source:
Weinberger et al., Feature hashing for large scale multitask learning, ICML 2009; several places per feature as in Kane and
Nelson, Sparser Johnson-Lindenstrauss transforms, JACM 2014.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.ext.ngrams import hash_ngrams
from fingerpost.tasks.kg.mixing import mixed

#: Rows that are projected at a time.
_BLOCK = 4096


@dataclass(frozen=True)
class EmbeddingParams:
    """How texts become vectors.

    dimensions: numbers of a vector.
    ngram_min: shortest character n-gram.
    ngram_max: longest character n-gram.
    buckets: number of buckets that n-grams are hashed into.
    places: dimensions that an n-gram is added to, half of them negated.
    neighbors: neighbours whose names are part of a context, 0 for none.
    neighbor_weight: weight of the n-grams of neighbours' names beside an entity's own.
    seed: seed of the projection.
    """

    dimensions: int = 256
    ngram_min: int = 2
    ngram_max: int = 4
    buckets: int = 2**18
    places: int = 4
    neighbors: int = 10
    neighbor_weight: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.ngram_min <= self.ngram_max or not 1 <= self.places <= self.dimensions:
            raise ValueError(
                "embedding: expected 1 <= ngram_min <= ngram_max and 1 <= places <= dimensions, got"
                f" {self.ngram_min}, {self.ngram_max}, {self.places} and {self.dimensions}; correct them"
            )
        if not 1 <= self.buckets < 2**31 or self.neighbors < 0 or not 0 <= self.neighbor_weight < np.inf:
            raise ValueError(
                "embedding: expected 1 to 2**31 - 1 buckets, and neighbors and neighbor_weight of at least 0, got"
                f" {self.buckets}, {self.neighbors} and {self.neighbor_weight}; correct them"
            )


def frequencies(texts: Sequence[str], params: EmbeddingParams) -> NDArray[np.int64]:
    """int64 (buckets,): the number of texts that each hashed n-gram occurs in."""
    return np.bincount(_counted(texts, params).indices, minlength=params.buckets).astype(np.int64)


class TextEmbedder:
    """Vectors of texts by the frequencies of n-grams over all texts of both graphs.

    frequencies: int64 (buckets,), see `frequencies`; texts: the number of texts that were counted. ValueError for another
    number of buckets than the parameters'.
    """

    def __init__(self, frequencies: NDArray[np.int64], texts: int, params: EmbeddingParams) -> None:
        if frequencies.shape != (params.buckets,):
            raise ValueError(
                f"frequencies: expected one for each of {params.buckets} buckets, got {frequencies.shape}; count with the"
                " same parameters"
            )
        self.params = params
        self._idf = np.log((1 + texts) / (1 + np.minimum(frequencies, texts)))

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (texts, dimensions), unit rows; zeros where a text has no n-gram, or only such that all texts have."""
        return self._projected(self._weighted(texts))

    def contexts(self, texts: Sequence[str], around: Sequence[str]) -> NDArray[np.float32]:
        """As `vectors`, of texts with the texts around them mixed in by ``neighbor_weight``."""
        return self._projected(self._weighted(texts) + self._weighted(around) * self.params.neighbor_weight)

    def _weighted(self, texts: Sequence[str]) -> sparse.csr_array:
        counts = _counted(texts, self.params)
        counts.data = np.sqrt(counts.data) * self._idf[counts.indices]
        return counts

    def _projected(self, terms: sparse.csr_array) -> NDArray[np.float32]:
        """Unit rows of terms by dimensions."""
        found = np.empty((terms.shape[0], self.params.dimensions), dtype=np.float32)
        for at in range(0, terms.shape[0], _BLOCK):
            rows = (terms[at : at + _BLOCK] @ self._projection).toarray()
            lengths = np.sqrt(np.bincount(*_squares(rows), minlength=len(rows)))
            found[at : at + _BLOCK] = rows / np.where(lengths > 0, lengths, 1.0)[:, None]
        return found

    @cached_property
    def _projection(self) -> sparse.csr_array:
        """CSR (buckets, dimensions): the places and signs of each bucket, from its number and the seed alone."""
        params = self.params
        keys = np.arange(params.buckets * params.places, dtype=np.uint64)
        drawn = mixed(keys + np.uint64(params.seed % 2**32) * np.uint64(2**32))
        columns = (drawn >> np.uint64(1)) % np.uint64(params.dimensions)
        signs = 1.0 - 2.0 * (drawn & np.uint64(1)).astype(np.float64)
        indptr = np.arange(params.buckets + 1) * params.places
        return sparse.csr_array(
            (signs, columns.astype(np.int32), indptr.astype(np.int32)), shape=(params.buckets, params.dimensions)
        )


def _squares(rows: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The row and the square of each value, to be added in the order of columns on every machine."""
    return np.repeat(np.arange(len(rows)), rows.shape[1]), rows.ravel() ** 2


def _counted(texts: Sequence[str], params: EmbeddingParams) -> sparse.csr_array:
    """CSR float64 (texts, buckets): how often each hashed n-gram occurs."""
    indptr, indices, counts = hash_ngrams(
        [_plain(text) for text in texts],
        family="char",
        ngram_min=params.ngram_min,
        ngram_max=params.ngram_max,
        buckets=params.buckets,
    )
    return sparse.csr_array((counts.astype(np.float64), indices, indptr), shape=(len(indptr) - 1, params.buckets))


def _plain(text: str) -> str:
    """A text without accents and compatibility forms, so that spellings of one name meet."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
