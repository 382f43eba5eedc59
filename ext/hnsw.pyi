"""HNSW graphs: building in batches, best-first search over any graph, distances.

Distances are squared L2, or 1 - <q, x> for "ip" and "cosine"; for "cosine" vectors and queries are first scaled to
length one. Ties go to the smaller row. All results are the same on every SIMD path and for any number of threads.
Arguments are not checked; tasks/ann checks them. Source: Malkov and Yashunin, arXiv 1603.09320.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
NONE: int
"""The padding of a row of results if fewer than k nodes are reachable."""

BATCH: int
"""Number of rows per batch of a builder."""

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

def pair_distance(a: NDArray[np.float32], b: NDArray[np.float32], metric: str, *, four: bool = False) -> float:
    """The raw kernel on two vectors (d,): squared L2, or the dot product; ``four`` uses the kernel for four rows."""

def normalise_rows(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Rows (n, d) scaled to length one, and the first zero row (then the copy is incomplete) or -1."""

def gather_distances(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    indptr: NDArray[np.int64],
    ids: NDArray[np.uint32],
    metric: str,
) -> NDArray[np.float32]:
    """Distances float32 (len(ids),) of query i to the vectors ids[indptr[i]:indptr[i + 1]], bit for bit a search's."""

def node_levels(n: int, max_neighbors: int, seed: int) -> NDArray[np.uint8]:
    """The top level uint8 (n,) of every node: a function of seed and row, floor(-ln U / ln max_neighbors)."""

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
        *,
        lasting: bool = False,
    ) -> None:
        """Copies vectors (n, d) and a checked graph: level 0 as indptr (n + 1,) and indices; upper levels from 1 up.

        lasting: vectors do not change; on a cache line, of a multiple of 16 columns and not to be scaled, they are not
        copied.
        """

    @property
    def bad_row(self) -> int:
        """The first zero vector for "cosine", or -1."""

    def search(
        self, queries: NDArray[np.float32], k: int, ef: int, threads: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, int, int]:
        """Ids and distances (q, k), numbers of full distances and expansions, the first zero query or -1."""

class Builder:
    """Inserts rows in batches of 128; the graph depends only on vectors, parameters and seed."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        max_neighbors: int,
        ef_construction: int,
        seed: int,
        *,
        threads: int = 1,
        levels: NDArray[np.uint8] | None = None,
    ) -> None:
        """Keeps vectors (n, d) and makes the rows that distances are computed from; see :attr:`form`.

        Degree is at most 2 * max_neighbors on level 0, max_neighbors above. levels: uint8 (n,), the top level of every
        node instead of the drawn ones.
        """

    @property
    def form(self) -> str:
        """How distances are computed.

        "integers": exactly, from bytes, for squared L2 of whole numbers within a range of 255. "codes": from 8 bits of
        the rotated rows, and from the floats where two rows are near to each other. "floats": from the floats.
        """

    @property
    def bad_row(self) -> int:
        """The first zero vector for "cosine", or -1."""

    @property
    def inserted(self) -> int:
        """Number of rows in the graph: a multiple of the batch size, or all."""

    @property
    def entry_point(self) -> int:
        """The node at which a search starts."""

    @property
    def counters(self) -> tuple[int, int, int]:
        """Numbers of full distances, of expansions, and of nodes connected by :meth:`connect`."""

    def insert_until(self, target: int, threads: int) -> None:
        """Inserts complete batches until at least ``target`` rows are inserted."""

    def connect(self) -> None:
        """Adds an edge from a near reachable node to each node that is unreachable from the entry point on level 0."""

    def merge_pairs(self, bounds: NDArray[np.uint64], ef: int, threads: int) -> NDArray[np.uint64]:
        """Merges neighbouring graphs in pairs and returns the bounds (ceil(s / 2) + 1,) of the merged ones.

        For a builder whose lists were all set by :meth:`restore_level`, so that graph i has the rows
        bounds[i]:bounds[i + 1]. ef: width of the search of each node in the other graph.
        """

    def level_links(self, level: int, nodes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Index pointers (m + 1,) and ids of the neighbours of these nodes (m,) on a level."""

    def restore_level(
        self,
        level: int,
        nodes: NDArray[np.uint32],
        indptr: NDArray[np.int64],
        indices: NDArray[np.uint32],
        *,
        threads: int = 1,
    ) -> None:
        """Sets the neighbours of nodes on a level of a builder that has not inserted any row."""

    def restore_end(self, inserted: int, distances: int, expansions: int) -> None:
        """Marks the first ``inserted`` rows as inserted and sets the counters."""
