"""Features of operators for latency regression: configuration, costs, and channels in whole groups of several sizes."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.operator_arrays import COLUMNS
from fingerpost.tasks.nas.operators import OPERATOR_KINDS

#: Sizes of groups in which hardware takes channels: vectors and arrays of processors have these, whatever the device.
GROUPS = (1, 4, 8, 16, 32, 64)
_CONV, _DEPTHWISE, _LINEAR, _ADD = (OPERATOR_KINDS.index(kind) for kind in ("conv", "depthwise", "linear", "add"))


def operator_macs(rows: NDArray[np.int64], group: int = 1) -> NDArray[np.float64]:
    """float64 (n,): multiply-accumulates of operators (n, 9) with their channels filled up to multiples of ``group``."""
    inputs, outputs = (np.ceil(rows[:, column] / group) * group for column in (2, 3))
    kinds, taps = rows[:, 0], rows[:, 6].astype(np.float64) ** 2 * rows[:, 4] ** 2
    dense = np.where(kinds == _LINEAR, 1.0, taps) * inputs * outputs
    return np.where(np.isin(kinds, (_CONV, _LINEAR)), dense, np.where(kinds == _DEPTHWISE, taps * outputs, 0.0))


def operator_parameters(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (n,): weights and biases of operators (n, 9)."""
    kinds, inputs, outputs, kernel = (rows[:, column].astype(np.float64) for column in (0, 2, 3, 4))
    dense = np.where(kinds == _LINEAR, 1.0, kernel**2) * inputs * outputs + outputs
    depthwise = np.where(kinds == _DEPTHWISE, (kernel**2 + 1) * outputs, 0.0)
    return np.where(np.isin(kinds, (_CONV, _LINEAR)), dense, depthwise)


def operator_values(rows: NDArray[np.int64], group: int = 1) -> NDArray[np.float64]:
    """float64 (n,): values read and written by operators (n, 9), channels filled up to multiples of ``group``."""
    inputs, outputs = (np.ceil(rows[:, column] / group) * group for column in (2, 3))
    written = rows[:, 6].astype(np.float64) ** 2 * outputs
    added = (rows[:, 8] > 0) | (rows[:, 0] == _ADD)
    return np.asarray(rows[:, 1].astype(np.float64) ** 2 * inputs + written * np.where(added, 2.0, 1.0))


def operator_costs(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (n, 14): 1, parameters, then multiply-accumulates and values with channels in whole groups of GROUPS."""
    of_groups = [of_group(rows, group) for of_group in (operator_macs, operator_values) for group in GROUPS]
    return np.column_stack([np.ones(len(rows)), operator_parameters(rows), *of_groups])


def operator_features(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (n, 44): configuration, logarithms of costs, multiply-accumulates per value, and how full groups are.

    Which size of groups a device has, and whether memory or arithmetic bounds an operator, is for the regression to find;
    so is the code that a library has for channels that fill no whole group.
    """
    costs = np.log1p(operator_costs(rows)[:, 1:])
    moved = np.log1p(operator_values(rows) + operator_parameters(rows))
    macs, values = costs[:, 1 : 1 + len(GROUPS)], costs[:, 1 + len(GROUPS) :]
    intensities = [macs - values, macs[:, [0, 3]] - moved[:, None]]
    fill = [rows[:, column] / (np.ceil(rows[:, column] / group) * group) for column in (2, 3) for group in GROUPS[1:]]
    configuration = rows[:, 1 : len(COLUMNS)].astype(np.float64)
    return np.column_stack([configuration, costs, moved, *intensities, *fill]).astype(np.float32)
