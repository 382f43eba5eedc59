"""A surrogate of accuracy: a Gaussian process over features of candidates, and what to evaluate next by it.

Bayesian optimisation (Jones, Schonlau and Welch, "Efficient global optimization", 1998) of architectures as in White et al.,
"BANANAS" (AAAI 2021), with a Gaussian process in place of the ensemble of networks (Rasmussen and Williams, "Gaussian
processes for machine learning", 2006, chapters 2, 4 and 5).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtr

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

_ROOT_5 = 5.0**0.5
_DENSITY = 1.0 / (2.0 * np.pi) ** 0.5


@dataclass(frozen=True)
class SurrogateParams:
    """Kernels among which the marginal likelihood of what was evaluated chooses.

    lengths: length scales of a Matérn kernel with smoothness 5/2, in root mean square distances of standardised features.
    slopes: variance of a linear kernel as a multiple of the Matérn kernel's. noises: variance of the noise, as another.
    tail: how many deviations below the median a score counts at most, so that a training that diverged does not stretch the
    scale; a deviation is that of the better half.
    """

    lengths: tuple[float, ...] = (0.5, 0.85, 1.4, 2.4)
    slopes: tuple[float, ...] = (0.0, 1.0)
    noises: tuple[float, ...] = (0.003, 0.02, 0.1)
    tail: float = 4.0

    def __post_init__(self) -> None:
        if not self.lengths or not self.slopes or not self.noises or min((*self.lengths, *self.noises)) <= 0:
            raise ValueError(f"surrogate: expected lengths and noises above 0 and slopes, got {self}; correct them")
        if min(self.slopes) < 0 or self.tail <= 0:
            raise ValueError(f"surrogate: expected slopes of at least 0 and a tail above 0, got {self}; correct them")


@dataclass(frozen=True)
class Kernel:
    """A Matérn kernel of one length scale, a linear kernel, and noise."""

    length: float
    slope: float
    noise: float

    def __call__(self, first: Matrix, second: Matrix) -> Matrix:
        """The covariance (n, m) of standardised features (n, d) and (m, d), without noise."""
        inner = first @ second.T
        squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * inner
        scaled = np.sqrt(np.maximum(squares, 0.0)) * (_ROOT_5 / self.length)
        found: Matrix = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled) + self.slope * inner
        return found

    def variance(self, rows: Matrix) -> Vector:
        """The diagonal (n,) of the covariance of rows (n, d) with themselves."""
        found: Vector = 1.0 + self.slope * (rows**2).sum(axis=1)
        return found


@dataclass(frozen=True)
class Surrogate:
    """What scores are expected of candidates; ``fit_surrogate`` makes one."""

    kernel: Kernel
    shift: Vector
    scale: Vector
    rows: Matrix
    root: Matrix
    weights: Vector
    mean: float
    deviation: float

    def predict(self, encodings: Matrix) -> tuple[Vector, Vector]:
        """Mean and spread (n,) of the score that an evaluation of each row (n, d) would find, in units of scores.

        The spread includes the noise of an evaluation. ValueError for features that are not finite or not as many as
        those fitted.
        """
        known = _features(encodings, len(self.shift))
        return self.along(standardised(known, self.shift, self.scale))

    def along(self, rows: Matrix) -> tuple[Vector, Vector]:
        """``predict`` for rows that are standardised already."""
        crossed = self.kernel(self.rows, rows)
        whitened = solve_triangular(self.root, crossed, lower=True, check_finite=False)
        left = np.maximum(self.kernel.variance(rows) - (whitened**2).sum(axis=0), 0.0)
        mean: Vector = self.mean + whitened.T @ self.weights
        spread: Vector = self.deviation * np.sqrt(left + self.kernel.noise)
        return mean, spread


def fit_surrogate(
    encodings: Matrix, scores: Vector, *, among: Matrix | None = None, params: SurrogateParams | None = None
) -> Surrogate:
    """The surrogate of scores (n,), higher is better, of candidates with features (n, d); n is 1 or more.

    Features are standardised over the rows of ``among``, the candidates that it is about, or else over those fitted; those
    that do not vary there are left out. The kernel is that of the
    greatest marginal likelihood, mean and variance in closed form. A function of its arguments alone. ValueError for
    features or scores that are not finite.
    """
    params = params or SurrogateParams()
    known = _features(encodings, np.shape(encodings)[-1])
    if len(known) != len(scores) or not len(known) or not np.isfinite(scores).all():
        raise ValueError(
            f"surrogate: expected a finite score for each of {len(known)} rows, got {scores}; correct them"
        )
    everyone = known if among is None else _features(among, known.shape[1])
    shift, scale = everyone.mean(axis=0), everyone.std(axis=0)
    rows = standardised(known, shift, scale)
    targets = clipped(np.asarray(scores, dtype=np.float64), params.tail)
    kernel = likeliest(rows, targets, params)
    return conditioned(kernel, rows, targets, shift=shift, scale=scale)


def conditioned(kernel: Kernel, rows: Matrix, targets: Vector, *, shift: Vector, scale: Vector) -> Surrogate:
    """The surrogate of a kernel given standardised rows (n, d) and their targets (n,)."""
    covariance = kernel(rows, rows)
    covariance[np.diag_indices_from(covariance)] += kernel.noise
    root: Matrix = np.linalg.cholesky(covariance).astype(np.float64)
    both = solve_triangular(root, np.column_stack([targets, np.ones(len(targets))]), lower=True, check_finite=False)
    mean = float(both[:, 0] @ both[:, 1] / (both[:, 1] @ both[:, 1]))
    weights = both[:, 0] - mean * both[:, 1]
    deviation = float(np.sqrt(weights @ weights / len(weights)))
    return Surrogate(kernel, shift, scale, rows, root, weights, mean, deviation)


def clipped(scores: Vector, tail: float) -> Vector:
    """Scores (n,) with those far below the median raised, by the spread of the better half."""
    middle, high = np.quantile(scores, [0.5, 0.84])
    found: Vector = np.maximum(scores, middle - tail * (high - middle)) if high > middle else scores
    return found


def acquisition(mean: Vector, spread: Vector, best: float) -> Vector:
    """The expected improvement (n,) over the best score so far; 0 or more."""
    gap = mean - best
    safe = np.maximum(spread, 1e-300)
    ratio = np.clip(gap / safe, -40.0, 40.0)
    found: Vector = gap * ndtr(ratio) + safe * _DENSITY * np.exp(-0.5 * ratio**2)
    return np.maximum(np.where(spread > 0, found, gap), 0.0)


def choose(acquired: Vector, count: int, excluded: NDArray[np.bool_]) -> NDArray[np.int64]:
    """At most ``count`` positions with the highest values that are not excluded, best first, ties to the lowest position."""
    order = np.argsort(-acquired, kind="stable")
    return order[~excluded[order]][:count].astype(np.int64)


def _features(encodings: Matrix, columns: int) -> Matrix:
    known = np.asarray(encodings, dtype=np.float64)
    if known.ndim != 2 or known.shape[1] != columns or not np.isfinite(known).all():
        raise ValueError(f"surrogate: expected finite features (n, {columns}), got {known.shape}; correct them")
    return known


def standardised(known: Matrix, shift: Vector, scale: Vector) -> Matrix:
    """Rows whose mean squared length is 1 over those fitted; features that did not vary there are 0."""
    varying = scale > 1e-9 * np.maximum(np.abs(shift), 1e-300)
    width = max(int(varying.sum()), 1) ** 0.5
    found: Matrix = np.where(varying, (known - shift) / np.where(varying, scale, 1.0), 0.0) / width
    return found


def likeliest(rows: Matrix, targets: Vector, params: SurrogateParams) -> Kernel:
    """The kernel of the greatest marginal likelihood; the first of equals."""
    best: tuple[float, Kernel] | None = None
    for length, slope in product(params.lengths, params.slopes):
        values, vectors = np.linalg.eigh(Kernel(length, slope, 0.0)(rows, rows))
        values = np.maximum(values, 0.0)
        turned, ones = vectors.T @ targets, vectors.sum(axis=0)
        for noise in params.noises:
            found = _log_likelihood(values + noise, turned, ones)
            if best is None or found > best[0]:
                best = (found, Kernel(length, slope, noise))
    assert best is not None
    return best[1]


def _log_likelihood(values: Vector, turned: Vector, ones: Vector) -> float:
    """The log marginal likelihood up to a constant, at the best mean and variance; all in the eigenvectors' basis."""
    mean = float((turned * ones / values).sum() / (ones**2 / values).sum())
    residuals = turned - mean * ones
    variance = max(float((residuals**2 / values).mean()), 1e-300)
    return float(-0.5 * len(values) * np.log(variance) - 0.5 * np.log(values).sum())
