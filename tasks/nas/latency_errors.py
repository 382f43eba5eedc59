"""Errors of predicted latencies: fractions within 5 and 10 percent, root mean square, and order."""

import numpy as np
from numpy.typing import NDArray


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's rank correlation with ties averaged; NaN if either is constant."""
    # Loading it takes a fifth of a program's start, and every flow loads this module.
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (one, other)]
    if any(np.ptp(values) == 0 for values in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def latency_errors(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> dict[str, float]:
    """``within_5``, ``within_10``, ``rmspe`` (root mean square of relative errors), ``spearman``, ``count``.

    The metrics of nn-Meter (Zhang et al., MobiSys 2021). Without finite ``spearman`` where either side is constant.
    """
    relative = np.abs(predicted / measured - 1)
    found = {
        "count": float(len(measured)),
        "within_5": float(np.mean(relative <= 0.05)),
        "within_10": float(np.mean(relative <= 0.1)),
        "rmspe": float(np.sqrt(np.mean(relative**2))),
    }
    correlation = spearman(predicted, measured)
    return found | ({"spearman": correlation} if np.isfinite(correlation) else {})
