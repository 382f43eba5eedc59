"""The vector of one sparse row, as `fingerpost.tasks.corpus.svd.project` computes those of many; needs no scipy."""

import numpy as np
from numpy.typing import NDArray


def project_row(
    places: NDArray[np.int64], values: NDArray[np.float32], components: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The vector of a row of features, float32 (d,), of norm 1, or of zeros.

    places: int64 (m,), ascending columns; values: float32 (m,), what they weigh. components: float32 (columns, d), of
    which the rows of these columns are read alone. IndexError for a column that there is not.
    """
    dense = np.zeros((1, components.shape[1]), dtype=np.float32)
    # Entry by entry, as a sparse row is multiplied.
    for place, value in zip(places.tolist(), values, strict=True):
        dense[0] += value * components[place]
    norms = np.sqrt(np.einsum("ij,ij->i", dense, dense, dtype=np.float64))
    norms[norms == 0] = 1.0
    return (dense / norms[:, None]).astype(np.float32)[0]
