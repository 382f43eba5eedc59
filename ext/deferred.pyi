"""Blocks of coded residuals, and best-first search whose frontier is ordered by estimates from them.

Arrays are C-contiguous. Codes have 1, 2 or 4 bits a direction. All results are the same on every SIMD path and for any
number of threads. Values are not checked; tasks/ann checks them. Sources: Chen et al., FINGER, WWW 2023; Gao and Long,
RaBitQ, SIGMOD 2024.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SOURCE_HASH: str
#: The most nodes of one store.
MOST_NODES: int
#: Bytes of a line.
LINE: int
#: The id where fewer than k nodes are found.
NONE: int

def available_paths() -> tuple[str, ...]:
    """The SIMD paths of this CPU, of "portable", "avx2", "avx512" (integers by VNNI where it has that, else avx2)."""

def active_path() -> str:
    """The path in use."""

def force_path(name: str) -> None:
    """Uses a path from now on; ValueError for one that the CPU lacks."""

def aligned(lines: int) -> NDArray[np.uint8]:
    """Zeros (lines, 64) that begin on a cache line."""

def block_lines(degrees: ArrayLike, *, rank: int, bits: int, metric: str) -> NDArray[np.int64]:
    """Lines of the blocks of nodes with so many neighbours."""

def project(rows: NDArray[np.float32], directions: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float32]:
    """Rows (n, dim) along directions (rank, dim): (n, rank), each row independently of the others."""

def squared_norms(rows: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float32]:
    """Squared lengths (n,) of rows (n, dim)."""

def decoded(projections: NDArray[np.float32], *, bits: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the codes of projections (n, rank) stand for, (n, rank), and the length of what they leave out, (n,)."""

def fill_blocks(
    vectors: NDArray[np.float32],
    projections: NDArray[np.float32],
    norms2: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.uint32],
    out: NDArray[np.uint8],
    *,
    begin: int,
    stride: int,
    bits: int,
    metric: str,
    tiny_norm2: float,
    margins: Sequence[float],
    threads: int = 1,
) -> None:
    """Writes the blocks of nodes ``begin, begin + 1, ...`` to lines (m, 64).

    vectors (n, dim), projections (n, rank), norms2 (n,) of all nodes; indptr (rows + 1,) counts from 0. stride: lines
    of every block, or 0 where each takes what it needs. margins: per length that the directions leave out, and per
    standard deviation of what rounding leaves out. ValueError where they do not fit together.
    """

def entry_block(
    vectors: NDArray[np.float32],
    projections: NDArray[np.float32],
    norms2: NDArray[np.float32],
    ids: NDArray[np.uint32],
    *,
    bits: int,
    metric: str,
    margins: Sequence[float],
) -> NDArray[np.uint8]:
    """The block (lines, 64) of the nodes that searches begin from, as neighbours of the origin."""

class Store:
    """Vectors (n, dim) and blocks as the search reads them; what lies on cache lines is referred to, not copied.

    first: (n + 1,), or empty with a stride. Under cosine rows are scaled to length one in a copy; bad_row is the first
    that has no length, or -1.
    """

    bad_row: int
    def __init__(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        directions: NDArray[np.float32],
        lines: NDArray[np.uint8],
        first: NDArray[np.uint32],
        entries: NDArray[np.uint8],
        *,
        stride: int,
        bits: int,
    ) -> None: ...
    @property
    def nbytes(self) -> int:
        """Bytes of all that a search reads."""

    def search(
        self, queries: NDArray[np.float32], k: int, ef: int, threads: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, int, int, int]:
        """Ids and distances (q, k), distances, expansions and estimates, and the first bad query or -1."""

    def estimate(self, query: NDArray[np.float32], node: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """A node's neighbours, or the entries for node -1, and a query's estimated distances to them."""
