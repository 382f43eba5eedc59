"""What pairs of rows of weighted terms have in common: products of unit vectors, and rarities of common terms."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def compare_rows(
    left_indptr: NDArray[np.int64],
    left_terms: NDArray[np.uint32],
    left_parts: NDArray[np.float32],
    left_rarity: NDArray[np.float32],
    right_indptr: NDArray[np.int64],
    right_terms: NDArray[np.uint32],
    right_parts: NDArray[np.float32],
    right_rarity: NDArray[np.float32],
    pairs: NDArray[np.uint32],
) -> NDArray[np.float32]:
    """Figures of pairs (m, 2) of a left and a right row, float32 (m, 6).

    Row i of a side has the terms of indptr[i] to indptr[i + 1], each once and ascending, with their parts of a unit vector
    and their rarity, the same on both sides.

    The figures: the sum over common terms of the product of their parts; the rarity of the common terms, of all terms of
    the left row, and of the right one; the largest rarity of a common term; and the lesser, of both sides, of the largest
    rarity of a term that it alone has; 0 for none. All are 0 where a whole side has no term.

    Sums are of doubles in the order of the terms: figures depend on the pair's two rows alone. ValueError for ranges and
    lengths that do not fit, and for pairs out of range.
    """
