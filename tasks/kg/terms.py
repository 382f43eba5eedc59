"""What pairs of entities are compared by: attributes, names, neighbours, and how rare their terms are over both graphs.

Terms are hashed into a fixed number of buckets, so that texts of any shard give the same numbers without a vocabulary.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.ngrams import hash_ngrams

#: The text of all attributes together, the name of an entity, and its neighbours by any relation.
WHOLE, NAME, NEIGHBORS = "(all)", "(name)", "(neighbors)"
#: How the values of an attribute are compared. WHOLE is of kind whole.
TEXT, NUMBER, DATE, OF_NEIGHBORS, OF_WHOLE = "text", "number", "date", "neighbors", "whole"
#: The kinds whose text is that of the entity itself.
OWN = (TEXT, NUMBER, DATE, OF_WHOLE)

_AMOUNT = re.compile(r"\W*\d[\d.,]*\W*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?")
#: The share of values that must be numbers, or dates, for an attribute to be of that kind.
_MOST = 0.9


@dataclass(frozen=True)
class TermParams:
    """What entities are compared by.

    attributes: maximum number of attributes that are compared, those that most entities of both sides have.
    relations: maximum number of relations that are compared, those that most entities of both sides have.
    neighbors: maximum number of neighbours' names that are looked at around an entity.
    ngram_min: shortest character n-gram.
    ngram_max: longest character n-gram.
    buckets: number of columns that terms are hashed into.
    """

    attributes: int = 32
    relations: int = 16
    neighbors: int = 50
    ngram_min: int = 2
    ngram_max: int = 4
    buckets: int = 2**22


@dataclass(frozen=True)
class Rarity:
    """How rare terms are: the log of all texts over those with a term, plus 1.

    terms: uint32, ascending, those that occur. values: float32, of each. unseen: of any other.
    """

    terms: NDArray[np.uint32]
    values: NDArray[np.float32]
    unseen: float

    @staticmethod
    def of(terms: NDArray[np.integer], frequencies: NDArray[np.integer], texts: int) -> "Rarity":
        """From the number of texts with each term, of so many texts."""
        found = np.log((1 + texts) / (1 + frequencies.astype(np.float64))) + 1
        return Rarity(terms.astype(np.uint32), found.astype(np.float32), float(np.float32(np.log(1 + texts) + 1)))

    def dense(self, buckets: int) -> NDArray[np.float32]:
        """float32 (buckets,): of every term."""
        every = np.full(buckets, self.unseen, dtype=np.float32)
        every[self.terms] = self.values
        return every


@dataclass(frozen=True)
class Terms:
    """What pairs are compared by, in order, with the kind of each; and by it and family how rare terms are.

    rarity: by (attribute, "words" or "letters").
    """

    kinds: Mapping[str, str]
    rarity: Mapping[tuple[str, str], Rarity]
    params: TermParams

    def of_kinds(self, *kinds: str) -> tuple[str, ...]:
        """The attributes of some kinds, in order."""
        return tuple(name for name, kind in self.kinds.items() if kind in kinds)


def hashed(
    texts: Sequence[str], family: str, params: TermParams
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray]:
    """Index pointers, buckets (ascending within a text) and counts of the terms of texts.

    family: "words" for single ones, "letters" for character n-grams.
    """
    ranges = (1, 1) if family == "words" else (params.ngram_min, params.ngram_max)
    indptr, buckets, counts = hash_ngrams(
        list(texts),
        family="word" if family == "words" else "char",
        ngram_min=ranges[0],
        ngram_max=ranges[1],
        buckets=params.buckets,
    )
    return indptr, buckets.astype(np.uint32), counts


def frequencies(texts: Sequence[str], family: str, params: TermParams) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The terms that occur, ascending, and the number of texts with each."""
    terms, counts = np.unique(hashed(texts, family, params)[1], return_counts=True)
    return terms.astype(np.uint32), counts.astype(np.int64)


def added(
    parts: Sequence[tuple[NDArray[np.uint32], NDArray[np.int64]]],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The sum of the frequencies of several parts."""
    terms, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.zeros(len(terms), dtype=np.int64)
    np.add.at(counts, place, np.concatenate([part[1] for part in parts]))
    return terms, counts


def kind_of(values: Sequence[str]) -> str:
    """number or date where nearly all values are, else text."""
    if not values:
        return TEXT
    for kind, pattern in ((DATE, _DAY), (NUMBER, _AMOUNT)):
        if sum(1 for value in values if pattern.fullmatch(value)) >= _MOST * len(values):
            return kind
    return TEXT


def most_common(left: Mapping[str, int], right: Mapping[str, int], count: int) -> tuple[str, ...]:
    """The names that both sides have, first those that most have on the side where fewer do; at most so many."""
    common = [name for name in left if left[name] and right.get(name, 0)]
    return tuple(sorted(common, key=lambda name: (-min(left[name], right[name]), name))[:count])
