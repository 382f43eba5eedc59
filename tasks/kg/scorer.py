"""Training of the published scorer: trees of several seeds and a line over all features, an aligner's log odds beside them."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.exported_trees import fit_trees
from fingerpost.tasks.kg.pair_scorer import Line, Stack

#: A feature that varies less is none.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class ScorerParams:
    """Settings of the published scorer.

    boosting: of its trees.
    forests: how many times the trees are trained, with seeds of their own; their log odds are averaged.
    line_matches: with so many matches to train on, a logistic regression counts as much as the trees, with more the
        less; 0: not at all.
    line_scale: variance of its prior slopes of standardised features.
    least_validation: matches for validation from which an aligner is given a weight.
    folds: folds of the pairs that the aligner's weight is fitted on.
    """

    boosting: BoostingParams = field(default_factory=lambda: BoostingParams(fraction=0.5))
    forests: int = 3
    line_matches: int = 30
    line_scale: float = 0.1
    least_validation: int = 20
    folds: int = 5


def fit_stack(
    names: tuple[str, ...], features: NDArray[np.float32], labels: NDArray[np.integer], params: ScorerParams
) -> Stack:
    """Trees of all seeds, and a line, over training pairs (m, features). ValueError without pairs of both labels."""
    seeds = range(params.boosting.seed, params.boosting.seed + params.forests)
    forests = tuple(fit_trees(features, labels, replace(params.boosting, seed=seed)) for seed in seeds)
    if not params.line_matches:
        zeros = np.zeros(len(names))
        return Stack(names, forests, Line(zeros, zeros, 0.0))
    share = params.line_matches / (params.line_matches + int(np.sum(np.asarray(labels) == 1)))
    return Stack(names, forests, fit_line(features, labels, params), share)


def fit_line(features: NDArray[np.float32], labels: NDArray[np.integer], params: ScorerParams) -> Line:
    """A logistic regression on standardised features, unknown ones at their mean."""
    # Settings name the parameters above: a command that trains nothing does not wait for scikit-learn.
    from sklearn.linear_model import LogisticRegression

    known = ~np.isnan(features)
    counts = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, features, 0).astype(np.float64)
    centres = values.sum(axis=0) / counts
    apart = np.where(known, values - centres, 0.0)
    spread = np.sqrt((apart**2).sum(axis=0) / counts)
    spread = np.where(spread > _LEAST_SPREAD, spread, np.inf)
    model = LogisticRegression(C=params.line_scale, max_iter=1000).fit(apart / spread, labels)
    return Line(model.coef_[0] / spread, centres, float(model.intercept_[0]))


def with_aligner(
    stack: Stack,
    own: NDArray[np.float64],
    aligner: NDArray[np.float64],
    labels: NDArray[np.integer],
    params: ScorerParams,
) -> Stack:
    """The stack with a weight for an aligner, if validation pairs say that it helps; else as it was.

    own, aligner: log odds of validation pairs. The weights of both are those of a logistic regression that is drawn to the
    stack's own alone. They are kept if the log loss of pairs left out of it (in folds) is lower by more than twice its standard error.
    """
    is_match = np.asarray(labels) == 1
    if min(int(is_match.sum()), int((~is_match).sum())) < params.least_validation:
        return stack
    inputs = np.stack([own, np.nan_to_num(aligner, nan=0.0)], axis=1)
    folds = _folds(is_match, params.folds)
    alone, both = np.zeros(len(labels)), np.zeros(len(labels))
    for fold in range(params.folds):
        fitted, held = folds != fold, folds == fold
        for losses, used in ((alone, 1), (both, 2)):
            weights = _fitted(inputs[fitted, :used], is_match[fitted])
            losses[held] = _losses(inputs[held, :used], is_match[held], weights)
    gain = alone - both
    if gain.mean() <= 2 * gain.std() / np.sqrt(len(gain)):
        return stack
    weights = _fitted(inputs, is_match)
    if weights[1] <= 0 or weights[0] <= 0:
        return stack
    return replace(stack, own=float(weights[0]), aligner=float(weights[1]), shift=float(weights[2]))


def _folds(is_match: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Folds with as many matches each, by place."""
    folds = np.zeros(len(is_match), dtype=np.int64)
    for some in (is_match, ~is_match):
        folds[some] = np.arange(int(some.sum())) % count
    return folds


def _losses(
    inputs: NDArray[np.float64], is_match: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    odds = inputs @ weights[:-1] + weights[-1]
    return np.asarray(np.logaddexp(0.0, np.where(is_match, -odds, odds)))


def _fitted(inputs: NDArray[np.float64], is_match: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of each input and a shift, drawn to those of the first input alone."""
    # Loading it takes a part of a program's start, and every flow loads this module.
    from scipy.optimize import minimize

    start = np.array([1.0, *[0.0] * inputs.shape[1]])

    def loss(weights: NDArray[np.float64]) -> float:
        return float(_losses(inputs, is_match, weights).sum() + 0.5 * np.sum((weights - start) ** 2))

    return np.asarray(minimize(loss, start, method="L-BFGS-B").x)
