"""Ranks of candidates by their scores, and one order of several scores; without torch."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.score_params import ScoreName

#: The scores whose ranks are averaged: how signals pass, how inputs are told apart, how gradients differ between inputs.
AGGREGATED: tuple[ScoreName, ...] = ("synflow", "naswot", "jacobian")

Values = NDArray[np.float64]


def ranks(values: Values) -> Values:
    """Ranks (n,) from 1 for the lowest; equal values share the mean of their ranks, and nan ranks as -inf."""
    _, places, counts = np.unique(np.where(np.isnan(values), -np.inf, values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def aggregate(scores: Mapping[str, Values], names: Sequence[str] = AGGREGATED) -> Values:
    """The mean of the ranks by some scores, as a fraction above 0 and of at most 1; higher is better.

    It depends on which candidates are compared: a candidate's value among others is another. ValueError for a name without
    scores and for scores of unequal length.
    """
    if missing := [name for name in names if name not in scores]:
        raise ValueError(f"scores: expected {', '.join(names)}, got none of {', '.join(missing)}; compute them too")
    if not names or len({len(scores[name]) for name in names}) > 1:
        lengths = {name: len(scores[name]) for name in names}
        raise ValueError(f"scores: expected at least one, of the same candidates, got lengths {lengths}; correct them")
    every = [ranks(np.asarray(scores[name], dtype=np.float64)) for name in names]
    return np.mean(every, axis=0) / max(1, len(every[0]))


def spearman(left: Values, right: Values) -> float:
    """Spearman's rank correlation of values (n,) and (n,); nan where one of them does not vary."""
    first, second = (ranks(np.asarray(values, dtype=np.float64)) for values in (left, right))
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / scale) if scale > 0 else float("nan")
