"""The order of candidates: the ranker's score, how often they followed the queries before, and popularity.

Counts are smoothed by interpolated absolute discounting (Ney, Essen and Kneser, Computer Speech and Language 8, 1994):
of the most recent query's followers, backing off to those of the query before it, and to popularity.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.followers import Followers
from fingerpost.tasks.autocomplete.terms import text_hash
from fingerpost.tasks.autocomplete.trie import Ranges

#: The probability of what was never counted, so that logarithms are finite.
_LEAST = 1e-9
#: Of the score of the most recent query itself: sessions have none twice in a row.
_REPEATED = -9.0
#: The number of queries whose rows are cached.
_CACHED = 4096


@dataclass(frozen=True)
class BlendParams:
    """How the sources are weighed; the defaults were chosen on validation sessions of call sequences.

    ranker: factor on the ranker's score, a sum of logarithms.
    counts: factor on the logarithm of the probability by counts.
    discount: how much each count is lowered, in favour of what was not counted.
    distances: how many queries before have followers that count, 0 for popularity alone.
    copies: added to the score of the query before the most recent one, and of the one before that: sessions come
        back.
    """

    ranker: float = 1.0
    counts: float = 0.2
    discount: float = 0.75
    distances: int = 2
    copies: tuple[float, float] = (2.0, 1.5)

    def __post_init__(self) -> None:
        for name in ("ranker", "counts"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least 0, got {value}; correct it")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount: expected above 0, up to 1, got {self.discount}; correct it")
        if not 0 <= self.distances <= 2:
            raise ValueError(f"distances: expected 0 to 2, got {self.distances}; correct it")
        if len(self.copies) != 2 or not all(map(math.isfinite, self.copies)):
            raise ValueError(f"copies: expected two numbers, got {self.copies}; give both")


class Blend:
    """Scores of candidates from the ranker's and from counts; nothing in it changes.

    arrays: as made by ``followers.follower_arrays``.
    """

    def __init__(self, arrays: Mapping[str, NDArray], params: BlendParams = BlendParams()) -> None:
        self.params = params
        # The queries of a session come again with each letter that is typed.
        self._rows = lru_cache(_CACHED)(self._row_of)
        self._hashes, self._order, self._weights = (arrays[name] for name in ("hashes", "order", "popularity"))
        total = float(self._weights.sum(dtype=np.float64))
        self._popularity = self._weights / np.float32(total or 1.0)
        self._followers = [_followers(arrays, distance) for distance in range(1, params.distances + 1)]
        self._totals = [_sums(found, found.counts) for found in self._followers]
        self._lowered = [
            _sums(found, np.minimum(found.counts, np.float32(params.discount))) for found in self._followers
        ]

    def row_of(self, key: str) -> int:
        """The row of the suggestion with this matching key; -1 for none."""
        return self._rows(key)

    def _row_of(self, key: str) -> int:
        if not len(self._hashes):
            return -1
        number = np.uint64(text_hash(key))
        place = int(self._hashes.searchsorted(number))
        return int(self._order[place]) if place < len(self._hashes) and self._hashes[place] == number else -1

    def popularity(self, rows: NDArray[np.uint32]) -> NDArray[np.float32]:
        """The popularity of suggestions: decayed counts, float32 (c,)."""
        return self._weights[rows]

    def followed(self, previous: Sequence[str], rows: NDArray[np.uint32]) -> NDArray[np.float32]:
        """How often each suggestion followed the most recent query: decayed counts, float32 (c,)."""
        row = self.row_of(previous[0]) if previous and self._followers else -1
        return self._counts(0, row, rows) if row >= 0 else np.zeros(len(rows), dtype=np.float32)

    def followers(self, previous: str, ranges: Ranges) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """The suggestions within ranges that followed a query, uint32 (c,), ascending, and their counts, float32 (c,)."""
        row = self.row_of(previous) if self._followers else -1
        if row < 0:
            return np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.float32)
        return _within(*self._followers[0].of(row), ranges)

    def candidates(self, previous: Sequence[str], ranges: Ranges, k: int) -> NDArray[np.uint32]:
        """At most k suggestions within ranges that followed the queries before, most often first, uint32.

        First those of the most recent query, then those of the one before. Then queries that were asked before the most
        recent one, if they can be suggested.
        """
        before = [self.row_of(key) for key in previous]
        found: list[NDArray[np.uint32]] = []
        for followers, row in zip(self._followers, before, strict=False):
            if row >= 0:
                rows, counts = _within(*followers.of(row), ranges)
                found.append(rows[np.argsort(-counts, kind="stable")[:k]])
        earlier = np.array([row for row in before[1:] if row >= 0], dtype=np.uint32)
        low, high = ranges
        found.append(earlier[((earlier[:, None] >= low) & (earlier[:, None] < high)).any(axis=1)])
        every = np.concatenate(found)
        _, first = np.unique(every, return_index=True)
        return every[np.sort(first)][:k]

    def scores(
        self, previous: Sequence[str], rows: NDArray[np.uint32], ranker: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The scores of candidates, float32 (c,), higher is better.

        previous: matching keys, the most recent first. rows: uint32 (c,). ranker: float32 (c,), logarithmic scores; -inf for
        what the ranker did not list, which then counts as much as the last that it did.
        """
        before = [self.row_of(key) for key in previous]
        probability = self._popularity[rows].astype(np.float64)
        for distance in range(min(len(self._followers), len(before)) - 1, -1, -1):
            row = before[distance]
            if row >= 0 and self._totals[distance][row] > 0:
                counts = self._counts(distance, row, rows).astype(np.float64)
                held = self._lowered[distance][row] * probability
                kept = np.maximum(counts - self.params.discount, 0.0)
                probability = (kept + held) / self._totals[distance][row]
        scores = self.params.counts * np.log(probability + _LEAST)
        listed = np.isfinite(ranker)
        if listed.any():
            scores += self.params.ranker * np.where(listed, ranker, ranker[listed].min())
        for row, bonus in zip(before, (_REPEATED, *self.params.copies), strict=False):
            if row >= 0:
                scores[rows == row] += bonus
        return scores.astype(np.float32)

    def _counts(self, distance: int, row: int, rows: NDArray[np.uint32]) -> NDArray[np.float32]:
        followers, counts = self._followers[distance].of(row)
        if not len(followers):
            return np.zeros(len(rows), dtype=np.float32)
        place = np.minimum(followers.searchsorted(rows), len(followers) - 1)
        return np.where(followers[place] == rows, counts[place], np.float32(0))


def _followers(arrays: Mapping[str, NDArray], distance: int) -> Followers:
    return Followers(*(arrays[f"{name}_{distance}"] for name in ("start", "rows", "counts")))


def _sums(followers: Followers, values: NDArray[Any]) -> NDArray[np.float64]:
    """The sum over the followers of each suggestion, float64."""
    sizes = np.diff(followers.start)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return np.bincount(rows, weights=values, minlength=len(sizes)).astype(np.float64, copy=False)


def _within(
    rows: NDArray[np.uint32], counts: NDArray[np.float32], ranges: Ranges
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Those rows, ascending, that are in one of the ranges."""
    if len(ranges[0]) == 1:
        part = slice(*rows.searchsorted(np.concatenate(ranges)).tolist())  # of one dtype: no copy
        return rows[part], counts[part]
    place = np.searchsorted(ranges[0], rows, side="right").astype(np.int64) - 1
    inside = (place >= 0) & (rows < ranges[1][place]) if len(ranges[0]) else np.zeros(len(rows), dtype=bool)
    return rows[inside], counts[inside]
