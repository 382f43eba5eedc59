"""Latencies of cells on a device, from few measured ones: which cells to measure, and what the others' latencies are.

A device runs each edge that is not ``none``, whether or not it is on a path to the output, so the counts of all operations
say most; their products say how far kinds of operations hide one another. Cells to measure are chosen so that the mean
variance of all predictions becomes least (I-optimality; Atkinson, Donev and Tobias, "Optimum experimental designs", 2007,
chapter 10, with the exchange algorithm of Fedorov).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.block_regression import Block, Regression, fit_blocks
from fingerpost.tasks.nas.cell_features import counts
from fingerpost.tasks.nas.cells import live_operations

Cells = NDArray[np.int64]
Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

#: Logarithms of the variances expected of linear and of quadratic terms, in squares of the median latency.
LINEAR, QUADRATIC = -1.0, -10.0
#: Variances of linear terms, and of the rest, and of noise, under which cells to measure are chosen.
_DESIGN = (0.3, 1e-3, 2e-3)
#: How far from the tolerance an error still counts partly, and how sure a factor of 1 is beforehand.
_SOFTNESS, _TRUST = 0.015, 0.06


@dataclass(frozen=True)
class FewShotParams:
    """tolerance: the relative error within which most predictions are to be. rounds, candidates: of the exchange that chooses
    what to measure: how often each is exchanged, and among how many cells drawn at random."""

    tolerance: float = 0.1
    rounds: int = 2
    candidates: int = 4000

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1 or self.rounds < 0 or self.candidates < 1:
            raise ValueError(
                f"few shots: expected a tolerance between 0 and 1 and at least 1 candidate, got {self}; correct it"
            )


@dataclass(frozen=True)
class CellLatency:
    """Latencies of cells: the mean of a linear regression and of one with products, times a factor.

    The factor is what brings most predictions within the tolerance, as judged by leaving out each measured cell.
    """

    linear: Regression
    quadratic: Regression
    factor: float

    def predict(self, cells: Cells) -> tuple[Vector, Vector]:
        """Mean and spread (n,) in the unit of what was measured, of cells (n, 6)."""
        straight, curved = latency_features(cells)
        parts = self.linear.predict([straight]), self.quadratic.predict([straight, curved])
        mean = 0.5 * self.factor * (parts[0][0] + parts[1][0])
        return mean, 0.5 * self.factor * (parts[0][1] + parts[1][1])


def fit_few_shot(cells: Cells, latencies: Vector, params: FewShotParams | None = None) -> CellLatency:
    """The latencies of a device from measured cells (n, 6) and their latencies (n,), above 0. A function of these alone."""
    params = params or FewShotParams()
    _checked(cells, latencies)
    straight, curved = latency_features(cells)
    linear = fit_blocks([Block(straight, LINEAR)], latencies)
    quadratic = fit_blocks([Block(straight, LINEAR), Block(curved, QUADRATIC)], latencies)
    left_out = 0.5 * (linear.left_out + quadratic.left_out)
    return CellLatency(linear, quadratic, likely_factor(left_out, latencies, params.tolerance))


def cells_to_measure(cells: Cells, count: int, *, seed: int, params: FewShotParams | None = None) -> NDArray[np.int64]:
    """Positions (count,) in cells (n, 6) of those to measure; ValueError if there are fewer than count."""
    params = params or FewShotParams()
    if not 0 < count <= len(cells):
        raise ValueError(f"few shots: expected 1 to {len(cells)} cells to measure, got {count}; correct it")
    random = np.random.default_rng(seed)
    drawn = random.choice(len(cells), max(count, min(params.candidates, len(cells))), replace=False)
    linear, rest, noise = _DESIGN
    everyone = _design_features(cells, linear, rest)
    spread_of = everyone.T @ everyone / len(everyone)
    return drawn[_least_variance(everyone[drawn], count, spread_of, noise, params.rounds)].astype(np.int64)


def likely_factor(predicted: Vector, latencies: Vector, tolerance: float) -> float:
    """The factor of predictions (n,) that brings most of them within the tolerance of latencies (n,), with a margin."""
    factors = np.exp(np.linspace(-0.12, 0.12, 49))
    errors = np.abs(factors[:, None] * predicted / latencies - 1.0)
    within = 1.0 / (1.0 + np.exp(np.minimum((errors - tolerance) / _SOFTNESS, 50.0)))
    doubt = 0.5 * (np.log(factors) / _TRUST) ** 2 / len(latencies)
    return float(factors[np.argmax(within.mean(axis=1) - doubt)])


def count_features(cells: Cells) -> Matrix:
    """Counts of the operations (n, 4) of cells (n, 6), with mean 0 and a root mean square length of 1 over all cells."""
    return latency_features(cells)[0]


def _checked(cells: Cells, latencies: Vector) -> None:
    if len(cells) != len(latencies) or not len(cells) or not (np.isfinite(latencies) & (latencies > 0)).all():
        raise ValueError(
            f"few shots: expected a latency above 0 for each of {len(cells)} cells, got {latencies}; correct them"
        )


def latency_features(cells: Cells) -> tuple[Matrix, Matrix]:
    """Counts of operations, and their products, scaled over all cells."""
    (middle, size), (curved_middle, curved_size) = _scales()
    own = counts(cells)
    return (own - middle) / size, (_products(own) - curved_middle) / curved_size


@cache
def _scales() -> tuple[tuple[Vector, float], tuple[Vector, float]]:
    """Mean and root mean square length of counts and of their products, over all cells."""
    every = counts(np.array(list(product(range(5), repeat=6)), dtype=np.int64))
    return _scale(every), _scale(_products(every))


def _scale(columns: Matrix) -> tuple[Vector, float]:
    middle = columns.mean(axis=0)
    return middle, float(np.sqrt(((columns - middle) ** 2).sum(axis=1).mean()))


def _products(columns: Matrix) -> Matrix:
    pairs = combinations_with_replacement(range(columns.shape[1]), 2)
    return np.stack([columns[:, one] * columns[:, two] for one, two in pairs], axis=1)


def _design_features(cells: Cells, linear: float, rest: float) -> Matrix:
    """Features whose coefficients have variance 1 beforehand: counts of all and of live operations, and their products."""
    straight, curved = latency_features(cells)
    live_straight, live_curved = latency_features(live_operations(cells))
    others = [np.sqrt(rest) * block for block in (curved, live_straight, live_curved)]
    return np.concatenate([np.full((len(cells), 1), 3.0), np.sqrt(linear) * straight, *others], axis=1)


def _least_variance(rows: Matrix, count: int, spread_of: Matrix, noise: float, rounds: int) -> list[int]:
    """Rows that make the mean variance of predictions least: one by one, and then each exchanged for a better one."""
    covariance = np.eye(rows.shape[1])
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(_next(rows, covariance, spread_of, noise, chosen))
        covariance = _updated(covariance, rows[chosen[-1]], noise)
    for _ in range(rounds):
        for place in range(count):
            covariance = _updated(covariance, rows[chosen[place]], -noise)
            others = [*chosen[:place], *chosen[place + 1 :]]
            chosen[place] = _next(rows, covariance, spread_of, noise, others)
            covariance = _updated(covariance, rows[chosen[place]], noise)
    return chosen


def _next(rows: Matrix, covariance: Matrix, spread_of: Matrix, noise: float, taken: Sequence[int]) -> int:
    """The row not taken that lessens the mean variance most."""
    along = rows @ covariance
    gains = ((along @ spread_of) * along).sum(axis=1) / (noise + (along * rows).sum(axis=1))
    gains[list(taken)] = -1.0
    return int(np.argmax(gains))


def _updated(covariance: Matrix, row: Vector, noise: float) -> Matrix:
    """The covariance of the coefficients after a measurement of a row; of one less for a negative noise."""
    along = covariance @ row
    found: Matrix = covariance - np.outer(along, along) / (noise + row @ along)
    return found
