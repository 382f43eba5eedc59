"""Operators as rows of numbers, as the kernel of the accelerator and the latency estimator take them."""

from collections.abc import Iterable
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.operators import OPERATOR_KINDS, Operator

#: The columns of a row of an operator; ``kind`` is its position in OPERATOR_KINDS.
COLUMNS = ("kind", "size", "inputs", "outputs", "kernel", "stride", "output_size", "relu", "added")


#: The values of an operator in the order of COLUMNS, its kind by name.
cells_of = attrgetter(*COLUMNS)


def operator_rows(operators: Iterable[Operator]) -> NDArray[np.int64]:
    """int64 (n, 9): one row per operator, in the order of COLUMNS."""
    rows = [(OPERATOR_KINDS.index(kind), *rest) for kind, *rest in map(cells_of, operators)]
    return np.array(rows, dtype=np.int64).reshape(-1, len(COLUMNS))


def operators_from(rows: NDArray[np.int64]) -> tuple[Operator, ...]:
    """The inverse of operator_rows."""
    found = []
    for kind, size, inputs, outputs, kernel, stride, output_size, relu, added in rows.tolist():
        name = OPERATOR_KINDS[kind]
        found.append(Operator(name, size, inputs, outputs, kernel, stride, output_size, bool(relu), bool(added)))
    return tuple(found)
