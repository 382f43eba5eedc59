"""What a search maximises: accuracies of trained candidates, and what its method knows of the others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.history import History
from fingerpost.tasks.nas.ranks import aggregate
from fingerpost.tasks.nas.search_params import SearchParams

Scores = NDArray[np.float64]


def rewards(history: History, params: SearchParams) -> Scores:
    """The reward of each candidate's accuracy, float64 (n,); NaN for those without one."""
    return _rewards(history, params, [one.accuracy for one in history.evaluated])


def shared_rewards(history: History, params: SearchParams) -> Scores:
    """The reward of each candidate's accuracy with the weights of a supernet, float64 (n,); NaN for those without one."""
    return _rewards(history, params, [one.scores.get("supernet") for one in history.evaluated])


def _rewards(history: History, params: SearchParams, accuracies: Sequence[float | None]) -> Scores:
    found = np.array([np.nan if accuracy is None else accuracy for accuracy in accuracies], dtype=np.float64)
    if params.latency_weight and history.reference is not None:
        latencies = np.array([one.costs.latency_ms for one in history.evaluated])
        found *= (history.reference.costs.latency_ms / latencies) ** params.latency_weight
    return found


def aggregated(history: History, params: SearchParams) -> Scores:
    """The aggregate of each candidate's zero-shot scores, from 0 to 1, float64 (n,); -1 for those without scores."""
    found = np.full(len(history.evaluated), -1.0)
    rows = np.flatnonzero(["scores" in one.measures for one in history.evaluated])
    if len(rows):
        found[rows] = aggregate(score_columns(history, params, rows), params.scores)
    return found


def score_columns(history: History, params: SearchParams, rows: NDArray[np.int64]) -> dict[str, Scores]:
    """The zero-shot scores of some candidates by name, float64 (n,); -inf where a network cannot be scored."""
    return {
        name: np.array([history.evaluated[row].scores.get(name, -np.inf) for row in rows], dtype=np.float64)
        for name in params.scores
    }
