"""What a search maximises: accuracies of trained candidates, and what its method knows of the others."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.history import Evaluated, History, Measure
from fingerpost.tasks.nas.ranks import aggregate
from fingerpost.tasks.nas.search_params import SearchParams

Scores = NDArray[np.float64]


def was(one: Evaluated, measure: Measure) -> bool:
    """Whether a candidate was evaluated so."""
    if measure == "training":
        return one.trained
    return "supernet" in one.scores if measure == "supernet" else any(name != "supernet" for name in one.scores)


def rewards(history: History, params: SearchParams) -> Scores:
    """The reward of each candidate's accuracy, float64 (n,); NaN for those without one."""
    reference = history.reference.costs if history.reference else None
    return np.array([one.value(reference, params.latency_weight) for one in history.evaluated], dtype=np.float64)


def aggregated(history: History, params: SearchParams) -> Scores:
    """The aggregate of each candidate's zero-shot scores, from 0 to 1, float64 (n,); -1 for those without scores."""
    found = np.full(len(history.evaluated), -1.0)
    rows = np.flatnonzero([was(one, "scores") for one in history.evaluated])
    if len(rows):
        found[rows] = aggregate(score_columns(history, params, rows), params.scores)
    return found


def score_columns(history: History, params: SearchParams, rows: NDArray[np.int64]) -> dict[str, Scores]:
    """The zero-shot scores of some candidates by name, float64 (n,)."""
    return {
        name: np.array([history.evaluated[row].scores[name] for row in rows], dtype=np.float64)
        for name in params.scores
    }
