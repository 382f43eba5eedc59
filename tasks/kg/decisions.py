"""The best threshold of scores of labelled pairs, and metrics of their ranking."""

import numpy as np
from numpy.typing import NDArray


def best_threshold(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """The threshold of the highest F1, halfway to the next lower score; of equal ones the highest.

    ValueError without a match among the pairs.
    """
    values, accepted, matches = _cumulative(labels, scores)
    f1 = 2 * matches / (accepted + matches[-1])
    place = int(np.argmax(f1))
    return float((values[place] + values[place + 1]) / 2) if place + 1 < len(values) else float(values[place])


def average_precision(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """PRAUC as average precision: the precision at each distinct score times the recall that it adds.

    ValueError without a match among the pairs.
    """
    _, accepted, matches = _cumulative(labels, scores)
    return float(np.sum(np.diff(matches, prepend=0) / matches[-1] * matches / accepted))


def recall_at_precision(labels: NDArray[np.integer], scores: NDArray[np.floating], precision: float) -> float:
    """The highest recall of a threshold with at least this precision; 0 if none has.

    ValueError without a match among the pairs.
    """
    _, accepted, matches = _cumulative(labels, scores)
    reached = matches / accepted >= precision
    return float(np.max(matches[reached], initial=0) / matches[-1])


def _cumulative(
    labels: NDArray[np.integer], scores: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct scores, descending, with the pairs and the matches that have at least each."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    if not np.any(labels == 1):
        raise ValueError("pairs: expected at least one match among them, got none; give some labelled 1")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    matches = np.cumsum(labels[order] == 1)
    return scores[order][last], np.flatnonzero(last) + 1, matches[last]
