"""Scores of all pairs of rows, and their histograms by class.

A score is the cosine of two rows of length one ("cosine": their dot product) or minus their Euclidean distance
("euclidean"): higher is closer. It depends on the two rows alone: results are the same on every SIMD path, for any number
of threads, and whatever rows are beside. Rows are taken as they are: tasks/metric checks and normalises them.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
MAX_BINS: int
"""Bins at most."""

def available_paths() -> tuple[str, ...]:
    """SIMD paths of this CPU, of "portable", "avx2", "avx512"."""

def active_path() -> str:
    """The SIMD path in use in this process, by this extension."""

def force_path(name: str) -> None:
    """Uses one SIMD path from now on; ValueError where the CPU lacks it."""

def pair_scores(left: NDArray[np.float32], right: NDArray[np.float32], *, measure: str) -> NDArray[np.float32]:
    """Scores float32 (m, n) of rows (m, d) and (n, d); score (i, j) has the bits of score (j, i) with the sides changed."""

def pair_counts(
    left: NDArray[np.float32],
    left_classes: NDArray[np.int64],
    right: NDArray[np.float32] | None,
    right_classes: NDArray[np.int64] | None,
    *,
    measure: str,
    inverse_width: float,
    offset: int,
    bins: int,
    threads: int = 1,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """Histograms of the scores of all pairs of rows (m, d) and (n, d), both sorted by their classes (m,) and (n,).

    Without a right side: of all pairs inside the left one, each counted once. A score s counts in bin
    floor(s * inverse_width) + offset, cut to [0, bins - 1]; that is exact where inverse_width is a power of two. Returns
    uint32 (left classes, bins) and (right classes, bins), the classes ascending: pairs with an end on that side in the
    class, whatever the other end is; and (left classes, bins): pairs inside the class, which the other two count as well.
    Memory: the right side once more, and with t threads (t - 1) times the counts. ValueError for classes that are not
    ascending, sides of different widths, 2**32 pairs and more.
    """
