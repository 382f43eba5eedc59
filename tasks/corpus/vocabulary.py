"""Document frequencies merged over shards, and the vocabulary selected by them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.ngrams import match_terms, merge_counts
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams, ShardCounts


@dataclass(frozen=True)
class FamilyFrequencies:
    """Sorted terms (None if hashed) and their document frequencies, int64 (columns,)."""

    terms: list[str] | None
    frequencies: NDArray[np.int64]


@dataclass(frozen=True)
class Frequencies:
    """Document frequencies of every family over some documents; merging is exact and associative."""

    documents: int
    families: tuple[FamilyFrequencies, ...]


def shard_frequencies(shard: ShardCounts) -> Frequencies:
    """The document frequencies of one shard."""
    families = tuple(FamilyFrequencies(family.terms, family.frequencies) for family in shard.families)
    return Frequencies(shard.documents, families)


def merge_frequencies(left: Frequencies, right: Frequencies) -> Frequencies:
    """Document frequencies over the documents of both sides, which must not overlap.

    ValueError if one side is hashed and the other is not.
    """
    families = []
    for ours, theirs in zip(left.families, right.families, strict=True):
        if (ours.terms is None) != (theirs.terms is None):
            raise ValueError("frequencies: expected both sides hashed or both with terms, got one of each; recount one")
        if ours.terms is None or theirs.terms is None:
            families.append(FamilyFrequencies(None, ours.frequencies + theirs.frequencies))
        else:
            terms, merged = merge_counts(ours.terms, ours.frequencies, theirs.terms, theirs.frequencies)
            families.append(FamilyFrequencies(terms, merged))
    return Frequencies(left.documents + right.documents, tuple(families))


@dataclass(frozen=True)
class FamilyVocabulary:
    """The columns of one family: sorted terms (None if hashed) and their document frequencies, int64 (columns,)."""

    terms: list[str] | None
    frequencies: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.frequencies)

    def columns(self, terms: list[str] | None) -> NDArray[np.int32]:
        """The column of each of the sorted terms, int32 (terms,), -1 for terms that are not in the vocabulary.

        Without terms (hashed), each bucket is its own column.
        """
        if terms is None or self.terms is None:
            return np.arange(self.size, dtype=np.int32)
        return match_terms(terms, self.terms)


@dataclass(frozen=True)
class Vocabulary:
    """The concatenated columns of all families, and the number of documents that they were counted in."""

    documents: int
    families: tuple[FamilyVocabulary, ...]

    @property
    def size(self) -> int:
        """Number of columns of all families together."""
        return sum(family.size for family in self.families)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First column of each family."""
        ends = np.cumsum([0] + [family.size for family in self.families])
        return tuple(int(end) for end in ends[:-1])

    @cached_property
    def idf(self) -> tuple[NDArray[np.float64], ...]:
        """Smooth inverse document frequency ln((1 + documents) / (1 + df)) + 1 of each family, float64 (columns,)."""
        return tuple(np.log((1 + self.documents) / (1 + family.frequencies)) + 1.0 for family in self.families)


def select_terms(frequencies: FamilyFrequencies, params: FamilyParams) -> FamilyVocabulary:
    """The most frequent terms with a document frequency of at least ``min_df``, at most ``max_terms``; ties by term."""
    if frequencies.terms is None:
        return FamilyVocabulary(None, frequencies.frequencies)
    selected = np.flatnonzero(frequencies.frequencies >= params.min_df)
    if len(selected) > params.max_terms:
        # Terms are sorted, so a stable sort by frequency leaves ties in the order of the terms.
        order = np.argsort(-frequencies.frequencies[selected], kind="stable")
        selected = np.sort(selected[order[: params.max_terms]])
    terms = frequencies.terms
    if len(selected) == len(terms):
        return FamilyVocabulary(terms, frequencies.frequencies)
    return FamilyVocabulary([terms[column] for column in selected], frequencies.frequencies[selected])


def select_vocabulary(frequencies: Frequencies, params: NgramParams) -> Vocabulary:
    """Selects every family's columns by the frequencies over all documents."""
    families = tuple(
        select_terms(family, family_params)
        for family, family_params in zip(frequencies.families, params.families, strict=True)
    )
    return Vocabulary(frequencies.documents, families)
