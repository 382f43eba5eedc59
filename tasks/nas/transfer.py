"""Latencies on a device from a score of measured cells and the latencies of other devices.

What devices have in common is a few directions: the principal components of the other devices' relative latencies (as in the
embedding of devices by Lee et al., "HELP: hardware-adaptive efficient latency prediction", NeurIPS 2021, but linear). A new
device is a sum of these and of the counts of operations, with coefficients that its own measurements say.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.block_regression import Block, Regression, fit_blocks
from fingerpost.tasks.nas.few_shot import LINEAR, FewShotParams, count_features, likely_factor

Cells = NDArray[np.int64]
Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

#: Principal components of the other devices, and the logarithm of the variance expected of their coefficients.
COMPONENTS, SHARED = 4, -3.0


@dataclass(frozen=True)
class TransferredLatency:
    """Latencies of the cells whose latencies on the other devices are known."""

    components: Matrix
    regression: Regression
    factor: float

    def predict(self, cells: Cells, positions: NDArray[np.int64] | None = None) -> tuple[Vector, Vector]:
        """Mean and spread of cells (n, 6), which are those at ``positions`` of the known ones, or all of them."""
        known = self.components if positions is None else self.components[positions]
        mean, spread = self.regression.predict([count_features(cells), known])
        return self.factor * mean, self.factor * spread


def shared_components(others: Matrix, count: int = COMPONENTS) -> Matrix:
    """The first principal components (m, count) of the latencies (m, devices) of other devices, each by its median.

    Rows have a mean square length of about 1; a component's sign is such that its greatest coefficient is positive.
    ValueError for latencies that are not above 0.
    """
    if others.ndim != 2 or not others.size or not (np.isfinite(others) & (others > 0)).all():
        raise ValueError(f"transfer: expected latencies above 0 of other devices, got {others.shape}; correct them")
    relative = others / np.median(others, axis=0)
    centred = relative - relative.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    order = np.argsort(-values, kind="stable")[:count]
    chosen = vectors[:, order]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    found: Matrix = centred @ chosen / np.sqrt(values[order[0]])
    return found


def fit_transfer(
    cells: Cells,
    positions: NDArray[np.int64],
    latencies: Vector,
    others: Matrix,
    params: FewShotParams | None = None,
) -> TransferredLatency:
    """The latencies of a device from those (n,) of the cells at ``positions`` of cells (m, 6), of which other devices'
    latencies (m, devices) are known."""
    params = params or FewShotParams()
    components = shared_components(others)
    blocks = [Block(count_features(cells[positions]), LINEAR), Block(components[positions], SHARED)]
    regression = fit_blocks(blocks, latencies)
    return TransferredLatency(components, regression, likely_factor(regression.left_out, latencies, params.tolerance))
