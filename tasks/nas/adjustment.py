"""How the latency of a whole network differs from the sum of its operators, each measured on its own.

A runtime converts layouts between operators, overlaps them, and takes time between them; what an operator takes in a network
therefore differs by group of operators, and is learned from some whole networks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.operators import OPERATOR_KINDS

#: Groups of operators that a runtime treats alike: 1 × 1 and larger convolutions, depthwise ones, all others.
GROUPS = 4
#: What is expected before any network was measured: a network is the sum of its operators, give or take 30 %, and an
#: operator takes no more in it, give or take a tenth of the mean of all.
_WEIGHT_SPREAD, _STEP_SPREAD = 0.3, 0.1
#: The relative standard deviation of a network's latency around its adjusted sum, as it is assumed for the weights.
_NOISE = 0.05


@dataclass(frozen=True)
class Adjustment:
    """Weights of the groups' sums, float64 (4,), and milliseconds for each operator and each network."""

    weights: NDArray[np.float64]
    step_ms: float = 0.0
    network_ms: float = 0.0

    @staticmethod
    def none() -> "Adjustment":
        """That of a device on which networks take the sum of their operators."""
        return Adjustment(np.ones(GROUPS))

    def of(self, sums: NDArray[np.float64], operators: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (n,): networks of sums (n, 4) by group and numbers of operators (n,); half their sum at the least."""
        # Not a product of matrices, whose last bits depend on the number of rows.
        found = (sums * self.weights).sum(axis=1) + self.step_ms * operators + self.network_ms
        return np.asarray(np.maximum(found, 0.5 * sums.sum(axis=1)))

    def array(self) -> NDArray[np.float64]:
        """float64 (6,): weights, milliseconds per operator and per network."""
        return np.append(self.weights, [self.step_ms, self.network_ms])

    @staticmethod
    def from_array(array: NDArray[np.float64]) -> "Adjustment":
        """The inverse of array."""
        return Adjustment(array[:GROUPS].copy(), float(array[GROUPS]), float(array[GROUPS + 1]))


def groups_of(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (n,): the group of each operator (n, 9)."""
    conv, depthwise = (rows[:, 0] == OPERATOR_KINDS.index(kind) for kind in ("conv", "depthwise"))
    return np.where(conv, np.where(rows[:, 4] == 1, 0, 1), np.where(depthwise, 2, 3))


def fit_adjustment(sums: NDArray[np.float64], operators: NDArray[np.float64], ms: NDArray[np.float64]) -> Adjustment:
    """The adjustment of networks of sums (n, 4) and numbers of operators (n,) that took ms (n,): Bayesian regression."""
    step = float(np.mean(sums.sum(axis=1) / operators))
    columns = np.column_stack([sums, operators * step, np.full(len(ms), step)]) / ms[:, None] / _NOISE
    expected = np.append(np.ones(GROUPS), [0.0, 0.0])
    precision = np.append(np.full(GROUPS, 1 / _WEIGHT_SPREAD), [1 / _STEP_SPREAD, 1.0])
    system = np.vstack([columns, np.diag(precision)])
    targets = np.append(np.full(len(ms), 1 / _NOISE), precision * expected)
    found = np.linalg.lstsq(system, targets, rcond=None)[0]
    return Adjustment(found[:GROUPS], float(found[GROUPS] * step), float(found[GROUPS + 1] * step))
