"""Counts of suggestions, and of suggestions that follow another at a distance in the same session."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.sessions import text_hashes

#: The distances that are counted: of the previous query, and of the one before it.
DISTANCES = 2


@dataclass(frozen=True)
class Followers:
    """Followers of n suggestions at one distance.

    start: int64 (n + 1,), the range of each suggestion's followers. rows: uint32, suggestions, ascending in each range.
    counts: float32, decayed, above 0.
    """

    start: NDArray[np.int64]
    rows: NDArray[np.uint32]
    counts: NDArray[np.float32]

    def of(self, row: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """The followers of a suggestion, and their counts."""
        part = slice(int(self.start[row]), int(self.start[row + 1]))
        return self.rows[part], self.counts[part]


def count_followers(
    before: NDArray[np.int32], following: NDArray[np.int32], weights: NDArray[np.float32], suggestions: int
) -> Followers:
    """The followers at one distance.

    before, following: int32 (p,), rows of suggestions of each pair, -1 for a query that is none, whose pairs do not count.
    weights: float32 (p,), added in float64 in the order of the pairs.
    """
    counted = (before >= 0) & (following >= 0) & (weights > 0)
    cells = before[counted].astype(np.int64) * suggestions + following[counted]
    distinct, place = np.unique(cells, return_inverse=True)
    counts = np.bincount(place, weights=weights[counted], minlength=len(distinct)).astype(np.float32)
    rows, followers = np.divmod(distinct, max(suggestions, 1))
    start = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=suggestions)))).astype(np.int64)
    return Followers(start, followers.astype(np.uint32), counts)


def follower_arrays(
    keys: Sequence[str], popularity: NDArray[np.float32], followers: Sequence[Followers]
) -> dict[str, NDArray]:
    """Counts as named arrays.

    keys: of the suggestions, whose rows are found by the hashes of these. popularity: float32 (suggestions,).
    """
    hashes = text_hashes(keys)
    order = np.argsort(hashes, kind="stable").astype(np.uint32)
    arrays: dict[str, NDArray] = {"hashes": hashes[order], "order": order, "popularity": popularity}
    for distance, found in enumerate(followers, start=1):
        arrays |= {f"start_{distance}": found.start, f"rows_{distance}": found.rows, f"counts_{distance}": found.counts}
    return arrays
