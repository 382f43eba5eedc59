"""Thresholds of match probabilities, and the metrics of decisions and of rankings of pairs."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit


def f1_at(labels: NDArray[np.integer], scores: NDArray[np.floating], threshold: float) -> float:
    """F1 of accepting pairs whose score is at least the threshold; 0 without any match among them."""
    accepted = np.asarray(scores) >= threshold
    matches = np.asarray(labels) == 1
    return float(2 * np.sum(accepted & matches) / max(int(accepted.sum() + matches.sum()), 1))


def best_threshold(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """The threshold of the highest F1, halfway to the next lower score; of equal ones the highest.

    ValueError without a match among the pairs.
    """
    values, accepted, matches = _cumulative(labels, scores)
    f1 = 2 * matches / (accepted + matches[-1])
    place = int(np.argmax(f1))
    return float((values[place] + values[place + 1]) / 2) if place + 1 < len(values) else float(values[place])


def expected_threshold(labels: NDArray[np.integer], log_odds: NDArray[np.floating]) -> float:
    """The threshold of the highest F1 that is expected where the probability of a match is a logistic curve of the log odds.

    The curve is fitted to the pairs (Platt, Probabilistic outputs for support vector machines, 1999, whose targets keep it
    finite where a threshold separates all pairs); the best threshold is where it is half of the best F1 (Lipton et al.,
    Optimal thresholding of classifiers to maximize F1, 2014). Unlike `best_threshold` it does not hang on single pairs, of
    which a small validation set has few near it. ValueError without a match, or without another pair.
    """
    scores, is_match = np.asarray(log_odds, dtype=np.float64), np.asarray(labels) == 1
    matches, others = int(is_match.sum()), int((~is_match).sum())
    if not matches or not others:
        raise ValueError(f"pairs: expected some of both labels, got {matches} matches and {others} others; give more")
    targets = np.where(is_match, (matches + 1) / (matches + 2), 1 / (others + 2))
    # Around their mean, in units of their spread: then the steps of the solver suit any scores.
    centre, spread = float(scores.mean()), max(float(scores.std()), 1e-9)
    scaled = (scores - centre) / spread

    def loss(curve: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = curve[0] * scaled + curve[1]
        slack = expit(odds) - targets
        return float(np.sum(np.logaddexp(0, odds) - targets * odds)), np.array([slack @ scaled, slack.sum()])

    slope, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    # A curve that falls says that scores tell nothing: as one that hardly rises, by which all pairs are accepted.
    slope = max(float(slope), 1e-9)
    probabilities = np.sort(expit(slope * scaled + shift))[::-1]
    accepted = np.arange(1, len(probabilities) + 1)
    best = float(np.max(2 * np.cumsum(probabilities) / (accepted + probabilities.sum())))
    found = centre + (np.log(best / 2) - np.log1p(-best / 2) - shift) / slope * spread
    return float(np.clip(found, scores.min(), scores.max()))


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
