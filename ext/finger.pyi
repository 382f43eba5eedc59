"""FINGER tables and the search that screens neighbours by estimated distances.

Codes of an edge: "float32" and "int8" (in units of 1/127) hold the direction of the projected residual, "signs" its
signs as bits of little-endian uint64 words. All results are the same on every SIMD path and for any number of threads.
Arguments are not checked; tasks/ann checks them. Source: Chen et al., FINGER, WWW 2023.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
NONE: int
"""The padding of a row of results if fewer than k nodes are reachable."""

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def project(rows: NDArray[np.float32], directions: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float32]:
    """Projections float32 (n, rank) of rows (n, dim) onto directions (rank, dim), each row independently."""

def edge_tables(
    vectors: NDArray[np.float32],
    projections: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.uint32],
    *,
    begin: int,
    code: str,
    tiny_norm2: float,
    threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.generic]]:
    """Tables of the nodes begin, begin + 1, ...; their edges are indices (m,) by indptr (rows + 1,), starting at 0.

    vectors (n, dim) and projections (n, rank) are those of all nodes. Returns squared norms float32 (rows,), 0 below
    tiny_norm2; coefficients float32 (m,); residual norms float32 (m,); codes float32 or int8 (m, rank), or uint64
    (m, ceil(rank / 64)). ValueError for shapes that do not fit.
    """

class Store:
    """A graph, its vectors and its tables in the layout of the search; holds no references to the arguments."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        indptr: NDArray[np.int64],
        indices: NDArray[np.uint32],
        upper: Sequence[tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]],
        entry_points: NDArray[np.uint32],
    ) -> None:
        """vectors (n, dim); level 0 as indptr (n + 1,) and indices; (nodes, indptr, indices) of levels 1 and up."""

    def set_tables(
        self,
        directions: NDArray[np.float32],
        code: str,
        scale: float,
        bias: float,
        indptr: NDArray[np.int64],
        indices: NDArray[np.uint32],
        norm2: NDArray[np.float32],
        projections: NDArray[np.float32],
        coefficient: NDArray[np.float32],
        residual: NDArray[np.float32],
        codes: NDArray[np.generic],
    ) -> None:
        """Copies the tables of all nodes; a corrected cosine is scale * estimate + bias, at most 1."""

    @property
    def bad_row(self) -> int:
        """The first zero row for cosine, or -1."""

    @property
    def table_bytes(self) -> int:
        """Memory of the tables in bytes, including ids."""

    def search(
        self, queries: NDArray[np.float32], k: int, ef: int, threads: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, int, int, int]:
        """Ids and distances (q, k), numbers of full distances, expansions and estimates, the first bad query or -1."""

    def estimate(self, query: NDArray[np.float32], node: int, degree: int) -> NDArray[np.float32] | None:
        """Estimated distances (degree,) to a node's neighbours, None if they are always compared exactly."""
