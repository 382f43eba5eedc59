"""Features of NAS-Bench-201 cells: counts and places of operations, and of the paths from input to output.

Cells are rows of six numbers of operations, in the order of ``cells.EDGES``: 0 none, 1 skip connection, 2 and 3 convolutions
of 1 × 1 and 3 × 3, 4 average pooling. The path encoding follows White, Nolen and Savani, "Exploring the loss landscape in
neural architecture search" (UAI 2021).
"""

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.int64]
Features = NDArray[np.float64]

#: The edges of each of the four paths from input to output.
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
_KINDS = (1, 2, 3, 4)


def counts(cells: Cells) -> Features:
    """How many edges are skip connections, convolutions of 1 × 1, of 3 × 3, poolings, (n, 4)."""
    return np.stack([(cells == kind).sum(axis=1) for kind in _KINDS], axis=1).astype(np.float64)


def places(cells: Cells) -> Features:
    """Which operation is on each edge, as 0 and 1, (n, 24); none is all 0."""
    return np.concatenate([cells == kind for kind in _KINDS], axis=1).astype(np.float64)


def path_features(cells: Cells) -> Features:
    """The paths of live cells, (n, 19): how many there are, the operations on all of them, the most and the fewest
    convolutions, 3 × 3 convolutions and poolings on one, and how many have 0, 1, 2 or 3 (3 × 3) convolutions."""
    alive = np.stack([(cells[:, path] != 0).all(axis=1) for path in PATHS], axis=1)
    kinds = np.stack(
        [np.stack([(cells[:, path] == kind).sum(axis=1) for path in PATHS], axis=1) * alive for kind in _KINDS], axis=2
    )
    deep, wide, pools = kinds[:, :, 1] + kinds[:, :, 2], kinds[:, :, 2], kinds[:, :, 3]
    ends = [found for values in (deep, wide, pools) for found in (_most(values, alive), _fewest(values, alive))]
    depths = [((values == depth) & alive).sum(axis=1) for values in (wide, deep) for depth in range(4)]
    columns = [alive.sum(axis=1), *kinds.sum(axis=1).T, *ends, *depths]
    return np.stack(columns, axis=1).astype(np.float64)


def features_of_cells(cells: Cells) -> Features:
    """Features for a surrogate of accuracy, (n, 23), of live cells: counts and paths."""
    return np.concatenate([counts(cells), path_features(cells)], axis=1)


def _most(values: NDArray[np.int64], alive: NDArray[np.bool_]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.where(alive, values, 0).max(axis=1)
    return found


def _fewest(values: NDArray[np.int64], alive: NDArray[np.bool_]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.where(alive, values, len(PATHS)).min(axis=1) * alive.any(axis=1)
    return found
