"""Search of packed indexes, their codes and stored vectors.

Distances are squared L2, or 1 - <q, x> for "ip" and "cosine"; for "cosine" stored vectors are of length one and queries
are scaled to it. Ties go to the smaller node. All results are the same on every SIMD path (the products of codes are
sums of integers) and for any number of threads. Arguments are hardly checked; tasks/ann checks them.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
EXACT_ROWS: int
"""Rows of a set up to which a scan compares vectors and not codes."""

NONE: int
"""The padding of a row of results if fewer than k nodes are found."""

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process; codes use AVX-512 only where the CPU has VNNI."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def map_rows(rows: NDArray[np.float32], matrix: NDArray[np.float32], shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (m, dim) times matrix (dim, positions) plus shift, float32 (m, positions), summed in the order of columns."""

def encode(
    rows: NDArray[np.float32],
    matrix: NDArray[np.float32],
    shift: NDArray[np.float32],
    low: NDArray[np.float32],
    step: NDArray[np.float32],
    centre: NDArray[np.float32],
    *,
    bits: int,
    own: bool,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """The codes uint8 (m, positions * bits / 8) of rows (m, dim); own: a squared length as the node's own term, or 0."""

def estimates(
    query: NDArray[np.float32],
    codes: NDArray[np.uint8],
    matrix: NDArray[np.float32],
    shift: NDArray[np.float32],
    low: NDArray[np.float32],
    step: NDArray[np.float32],
    *,
    bits: int,
    l2: bool,
) -> NDArray[np.float32]:
    """The estimates float32 (m,) of a query (dim,) to codes (m, bytes), less a constant of the query."""

def row_bytes(keeping: str, dim: int) -> int:
    """Bytes of a stored row: keeping is "float32", "integers" or "bits12"."""

class Index:
    """A packed index over arrays that are read where they lie; it holds references to them.

    links uint32 (n, 8 i), upper_nodes and upper_start uint32 (u,), upper_links uint32 (r, s), entries uint32 (e,),
    rows uint32 (n,) or (0,), store uint8 (n, row_bytes), store_low and store_step float32; with bits above 0 also codes
    uint8 (n, bytes), matrix, shift, low and step. See packed.hpp for what they mean.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        *,
        metric: str,
        dim: int,
        top_level: int,
        keeping: str,
        bits: int,
    ) -> None:
        """Takes arrays that fit each other; ValueError for shapes that do not."""

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        ef: int,
        rerank: int,
        threads: int,
        kept: NDArray[np.uint64] | None = None,
        passing: NDArray[np.int64] | None = None,
        methods: NDArray[np.uint8] | None = None,
        owners: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, int, int, int]:
        """Row numbers and distances (q, k), numbers of distances, estimates and expansions, the first zero query or -1.

        rerank: how many of the nearest by estimate are compared exactly. kept: sets of row numbers that may be returned,
        as bits (sets, words); passing, methods (sets,): their numbers of rows, and the way of the extension filtered in
        which each is searched; owners: the set of each query, by default the first for all.
        """

    def decoded(self, nodes: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """The stored vectors float32 (n, d) by row number, or those of nodes (m,) in their order."""
