"""The costs of the network of a NAS-Bench-201 cell, in closed form."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.cell_features import counts

Counts = NDArray[np.int64]


def macs(
    cells: NDArray[np.int64], *, channels: int = 16, repeats: int = 5, size: int = 32, classes: int = 10
) -> Counts:
    """Multiply-accumulates (n,) for one image of ``size`` × ``size`` pixels, three channels; size is a multiple of 4.

    cells (n, 6): numbers of operations; give live ones to leave out what has no effect. Three stages of ``repeats`` cells
    with ``channels``, twice and four times as many, residual blocks between, as in Dong and Yang (ICLR 2020). Additions,
    batch norm and pooling are not counted.
    """
    weights = _weights(cells)
    outer = 27 * channels * size**2 + 4 * channels * classes
    joined = 0
    inner = np.zeros(len(cells), dtype=np.int64)
    for stage in range(3):
        width, pixels = channels << stage, (size >> stage) ** 2
        inner += repeats * weights * width**2 * pixels
        if stage:
            joined += pixels * (9 * width * width // 2 + 9 * width * width + width * width // 2)
    return inner + outer + joined


def parameters(cells: NDArray[np.int64], *, channels: int = 16, repeats: int = 5, classes: int = 10) -> Counts:
    """Weights and biases (n,) of the same network, batch norm (two a channel) included."""
    weights, norms = _weights(cells), counts(cells)[:, 1:3].sum(axis=1).astype(np.int64)
    outer = 27 * channels + 2 * channels + 2 * 4 * channels + (4 * channels + 1) * classes
    joined = 0
    inner = np.zeros(len(cells), dtype=np.int64)
    for stage in range(3):
        width = channels << stage
        inner += repeats * (weights * width**2 + norms * 2 * width)
        if stage:
            joined += 9 * width * width // 2 + 9 * width * width + width * width // 2 + 4 * width
    return inner + outer + joined


def _weights(cells: NDArray[np.int64]) -> Counts:
    """Weights of a cell's convolutions by pairs of channels, (n,)."""
    found: Counts = (counts(cells) @ [0.0, 1.0, 9.0, 0.0]).astype(np.int64)
    return found
