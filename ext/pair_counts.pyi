"""Scores of all pairs of rows, and their histograms by class.

A score is the cosine of two rows of length one ("cosine": their dot product) or minus their Euclidean distance
("euclidean"): higher is closer. It depends on the two rows only: results are the same on every SIMD path, for any
number of threads, and whatever the other rows. Rows are not checked; tasks/metric checks and normalises them.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
MAX_BINS: int
"""Maximum number of bins."""

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def pair_scores(left: NDArray[np.float32], right: NDArray[np.float32], *, measure: str) -> NDArray[np.float32]:
    """Scores float32 (m, n) of rows (m, d) and (n, d), symmetric bit for bit if the sides are swapped."""

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

    Without a right side: of all pairs within the left side, each counted once. A score s is in bin
    floor(s * inverse_width) + offset, clipped to [0, bins - 1]; this is exact if inverse_width is a power of two.
    Returns uint32 (left classes, bins) and (right classes, bins), classes ascending: pairs with an end on that side in
    the class, whatever the other end; and (left classes, bins): pairs within the class, which the other two count too.
    Memory: a copy of the right side, and with t threads (t - 1) times the counts. ValueError for classes that are not
    ascending, sides of different widths, and 2**32 pairs or more.
    """
