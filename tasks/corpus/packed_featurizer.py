"""Features of query texts over a vocabulary whose terms are used where they lie, packed as UTF-8."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.postings import find_texts
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, counted
from fingerpost.tasks.corpus.vocabulary import FamilyVocabulary, Vocabulary
from fingerpost.tasks.corpus.weighed_rows import Entries, SparseRows, TfidfParams, known_entries, weighed_rows


@dataclass(frozen=True)
class PackedFeaturizer:
    """As `fingerpost.tasks.corpus.tfidf.Featurizer`, with the same bits; no text of a term of the vocabulary is made.

    documents: that frequencies were counted in. sizes: the number of terms of each family, 0 for a hashed one; those of all
    families are, one after the other, sorted in each, the UTF-8 texts letters[offsets[i]:offsets[i + 1]]. frequencies:
    document frequencies of each family's columns. ValueError for arrays that do not fit each other.
    """

    documents: int
    sizes: tuple[int, ...]
    offsets: NDArray[np.int64]
    letters: NDArray[np.uint8]
    frequencies: tuple[NDArray[np.int64], ...]
    ngrams: NgramParams
    tfidf: TfidfParams

    def __post_init__(self) -> None:
        counts = {len(self.sizes), len(self.frequencies), len(self.ngrams.families), len(self.tfidf.family_weights)}
        fits = len(counts) == 1 and sum(self.sizes) == len(self.offsets) - 1
        columns = zip(self.sizes, self.frequencies, self.ngrams.families, strict=False)
        if not (fits and all(len(held) == (family.buckets or size) for size, held, family in columns)):
            raise ValueError("vocabulary: expected the terms and frequencies of its families, got others; rebuild it")
        if self.documents < 0 or any(len(held) and held.min() < 0 for held in self.frequencies):
            raise ValueError("vocabulary: expected frequencies of documents of at least 0, got others; rebuild it")
        if not (self.offsets[1:] >= self.offsets[:-1]).all():
            raise ValueError("vocabulary: expected offsets that ascend, got others; rebuild it")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The columns of all families, their terms left out."""
        return Vocabulary(self.documents, tuple(FamilyVocabulary(None, held) for held in self.frequencies))

    def transform(self, texts: Sequence[str]) -> SparseRows:
        """TF-IDF of texts (texts, columns of all families), rows of norm 1 or empty."""
        parts, begin = [], 0
        for family, size in zip(self.ngrams.families, self.sizes, strict=True):
            parts.append(self._entries(list(texts), family, self.offsets[begin : begin + size + 1]))
            begin += size
        return weighed_rows(parts, self.vocabulary, self.tfidf)

    def _entries(self, texts: list[str], family: FamilyParams, offsets: NDArray[np.int64]) -> Entries:
        indptr, indices, counts, terms = counted(texts, family)
        if terms is None:
            return np.diff(indptr), indices, counts
        return known_entries(indptr, indices, counts, find_texts(terms, offsets, self.letters).astype(np.int32))
