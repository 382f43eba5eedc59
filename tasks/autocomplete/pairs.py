"""Pairs of queries before and the next query, from sessions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.suggestions import check_half_life, decayed


@dataclass(frozen=True)
class PairParams:
    """previous: number of queries before the next one that are kept, at most. half_life_days: the age at which a pair
    counts half; 0 for no decay.
    """

    previous: int = 3
    half_life_days: float = 30.0

    def __post_init__(self) -> None:
        if self.previous < 1:
            raise ValueError(f"previous: expected at least 1, got {self.previous}; 3 is usual")
        check_half_life(self.half_life_days)


@dataclass(frozen=True)
class Pairs:
    """p pairs in the order of sessions and steps.

    sessions, nexts: uint32 (p,), rows of sessions and queries. indptr: int64 (p + 1,), the queries before pair i are
    ``previous[indptr[i]:indptr[i + 1]]``, uint32, the most recent first. suggestions: int32 (p,), the row of the next query
    among the suggestions; -1 for none. weights: float32 (p,).
    """

    sessions: NDArray[np.uint32]
    nexts: NDArray[np.uint32]
    indptr: NDArray[np.int64]
    previous: NDArray[np.uint32]
    suggestions: NDArray[np.int32]
    weights: NDArray[np.float32]


def pair(
    sessions: NDArray[np.uint32],
    queries: NDArray[np.uint32],
    times: NDArray[np.int64],
    suggestion_of: NDArray[np.int32],
    params: PairParams,
    *,
    newest: int,
) -> Pairs:
    """The pairs of steps, which are in the order of sessions: (t,) rows of sessions and queries, and times.

    suggestion_of: int32 (queries,), the row of each query among the suggestions; -1 for none. newest: the time that ages
    count from; later pairs have the weight 1.
    """
    position = np.arange(len(sessions))
    starts = np.ones(len(sessions), dtype=bool)
    starts[1:] = sessions[1:] != sessions[:-1]
    within = position - np.maximum.accumulate(np.where(starts, position, 0))
    nexts = np.flatnonzero(within > 0)
    counts = np.minimum(within[nexts], params.previous)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # The k-th query before the one at position p is at p - k.
    back = np.arange(indptr[-1]) - np.repeat(indptr[:-1], counts) + 1
    return Pairs(
        sessions[nexts],
        queries[nexts],
        indptr,
        queries[np.repeat(nexts, counts) - back],
        suggestion_of[queries[nexts]].astype(np.int32),
        decayed(times[nexts], params.half_life_days, newest).astype(np.float32),
    )
