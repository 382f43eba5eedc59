"""Results of a search, the interface of approximate and exact indexes, and checks of their arguments."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: l2: squared Euclidean distance; ip: 1 - <q, x>; cosine: the same on vectors scaled to length one.
Metric = Literal["l2", "ip", "cosine"]


class VectorError(ValueError):
    """Vectors that cannot be indexed or compared."""


@dataclass(frozen=True)
class SearchCounters:
    """Work of a search over all its queries.

    distances: full distances, including the upper levels. expansions: nodes whose neighbours were visited.
    estimates: distances that were only estimated.
    """

    distances: int = 0
    expansions: int = 0
    estimates: int = 0


@dataclass(frozen=True)
class SearchResult:
    """Ids uint32 (q, k) and distances float32 (q, k), nearest first, ties by id; padded with 0xFFFFFFFF and inf."""

    ids: NDArray[np.uint32]
    distances: NDArray[np.float32]
    counters: SearchCounters


class Index(Protocol):
    """An index of vectors (n, d) that finds the nearest to queries."""

    @property
    def metric(self) -> Metric: ...

    @property
    def vectors(self) -> NDArray[np.float32]: ...

    def search(self, queries: ArrayLike, k: int, *, ef: int, threads: int = 1) -> SearchResult: ...


def size_of(index: Index) -> int:
    """The number of vectors of an index; those of a packed one, which would have to be decoded, are not touched."""
    own: int | None = getattr(index, "size", None)
    return len(index.vectors) if own is None else own


def check_metric(metric: str) -> None:
    """Raises ValueError unless ``metric`` is one of the three."""
    if metric not in get_args(Metric):
        raise ValueError(f"metric: expected one of {get_args(Metric)}, got {metric!r}; choose one of them")


def check_search(k: int, ef: int, threads: int) -> None:
    """Raises ValueError for parameters below 1."""
    for name, value in (("k", k), ("ef", ef), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}; raise it")


def checked_vectors(values: ArrayLike, name: str = "vectors", *, columns: int | None = None) -> NDArray[np.float32]:
    """Finite C-contiguous float32 (n, d), without a copy if it is that already; VectorError names the first bad row."""
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        raise VectorError(
            f"{name}: expected numbers (n, d) with d at least 1, got {array.dtype} {array.shape}; reshape"
        )
    if columns is not None and array.shape[1] != columns:
        raise VectorError(f"{name}: expected {columns} columns, got {array.shape[1]}; embed queries like the vectors")
    array = np.ascontiguousarray(array, dtype=np.float32)
    # A sum of squares is finite unless a value is not, or it overflows, which the row's check resolves; a row's sum likewise.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.dot(array.reshape(-1), array.reshape(-1))):
            return array
        doubtful = np.flatnonzero(~np.isfinite(array.sum(axis=1)))
    for row in doubtful:
        if not np.isfinite(array[row]).all():
            raise VectorError(f"{name} row {row}: expected finite numbers, got NaN or infinity; leave the row out")
    return array


def no_direction(name: str, row: int) -> VectorError:
    """The error for a row that cosine cannot compare."""
    return VectorError(
        f"{name} row {row}: expected a vector of nonzero length for cosine, got zeros; leave the row out"
    )
