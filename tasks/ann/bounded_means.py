"""Confidence bounds for the mean of values between 0 and 1, valid for any distribution and any number of values.

Recalls near 1 break the normal interval: where no query of a sample missed anything, it has no width. A bet has one.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 86, 2024), section 4.1 and
appendix C: the capital of bets that the mean is higher than m, each of a constant fraction, has an expectation of at most 1
where the mean is m. The mean of several such capitals has too, so by Markov's inequality it exceeds 1 / error with a
probability of at most ``error``. As the fractions are constant, the order of the values has no effect, and by Hoeffding
(JASA 58, 1963, theorem 4) the bound also holds for a sample drawn without replacement.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Fractions of the capital that are bet, up to all of it: large ones for values that hardly vary.
_FRACTIONS: NDArray[np.float64] = np.append(1.0 / (1.0 + np.exp(-np.linspace(-4.5, 7.0, 36))), 1.0)
#: Halvings of the range that a bound lies in.
_HALVINGS = 44


@dataclass(frozen=True)
class BoundedMean:
    """The mean of values, and bounds between which the mean of their distribution lies with a given confidence."""

    mean: float
    low: float
    high: float


def mean_between(values: ArrayLike, *, confidence: float) -> BoundedMean:
    """The mean of independent values (n,) between 0 and 1, and its bounds, each missed with half of the error.

    Without values it is between 0 and 1. ValueError for values or a confidence out of range.
    """
    found = np.asarray(values, dtype=np.float64).ravel()
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a probability between 0 and 1, got {confidence}; 0.95 is usual")
    if len(found) and not (found.min() >= 0 and found.max() <= 1):
        raise ValueError(f"values: expected 0 to 1, got {found.min()} to {found.max()}; divide by the maximum")
    if not len(found):
        return BoundedMean(1.0, 0.0, 1.0)
    error = (1 - confidence) / 2
    mean = float(found.mean())
    return BoundedMean(mean, min(_lower(found, error), mean), max(1 - _lower(1 - found, error), mean))


def most_certain(count: int, *, confidence: float) -> float:
    """The lower bound of ``count`` values that are all 1: the highest that so many can show."""
    return mean_between(np.ones(count), confidence=confidence).low


def _lower(values: NDArray[np.float64], error: float) -> float:
    """The lower bound: the largest m, to 2**-44, that the capital of bets on more than m refutes."""
    distinct, counts = np.unique(values, return_counts=True)
    wanted = -np.log(error) + np.log(len(_FRACTIONS))
    low, high = 0.0, float(values.mean())
    # A bet on more than m wins more the smaller m is, so that all below a refuted m are refuted.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _log_capitals(distinct, counts, middle) >= wanted:
            low = middle
        else:
            high = middle
    return low


def _log_capitals(distinct: NDArray[np.float64], counts: NDArray[np.int64], mean: float) -> float:
    """Logarithm of the sum of the capitals of all fractions, bet on a mean above ``mean``, after all values."""
    if mean <= 0:
        return np.inf
    with np.errstate(divide="ignore"):
        logs = np.log1p(_FRACTIONS[:, None] * (distinct / mean - 1.0)) @ counts
    most = float(logs.max())
    return most + float(np.log(np.exp(logs - most).sum()))
