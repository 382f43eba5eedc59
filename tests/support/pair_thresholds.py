"""F1 of labelled pairs at a threshold, the published rule of the threshold, and a slow definition of it."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from fingerpost.tasks.kg.judged import Judged
from fingerpost.tasks.kg.one_to_one import ScoredPairs
from fingerpost.tasks.kg.targets import expected_f1_threshold


def f1_at(labels: NDArray[np.integer], scores: NDArray[np.floating], threshold: float) -> float:
    """F1 of accepting pairs whose score is at least the threshold; 0 without any match among them."""
    accepted = np.asarray(scores) >= threshold
    matches = np.asarray(labels) == 1
    return float(2 * np.sum(accepted & matches) / max(int(accepted.sum() + matches.sum()), 1))


def published_threshold(labels: NDArray[np.integer], log_odds: NDArray[np.floating]) -> float:
    """The threshold of log odds that an alignment is decided by for the target f1, from labelled pairs as given."""
    rows, scores = np.arange(len(labels)), np.asarray(log_odds, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.float64)
    return expected_f1_threshold(
        Judged("given", ScoredPairs(rows, rows, scores), truth, 0.0, np.ones(len(rows), dtype=bool))
    )


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
