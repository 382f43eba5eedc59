"""Beam search in a tree of labels whose weights are stored in chunks: by parent, by feature, by child.

Source: Etter et al., WWW 2022 (arXiv 2106.02697), for masked sparse chunk multiplication; Yu et al., JMLR 23(98), 2022,
for the scores. Ties go to the smaller id. Results are the same for every lookup, for any number of threads, and for a
query alone or in a batch. Arguments are not checked; tasks/xmr checks them.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
LOOKUPS: tuple[str, ...]
"""Methods of intersecting the features of query and chunk: four, and "chosen", which selects one per chunk."""

NONE: int
"""The padding of a row of results with fewer than k labels."""

CHAIN: int
"""Added to a chain node among the places of a level."""

class Searcher:
    """A model in the layout of the search; holds references to the arrays, which must not be modified."""

    def __init__(self, features: int, chunks_a_level: list[int]) -> None:
        """Allocates some chunks on each level: one per parent, but for parents of chain nodes."""

    def set_places(self, level: int, places: NDArray[np.uint32]) -> None:
        """For a level with chain nodes, before its chunks: the place of each parent's chunk, or CHAIN + its chain node.

        Without it, a chunk's place is its parent. A chain node is the only child of its parent and has its score.
        """

    def set_labels(self, level: int, start: NDArray[np.uint32], labels: NDArray[np.uint32] | None = None) -> None:
        """The labels below each node of a level but the last, needed for a search within ranges.

        Those of a node are labels[start[node]:start[node + 1]], ascending; None: these numbers themselves.
        """

    def add_chunks(
        self,
        level: int,
        parents: NDArray[np.uint32],
        feature_start: NDArray[np.int64],
        features: NDArray[np.uint32],
        start: NDArray[np.uint32],
        entry_start: NDArray[np.int64],
        columns: NDArray[np.uint8] | NDArray[np.uint16],
        values: NDArray[np.float32],
        child_start: NDArray[np.int64],
        ids: NDArray[np.uint32],
        bias: NDArray[np.float32],
    ) -> None:
        """Adds the chunks c of ``parents``.

        Features are features[feature_start[c]:feature_start[c + 1]], ascending; ``start`` (one more entry than
        features, from 0 in each chunk) points into columns and values from entry_start[c] on; ids and bias are of the
        children.
        """

    def build(self, lookup: str) -> None:
        """Builds the data of a lookup; to be called after the last chunk and before the first search."""

    @property
    def lookup_bytes(self) -> int:
        """Memory of the lookups in bytes, in addition to the chunks."""

    def search(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        data: NDArray[np.float32],
        *,
        k: int,
        beam: int,
        transform: str,
        power: int,
        exponential: bool,
        normalise: bool = False,
        range_start: NDArray[np.int64] | None = None,
        low: NDArray[np.uint32] | None = None,
        high: NDArray[np.uint32] | None = None,
        threads: int = 1,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], tuple[int, int, int, int, int, int]]:
        """The k best labels of each CSR row: ids (q, k), scores (q, k), and counters.

        normalise: scale rows to length one first. With ranges, only labels of row i in low[j] to high[j] - 1 are ranked,
        for j from range_start[i] to range_start[i + 1] - 1, and only nodes above such labels are kept; both ends of a
        row's ranges ascend. Counters: chunks multiplied by marching, by binary search, by hash and by bitmap, chunks
        skipped because they could not contribute, and shared features.
        """
