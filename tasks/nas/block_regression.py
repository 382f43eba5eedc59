"""Robust linear regression of latencies on blocks of features, each of which shrinks as the data say.

Errors are relative and have heavy tails: Student's t with few degrees of freedom, by expectation and maximisation (Lange,
Little and Taylor, "Robust statistical modeling using the t distribution", 1989). The variance of each block's coefficients
and of the noise are those of the greatest marginal likelihood under wide priors (MacKay, "Bayesian interpolation", 1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

#: Degrees of freedom of the noise, and how often its weights are computed.
FREEDOM, ROUNDS = 4.0, 3
#: Deviation of the prior of the logarithm of a variance, and the mean of that of the noise: relative errors of 5 %.
_WIDTH, _NOISE = 2.0, -6.0
#: The deviation of the intercept as a multiple of the median latency.
_INTERCEPT = 3.0


@dataclass(frozen=True)
class Block:
    """Columns of features with a mean square row length of about 1, and the logarithm of the variance expected of them."""

    columns: Matrix
    variance: float


@dataclass(frozen=True)
class Regression:
    """Coefficients (intercept first) in units of latency, their covariance, and the relative deviation of the noise.

    left_out (n,): for each row that was fitted, what is predicted without it.
    """

    coefficients: Vector
    covariance: Matrix
    noise: float
    left_out: Vector

    def predict(self, blocks: Sequence[Matrix]) -> tuple[Vector, Vector]:
        """Mean and spread (m,) for rows of the blocks' columns, in the order in which they were fitted."""
        rows = _design(blocks)
        mean: Vector = rows @ self.coefficients
        own = ((rows @ self.covariance) * rows).sum(axis=1)
        spread: Vector = np.sqrt(np.maximum(own, 0.0) + (self.noise * mean) ** 2)
        return mean, spread


def fit_blocks(blocks: Sequence[Block], latencies: Vector) -> Regression:
    """The regression of latencies (n,), above 0, on the blocks' rows. A function of its arguments alone."""
    rows = _design([block.columns for block in blocks])
    unit = float(np.median(latencies))
    targets = latencies / unit
    which = np.repeat(np.arange(len(blocks)), [block.columns.shape[1] for block in blocks])
    centre = np.array([*(block.variance for block in blocks), _NOISE])
    weights, found = np.ones(len(targets)), centre
    for number in range(ROUNDS):
        precision = weights / targets**2
        found = _likeliest(rows, targets, precision, which, centre, found)
        mean, covariance = _posterior(rows, targets, precision, which, found)
        own = ((rows @ covariance) * rows).sum(axis=1)
        if number < ROUNDS - 1:
            errors = ((targets - rows @ mean) ** 2 + own) / targets**2
            weights = (FREEDOM + 1.0) / (FREEDOM + errors / np.exp(found[-1]))
    leverage = np.minimum(own * precision / np.exp(found[-1]), 0.999)
    left_out = targets - (targets - rows @ mean) / (1.0 - leverage)
    return Regression(mean * unit, covariance * unit**2, float(np.exp(found[-1] / 2)), left_out * unit)


def _design(blocks: Sequence[Matrix]) -> Matrix:
    return np.concatenate([np.ones((len(blocks[0]), 1)), *blocks], axis=1)


def _prior(which: NDArray[np.int64], logs: Vector) -> Vector:
    """Precisions of the coefficients."""
    return np.concatenate([[1.0 / _INTERCEPT**2], np.exp(-logs[which])])


def _posterior(
    rows: Matrix, targets: Vector, precision: Vector, which: NDArray[np.int64], logs: Vector
) -> tuple[Vector, Matrix]:
    scaled = rows * (precision / np.exp(logs[-1]))[:, None]
    covariance: Matrix = np.linalg.inv(rows.T @ scaled + np.diag(_prior(which, logs)))
    return covariance @ (scaled.T @ targets), covariance


def _likeliest(
    rows: Matrix, targets: Vector, precision: Vector, which: NDArray[np.int64], centre: Vector, start: Vector
) -> Vector:
    """Logarithms of the blocks' variances and of the noise's at the greatest posterior probability."""
    # Loading it takes a part of a program's start, and every flow loads this module.
    from scipy.optimize import minimize

    gram = (rows * precision[:, None]).T @ rows
    crossed, square = (rows * precision[:, None]).T @ targets, float(precision @ targets**2)

    def cost(logs: Vector) -> float:
        noise, prior = np.exp(logs[-1]), _prior(which, logs)
        root = np.linalg.cholesky(gram / noise + np.diag(prior))
        part = np.linalg.solve(root, crossed / noise)
        fit = square / noise - part @ part
        size = 2.0 * np.log(np.diag(root)).sum() - np.log(prior).sum() + len(targets) * logs[-1]
        return float(0.5 * (fit + size) + 0.5 * (((logs - centre) / _WIDTH) ** 2).sum())

    bounds = [(-16.0, 5.0)] * len(centre)
    found: Vector = minimize(cost, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}).x
    return found
