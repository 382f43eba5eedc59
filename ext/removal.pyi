"""Lists of neighbours without some nodes, chosen again where they named one of them.

The same result on every SIMD path and for any number of threads. Arguments are not checked; tasks/ann checks them.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def level_without(
    vectors: NDArray[np.float32],
    metric: str,
    nodes: NDArray[np.uint32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.uint32],
    removed: NDArray[np.uint8],
    cap: int,
    *,
    threads: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The lists (indptr, indices) of one level without the nodes that ``removed`` (n,) marks.

    vectors: (n, d), for cosine of length one. nodes: of the level, ascending; empty: all. indptr, indices: their lists.
    cap: maximum length of a list that is chosen again. Removed nodes have empty lists. Lists without a removed node stay as
    they are; the others are chosen by the heuristic of a build among those that remain in them and the neighbours of those
    removed, nearest first, ties by number.
    """
