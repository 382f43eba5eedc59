"""The nearest entities of the other side, or of the same, by their vectors: within a type, approximate where it is large."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE, Graph, UpperLevel
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams
from fingerpost.tasks.ann.search import Index

_LEVEL = "upper_"


@dataclass(frozen=True)
class SearchParams:
    """How similar entities are found.

    nearest: entities of the other side that are found for each entity.
    exact_below: a type of fewer entities is searched by comparison with all of them.
    max_neighbors: maximum degree of the HNSW graph of a type with more entities.
    ef_construction: width of the searches while that graph is built.
    ef: width of searches in that graph.
    seed: seed of that graph.
    types: the types that are searched; all that both sides have where none is given.
    """

    nearest: int = 20
    exact_below: int = 10_000
    max_neighbors: int = 16
    ef_construction: int = 100
    ef: int = 200
    seed: int = 0
    types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.nearest < 1 or self.exact_below < 1 or self.ef < 1:
            raise ValueError(
                "search: expected nearest, exact_below and ef of at least 1, got"
                f" {self.nearest}, {self.exact_below} and {self.ef}; correct them"
            )

    def searches(self, name: str) -> bool:
        """Whether entities of a type are searched."""
        return not self.types or name in self.types

    @property
    def hnsw(self) -> HnswParams:
        """The parameters of a graph; the rows have length one already."""
        return HnswParams(self.max_neighbors, self.ef_construction, "ip", self.seed)


@dataclass(frozen=True)
class Nearest:
    """The entities found for each entity: those of entity i are rows[indptr[i]:indptr[i + 1]], nearest first.

    indptr: int64 (entities + 1,). rows: uint32 (m,), of the other side; equally near ones ascend. similarities: float32
    (m,), cosines above 0. distances: the number of vectors compared.
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.uint32]
    similarities: NDArray[np.float32]
    distances: int = 0


def rows_by_type(vectors: NDArray[np.float32], types: Sequence[str]) -> dict[str, NDArray[np.uint32]]:
    """The entities of each type that have a vector other than zeros, ascending: uint32."""
    names, numbers = np.unique(np.asarray(types, dtype=object).astype(str), return_inverse=True)
    known = np.flatnonzero(vectors.any(axis=1))
    order = known[np.argsort(numbers[known], kind="stable")]
    ends = np.searchsorted(numbers[order], np.arange(len(names) + 1))
    found = {str(name): order[ends[i] : ends[i + 1]].astype(np.uint32) for i, name in enumerate(names)}
    return {name: rows for name, rows in found.items() if len(rows)}


class EntitySearcher:
    """Search among the entities of one side, each type apart.

    vectors: float32 (n, d), unit rows or zeros; types: n names; graphs: of the types that have one, over the rows of
    `rows_by_type`.
    """

    def __init__(self, vectors: NDArray[np.float32], types: Sequence[str], graphs: Mapping[str, Graph]) -> None:
        self._vectors, self._graphs = vectors, graphs
        self._rows = rows_by_type(vectors, types)
        self._indexes: dict[str, Index] = {}

    def nearest(
        self,
        vectors: NDArray[np.float32],
        types: Sequence[str],
        params: SearchParams,
        *,
        own: NDArray[np.integer] | None = None,
        threads: int = 1,
    ) -> Nearest:
        """The nearest entities of the same type of some entities (vectors (q, d) and types).

        own: (q,) the number of each entity where it is one of this side itself, which is not found. Entities with a vector
        of zeros, and of types that are not searched, have none.
        """
        found = np.full((len(vectors), params.nearest), NONE, dtype=np.uint32)
        similarities = np.zeros((len(vectors), params.nearest), dtype=np.float32)
        distances = 0
        for name, queries in rows_by_type(vectors, types).items():
            if name not in self._rows or not params.searches(name):
                continue
            index, k = self._index(name), params.nearest + (own is not None)
            result = index.search(vectors[queries], k, ef=max(params.ef, k), threads=threads)
            ids, cosines = self._rows[name][np.minimum(result.ids, len(self._rows[name]) - 1)], 1.0 - result.distances
            distances += result.counters.distances
            wanted = (result.ids != NONE) & (cosines > 0)
            if own is not None:
                wanted &= ids != own[queries][:, None]
            # Wanted ones first, in their order; then as many as are asked for.
            order = np.argsort(~wanted, axis=1, kind="stable")[:, : params.nearest]
            kept = np.take_along_axis(wanted, order, axis=1)
            found[queries] = np.where(kept, np.take_along_axis(ids, order, axis=1), NONE)
            similarities[queries] = np.take_along_axis(cosines, order, axis=1)
        filled = found != NONE
        indptr = np.concatenate(([0], np.cumsum(filled.sum(axis=1)))).astype(np.int64)
        return Nearest(indptr, found[filled], similarities[filled], distances)

    def _index(self, name: str) -> Index:
        if name not in self._indexes:
            rows = self._vectors[self._rows[name]]
            graph = self._graphs.get(name)
            self._indexes[name] = ExactIndex(rows, "ip") if graph is None else HnswIndex(rows, graph, "ip")
        return self._indexes[name]


def graph_arrays(graph: Graph) -> dict[str, NDArray[np.generic]]:
    """A graph as named arrays."""
    arrays: dict[str, NDArray[np.generic]] = {
        "indptr": graph.indptr,
        "indices": graph.indices,
        "entry_points": graph.entry_points,
    }
    for number, level in enumerate(graph.upper, start=1):
        arrays |= {f"{_LEVEL}{number:02d}_{name}": array for name, array in vars(level).items()}
    return arrays


def graph_of(arrays: Mapping[str, NDArray[Any]]) -> Graph:
    """The graph of the arrays of `graph_arrays`, its structure checked."""
    levels = sorted({name[: len(_LEVEL) + 2] for name in arrays if name.startswith(_LEVEL)})
    upper = tuple(
        UpperLevel(*(arrays[f"{level}_{part}"] for part in ("nodes", "indptr", "indices"))) for level in levels
    )
    return Graph(arrays["indptr"], arrays["indices"], upper, arrays["entry_points"])
