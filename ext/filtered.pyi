"""Searches of a graph for the nearest rows that pass a filter, or for those of them within a radius.

Distances, order and ties as in the extension hnsw. All results are the same on every SIMD path and for any number of
threads. Arguments are not checked; tasks/ann checks them. Source: Patel et al., ACORN, arXiv 2403.04871.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
COMPARE: int
"""The method that compares all rows which the search meets."""

CROSS: int
"""The method that compares rows which pass, and crosses the others."""

SCAN: int
"""The method that compares all rows which pass."""

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def nearest_screened(
    products: NDArray[np.float32],
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    numbers: NDArray[np.int64],
    metric: str,
    k: int,
    ids: NDArray[np.uint32],
    distances: NDArray[np.float32],
) -> int:
    """Writes ids and distances (q, c) of the k nearest of rows (m, d), and returns the number of rows compared again.

    products: (q, m), dot products of queries (q, d) and rows by any method. numbers: int64 (m,), ascending, the ids of
    the rows. k: at most m and c; columns beyond are padded. What may be nearest whatever the rounding of the products is
    compared again: distances are bit for bit those of a search. ValueError for lengths that do not fit.
    """

class Store:
    """A graph and a padded, aligned copy of its vectors in the layout of the search."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        indptr: NDArray[np.int64],
        indices: NDArray[np.uint32],
        upper: Sequence[tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]],
        entry_points: NDArray[np.uint32],
    ) -> None:
        """Copies vectors (n, d) and a checked graph: level 0 as indptr (n + 1,) and indices; upper levels from 1 up."""

    @property
    def bad_row(self) -> int:
        """The first zero vector for "cosine", or -1."""

    def search(
        self,
        queries: NDArray[np.float32],
        bits: NDArray[np.uint64],
        passing: NDArray[np.int64],
        set_of: NDArray[np.int64],
        methods: NDArray[np.uint8],
        ef: int,
        wanted: int,
        radius: float,
        threads: int,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, int, int, int]:
        """Ids and distances (q, wanted), full distances, expansions, queries that compared all, first zero query or -1.

        bits: sets (s, words), (0, 0) where all rows pass; passing (s,): their numbers of rows; set_of,
        methods (q,): set and method of each query. radius: minus infinity for none; rows beyond it are left out. A query for which the graph leads to fewer than ef rows that pass compares all.
        """
