"""A surrogate over a fixed pool of candidates: each evaluation updates what is expected of all of them in one step.

The rows of the Cholesky factor and of the whitened covariance with the pool are added as candidates are evaluated (Rasmussen
and Williams, "Gaussian processes for machine learning", 2006, appendix A.4), so that an evaluation costs the pool times
what was evaluated, and not the square of that.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from fingerpost.tasks.nas.surrogate import Kernel, SurrogateParams, clipped, likeliest

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

#: Numbers of evaluations after which the kernel is chosen again.
REFITTED = (14, 20, 28, 40, 60, 90, 130, 190, 280)


class SurrogatePool:
    """What is expected of each candidate of a pool after those evaluated so far; at most ``most`` of them.

    rows (m, d): features as ``surrogate.standardised`` returns them. A candidate may be evaluated more than once.
    """

    def __init__(self, rows: Matrix, most: int, params: SurrogateParams | None = None) -> None:
        self._rows, self._params = rows, params or SurrogateParams()
        self._places: list[int] = []
        self._scores: list[float] = []
        self._kernel: Kernel | None = None
        self._root = np.zeros((most, most))
        self._whitened = np.empty((most, len(rows)))
        self._left = np.empty(len(rows))
        self._known = 0

    def tell(self, place: int, score: float) -> None:
        """The score of the candidate in row ``place``."""
        self._places.append(place)
        self._scores.append(score)

    def predict(self) -> tuple[Vector, Vector]:
        """Mean and spread (m,) of the score that an evaluation of each candidate would find; after one was told."""
        targets = clipped(np.array(self._scores), self._params.tail)
        if self._kernel is None or self._known < len(targets) in REFITTED:
            self._kernel = likeliest(self._rows[self._places], targets, self._params)
            self._left, self._known = self._kernel.variance(self._rows), 0
        self._extend(self._kernel)
        count = len(targets)
        both = solve_triangular(
            self._root[:count, :count], np.column_stack([targets, np.ones(count)]), lower=True, check_finite=False
        )
        mean = float(both[:, 0] @ both[:, 1] / (both[:, 1] @ both[:, 1]))
        weights = both[:, 0] - mean * both[:, 1]
        deviation = np.sqrt(weights @ weights / count)
        spread: Vector = deviation * np.sqrt(np.maximum(self._left, 0.0) + self._kernel.noise)
        return mean + weights @ self._whitened[:count], spread

    def _extend(self, kernel: Kernel) -> None:
        """Adds the rows of what was told since."""
        for number in range(self._known, len(self._places)):
            place = self._places[number]
            before = self._whitened[:number]
            along = before[:, place].copy()
            own = kernel.variance(self._rows[place : place + 1])[0] + kernel.noise - along @ along
            # Rounding alone can leave less than the noise.
            pivot = np.sqrt(max(own, 0.5 * kernel.noise))
            self._root[number, :number], self._root[number, number] = along, pivot
            crossed = kernel(self._rows[place : place + 1], self._rows)[0]
            self._whitened[number] = (crossed - along @ before) / pivot
            self._left -= self._whitened[number] ** 2
        self._known = len(self._places)
