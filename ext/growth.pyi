"""HNSW graphs that go on: nodes taken out of a finished graph, others inserted.

Results depend only on the graph, the vectors, the levels and the parameters. Arguments are not checked; tasks/ann checks
them. Sources: Malkov and Yashunin, arXiv 1603.09320; Singh et al., FreshDiskANN, arXiv 2105.09613, algorithm 4.
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

class Builder:
    """A builder of the extension hnsw that starts from the lists of a graph, and whose nodes' levels are given."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        max_neighbors: int,
        ef_construction: int,
        levels: NDArray[np.uint8],
        *,
        threads: int = 1,
    ) -> None:
        """vectors (n, d), read where they lie; levels (n,): the top level of each node."""

    @property
    def bad_row(self) -> int:
        """The first zero vector for "cosine", or -1."""

    @property
    def inserted(self) -> int:
        """Number of rows in the graph."""

    @property
    def entry_point(self) -> int:
        """The node at which a search starts."""

    @property
    def counters(self) -> tuple[int, int, int]:
        """Numbers of full distances, of expansions, and of nodes connected by :meth:`connect`."""

    def restore_level(
        self,
        level: int,
        nodes: NDArray[np.uint32],
        indptr: NDArray[np.int64],
        indices: NDArray[np.uint32],
        *,
        threads: int = 1,
    ) -> None:
        """Sets the neighbours of nodes on a level; ValueError for lists longer than a build makes."""

    def restore_end(self, inserted: int) -> None:
        """Marks the first ``inserted`` rows as inserted."""

    def remove(self, removed: NDArray[np.uint8], threads: int) -> int:
        """Takes rows out, one byte (inserted,) each, and repairs lists that named them; the number of these lists."""

    def arrange(self, threads: int) -> None:
        """Orders the rows that are still to be inserted by where in the graph they belong: the same work takes less time."""

    def insert_until(self, target: int, threads: int) -> None:
        """Inserts batches until at least ``target`` rows are inserted."""

    def connect(self) -> None:
        """Adds an edge from a near reachable node to each node that is unreachable from the entry point on level 0."""

    def level_links(self, level: int, nodes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Index pointers (m + 1,) and ids of the neighbours of these nodes (m,) on a level."""
