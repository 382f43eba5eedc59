"""Beam search down a tree of labels whose weights lie in chunks: by parent, by feature, by child.

Source: Etter et al., WWW 2022 (arXiv 2106.02697), for masked sparse chunk multiplication; Yu et al., JMLR 23(98), 2022, for
the scores. Ties go to the smaller id. Results are the same for every lookup, for any number of threads, and for a query
alone or among others. Arguments are taken as they are: tasks/xmr checks them.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
LOOKUPS: tuple[str, ...]
"""Ways to find the features that query and chunk share: four, and "chosen" for each chunk by its density."""

NONE: int
"""The id that fills a row of results where fewer than k labels were met."""

class Searcher:
    """A model as the search reads it; references the given arrays, which must stay as they are."""

    def __init__(self, features: int, chunks_a_level: list[int]) -> None:
        """Room for one chunk a parent on each level; a parent without a chunk has no children."""

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
        """Adds chunks c of ``parents``: features[feature_start[c]:feature_start[c + 1]] ascending, their ``start`` (one more
        than features, counted from 0 in each chunk) into columns and values from entry_start[c] on; children ids and bias."""

    def build(self, lookup: str) -> None:
        """Makes what the lookups need; after the last chunk, before the first search."""

    @property
    def lookup_bytes(self) -> int:
        """Memory of the lookups beside the chunks themselves."""

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
        threads: int = 1,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], tuple[int, int, int, int, int, int]]:
        """The k best labels of each CSR row, scaled to length one with ``normalise``: ids (q, k), scores (q, k), and counters: chunks multiplied by marching, by binary
        search, by hash and by bitmap, chunks left out because they could not add anything, shared features."""
