"""Document frequencies merged over shards, and the vocabulary chosen from them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ext.ngrams import match_terms, merge_counts
from tasks.corpus.ngrams import FamilyParams, NgramParams, ShardCounts


@dataclass(frozen=True)
class FamilyFrequencies:
    """Sorted terms (None where hashed) and in how many documents each occurs, int64 (columns,)."""

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
    """Document frequencies over the documents of both sides, which must not overlap."""
    families = []
    for one, other in zip(left.families, right.families, strict=True):
        if (one.terms is None) != (other.terms is None):
            raise ValueError("frequencies: expected both sides hashed or both with terms, got one of each; recount one")
        if one.terms is None or other.terms is None:
            families.append(FamilyFrequencies(None, one.frequencies + other.frequencies))
        else:
            terms, merged = merge_counts(one.terms, one.frequencies, other.terms, other.frequencies)
            families.append(FamilyFrequencies(terms, merged))
    return Frequencies(left.documents + right.documents, tuple(families))


@dataclass(frozen=True)
class FamilyVocabulary:
    """The columns of one family: sorted terms (None where hashed) and their document frequencies, int64 (columns,)."""

    terms: list[str] | None
    frequencies: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.frequencies)

    def columns(self, terms: list[str] | None) -> NDArray[np.int32]:
        """Column of each of the sorted terms, -1 where it is not in the vocabulary; int32 (terms,).

        Without terms (hashed), every bucket is its own column.
        """
        if terms is None or self.terms is None:
            return np.arange(self.size, dtype=np.int32)
        return match_terms(terms, self.terms)


@dataclass(frozen=True)
class Vocabulary:
    """The columns of all families side by side, and the number of documents they were counted in."""

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
    """The most frequent terms, at least ``min_df`` documents each and at most ``max_terms``; ties go by term."""
    if frequencies.terms is None:
        return FamilyVocabulary(None, frequencies.frequencies)
    kept = np.flatnonzero(frequencies.frequencies >= params.min_df)
    if len(kept) > params.max_terms:
        # Terms are sorted, so a stable sort by frequency leaves ties in the order of the terms.
        order = np.argsort(-frequencies.frequencies[kept], kind="stable")
        kept = np.sort(kept[order[: params.max_terms]])
    terms = frequencies.terms
    if len(kept) == len(terms):
        return FamilyVocabulary(terms, frequencies.frequencies)
    return FamilyVocabulary([terms[place] for place in kept], frequencies.frequencies[kept])


def select_vocabulary(frequencies: Frequencies, params: NgramParams) -> Vocabulary:
    """Choose every family's columns from the frequencies of all documents."""
    families = tuple(
        select_terms(family, family_params)
        for family, family_params in zip(frequencies.families, params.families, strict=True)
    )
    return Vocabulary(frequencies.documents, families)
