"""A path-compressed trie in flat arrays (Morrison, J. ACM 15(4), 1968), maxima of ranges, and texts of rows.

The trie is over distinct byte strings in the order of their bytes, so the keys that begin with a prefix are a range
[low, high) of rows. n keys make at most 2n nodes (1.3 to 1.5n for names and queries) of 13 bytes, and at most the bytes of
the keys as tails. Texts are passed flat: text i is data[offsets[i]:offsets[i + 1]].
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
NONE: int
"""The padding of a row of results with fewer than k rows."""
BLOCK: int
"""Rows of a block of the table of maxima."""

def build_trie(
    offsets: NDArray[np.int64], data: NDArray[np.uint8]
) -> dict[str, NDArray[np.uint32] | NDArray[np.uint8]]:
    """The arrays of the trie over keys (n,), in time linear in their bytes.

    Nodes are breadth first, node 0 is the root: ``low`` uint32 (m,), the first row below a node; ``first_child`` uint32
    (m + 1,), the children of node i from first_child[i] to first_child[i + 1], ascending by first byte; ``first_byte``
    uint8 (m,), ``tail_start`` uint32 (m + 1,) and ``tails`` uint8: the bytes from a node's parent to it. ValueError for
    keys that are not distinct or not sorted, for 2**31 keys, and for 2**32 bytes of tails.
    """

def range_maxima(weights: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The row with the largest weight of 2**level blocks of rows from each block on: uint32 (levels, blocks).

    A sparse table (Bender and Farach-Colton, LATIN 2000) over blocks of BLOCK rows: 4 * log2(n / BLOCK) / BLOCK bytes a row.
    """

class Trie:
    """A trie over the arrays of ``build_trie``, which it refers to and does not check."""

    def __init__(
        self,
        rows: int,
        low: NDArray[np.uint32],
        first_child: NDArray[np.uint32],
        first_byte: NDArray[np.uint8],
        tail_start: NDArray[np.uint32],
        tails: NDArray[np.uint8],
    ) -> None: ...
    def find(self, prefix: bytes) -> tuple[int, int]:
        """The range [low, high) of the keys that begin with a prefix; (0, 0) where there are none."""

    def find_many(
        self, offsets: NDArray[np.int64], data: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The ranges of prefixes (q,): low and high uint32 (q,)."""

    def within_one_edit(self, prefix: bytes) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """The keys that do not begin with a prefix, but with a text one edit from it, as ranges: low, high uint32 (r,).

        An edit deletes, inserts or replaces a character of UTF-8, or exchanges two neighbours (Damerau, CACM 7(3), 1964).
        So the keys that go on differently from the prefix's last character are among them. Ranges ascend, and neither
        overlap nor touch, but for two on either side of the keys that begin with the prefix.
        """

    def within_one_edit_many(
        self, offsets: NDArray[np.int64], data: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32]]:
        """The same for prefixes (q,): indptr int64 (q + 1,), and low and high uint32 (indptr[q],)."""

class Heaviest:
    """The rows with the largest weights of any range; refers to its arrays."""

    def __init__(self, weights: NDArray[np.float32], table: NDArray[np.uint32]) -> None:
        """Weights (n,) without NaN, and their ``range_maxima``; ValueError for a table of another shape."""

    def best(self, low: NDArray[np.uint32], high: NDArray[np.uint32], k: int) -> NDArray[np.uint32]:
        """The k rows with the largest weights of ranges (r,), or all: the largest first, ties by the smaller row.

        Ranges must not overlap. ValueError for ranges outside [0, n].
        """

    def best_many(
        self, indptr: NDArray[np.int64], low: NDArray[np.uint32], high: NDArray[np.uint32], k: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The same for the ranges indptr[i] to indptr[i + 1] of each i of (q,).

        Returns rows uint32 (q, k), padded with NONE, and their numbers int64 (q,).
        """

class Texts:
    """UTF-8 texts of rows, decoded when they are asked for; refers to its arrays."""

    def __init__(self, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> None: ...
    def __len__(self) -> int: ...
    def between(self, low: int, high: int) -> list[str]:
        """The texts of the rows [low, high)."""

    def take(self, rows: NDArray[np.uint32]) -> list[str]:
        """The texts of rows (r,)."""
