"""HNSW graphs: building in batches, best-first search over any graph, distances.

Distances are squared L2, or 1 - <q, x> for "ip" and "cosine"; for "cosine" vectors and queries are scaled to length one
on the way in. Ties go to the smaller row. All results are the same on every SIMD path and for any number of threads.
Arguments are taken as they are: tasks/ann checks them. Source: Malkov and Yashunin, arXiv 1603.09320.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
NONE: int
"""The id that fills a row of results where fewer than k nodes are reachable."""

BATCH: int
"""Rows that a builder inserts together."""

def available_paths() -> tuple[str, ...]:
    """SIMD paths of this CPU, of "portable", "avx2", "avx512"."""

def active_path() -> str:
    """The SIMD path in use in this process, by this extension."""

def force_path(name: str) -> None:
    """Uses one SIMD path from now on; ValueError where the CPU lacks it."""

def pair_distance(a: NDArray[np.float32], b: NDArray[np.float32], metric: str, *, four: bool = False) -> float:
    """The raw kernel on two vectors (d,): squared L2, or the dot product; ``four`` takes the kernel for four rows."""

def normalise_rows(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Rows (n, d) scaled to length one, and the first row that has no direction (then the copy is incomplete) or -1."""

def gather_distances(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    indptr: NDArray[np.int64],
    ids: NDArray[np.uint32],
    metric: str,
) -> NDArray[np.float32]:
    """Distances float32 (len(ids),) of query i to the vectors ids[indptr[i]:indptr[i + 1]], to the bits of a search."""

def node_levels(n: int, max_neighbors: int, seed: int) -> NDArray[np.uint8]:
    """The top level uint8 (n,) of every node: a function of seed and row, floor(-ln U / ln max_neighbors)."""

class Store:
    """A graph and a padded, aligned copy of its vectors in the layout that the search reads."""

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
        """The first vector without a direction under "cosine", or -1."""

    def search(
        self, queries: NDArray[np.float32], k: int, ef: int, threads: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, int, int]:
        """Ids (q, k), distances (q, k), full distances, expansions, first query without a direction or -1."""

class Builder:
    """Inserts rows in batches of 128; the graph depends only on vectors, parameters and seed."""

    def __init__(
        self, vectors: NDArray[np.float32], metric: str, max_neighbors: int, ef_construction: int, seed: int
    ) -> None:
        """Copies vectors (n, d); degree at most 2 * max_neighbors on level 0, max_neighbors above."""

    @property
    def bad_row(self) -> int:
        """The first vector without a direction under "cosine", or -1."""

    @property
    def inserted(self) -> int:
        """Rows that are in the graph: a multiple of the batch, or all."""

    @property
    def entry_point(self) -> int:
        """The node from which a search starts."""

    @property
    def counters(self) -> tuple[int, int, int]:
        """Full distances, expansions, nodes connected by :meth:`connect`."""

    def insert_until(self, target: int, threads: int) -> None:
        """Inserts whole batches until at least ``target`` rows are in."""

    def connect(self) -> None:
        """Gives each node that the entry point does not reach on level 0 an edge from a near node that it reaches."""

    def level_links(self, level: int, nodes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Index pointers (m + 1,) and ids of the neighbours that these nodes (m,) have on a level."""

    def restore_level(
        self, level: int, nodes: NDArray[np.uint32], indptr: NDArray[np.int64], indices: NDArray[np.uint32]
    ) -> None:
        """Sets the neighbours of nodes on a level, of a builder that has inserted nothing."""

    def restore_end(self, inserted: int, distances: int, expansions: int) -> None:
        """Declares the first ``inserted`` rows inserted, with the counters so far."""
