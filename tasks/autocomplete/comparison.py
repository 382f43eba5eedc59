"""What a completer is compared with: rankers whose search knows no prefix, and neighbours of the queries before.

Source: Yadav et al., KDD 2021 (arXiv 2012.07654), whose search knows no prefix: a beam search keeps the best labels, and
those that do not begin with the prefix are dropped afterwards.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.corpus.svd import SvdParams, factorize, project, projection
from fingerpost.tasks.xmr.ranking import NONE, Ranker


@dataclass(frozen=True)
class NeighborParams:
    """How neighbours of the queries before complete.

    neighbors: number of nearest training pairs whose next queries are counted.
    ef: width of the search for nearest training pairs.
    svd, hnsw: the vectors of the queries before, and the graph over them.
    """

    neighbors: int = 100
    ef: int = 200
    svd: SvdParams = field(default_factory=lambda: SvdParams(rank=64))
    hnsw: HnswParams = field(default_factory=lambda: HnswParams(ef_construction=100))

    def __post_init__(self) -> None:
        if self.neighbors < 1 or self.ef < 1:
            raise ValueError(f"neighbors and ef: expected at least 1, got {self.neighbors} and {self.ef}; raise them")


@dataclass(frozen=True)
class ComparisonParams:
    """What is compared, on the pairs that completions are evaluated on.

    depth: number of labels that a search without a prefix lists before they are filtered. neighbors: of the queries before.
    """

    depth: int = 1000
    neighbors: NeighborParams = field(default_factory=NeighborParams)

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth: expected at least 1, got {self.depth}; raise it")


def filtered(
    ranker: Ranker,
    requests: sparse.csr_array,
    low: NDArray[np.uint32],
    high: NDArray[np.uint32],
    *,
    k: int,
    depth: int,
    threads: int = 1,
) -> NDArray[np.uint32]:
    """The k best labels in a range for each request, of the ``depth`` best labels that a search without it finds.

    requests: CSR (n, features). low, high: uint32 (n,), the range of labels. Returns uint32 (n, k), padded with NONE.
    """
    ids = ranker.rank(requests, min(depth, ranker.labels), threads=threads).ids
    return first_in_range(ids, low, high, k)


def first_in_range(
    ids: NDArray[np.uint32], low: NDArray[np.uint32], high: NDArray[np.uint32], k: int
) -> NDArray[np.uint32]:
    """The first k ids of each row that are in the row's range low to high - 1: uint32 (n, k), padded with NONE."""
    inside = (ids >= low[:, None]) & (ids < high[:, None]) & (ids != NONE)
    rank = np.cumsum(inside, axis=1) - 1
    taken = inside & (rank < k)
    found = np.full((len(ids), k), NONE, dtype=np.uint32)
    rows, columns = np.nonzero(taken)
    found[rows, rank[rows, columns]] = ids[rows, columns]
    return found


class ContextNeighbors:
    """Completion by the training pairs whose queries before are nearest, by the cosine of their vectors.

    contexts: CSR (pairs, features), the features of the queries before without a prefix. following: int32 (pairs,), the
    row of the next query among the suggestions; -1 for none. weights: float32 (pairs,). Pairs without a feature, and
    those without a suggestion, are left out.
    """

    def __init__(
        self,
        contexts: sparse.csr_array,
        following: NDArray[np.int32],
        weights: NDArray[np.float32],
        params: NeighborParams = NeighborParams(),
        *,
        threads: int = 1,
    ) -> None:
        self.params = replace(params, svd=replace(params.svd, rank=min(params.svd.rank, *contexts.shape)))
        model = factorize([contexts], self.params.svd, energy=max(float(np.square(contexts.data).sum()), 1.0))
        self._components = projection(model, whitening=self.params.svd.whitening)
        vectors = project(contexts, self._components)
        kept = np.flatnonzero((following >= 0) & vectors.any(axis=1))
        self._following, self._weights = following[kept].astype(np.uint32), weights[kept]
        self._index: HnswIndex | None = None
        if len(kept):
            graph, _ = build(vectors[kept], self.params.hnsw, threads=threads)
            self._index = HnswIndex(vectors[kept], graph, self.params.hnsw.metric)

    def complete(
        self,
        contexts: sparse.csr_array,
        low: NDArray[np.uint32],
        high: NDArray[np.uint32],
        k: int,
        *,
        threads: int = 1,
    ) -> list[NDArray[np.uint32]]:
        """The at most k suggestions of each range that most of the nearest pairs go on with, uint32, best first.

        Each pair counts with its weight times its similarity. Ties by row; none for a context without a vector.
        """
        none = np.empty(0, dtype=np.uint32)
        found = [none] * contexts.shape[0]
        vectors = project(contexts, self._components)
        asked = np.flatnonzero(vectors.any(axis=1))
        if self._index is None or not len(asked):
            return found
        nearest = self._index.search(vectors[asked], self.params.neighbors, ef=self.params.ef, threads=threads)
        for place, row in enumerate(asked.tolist()):
            ids = nearest.ids[place]
            real = ids != NONE
            pairs, likeness = ids[real], 1.0 - nearest.distances[place][real]
            found[row] = self._voted(pairs, likeness, int(low[row]), int(high[row]), k)
        return found

    def _voted(
        self, pairs: NDArray[np.uint32], likeness: NDArray[np.float32], low: int, high: int, k: int
    ) -> NDArray[np.uint32]:
        following = self._following[pairs]
        inside = (following >= low) & (following < high) & (likeness > 0)
        rows, place = np.unique(following[inside], return_inverse=True)
        votes = np.bincount(place, weights=(self._weights[pairs] * likeness)[inside], minlength=len(rows))
        return rows[np.argsort(-votes, kind="stable")[:k]]


def filled_up(rows: NDArray[np.uint32], further: NDArray[np.uint32], k: int) -> NDArray[np.uint32]:
    """The first k of some rows and of further ones that are not among them: the back-off of a baseline."""
    return np.concatenate((rows, further[~np.isin(further, rows)]))[:k]
