"""What a build will take: memory beforehand, and the time left while it runs."""

from dataclasses import dataclass

import numpy as np

from fingerpost.tasks.ann.hnsw import HnswParams

#: Bytes of a float32, of a node number and of a length.
_FLOAT, _NODE, _LENGTH = 4, 4, 8


@dataclass(frozen=True)
class BuildMemory:
    """The bytes of a build beside its vectors: rows in the form of distances, lists with their distances, the result.

    An upper bound: rows of short vectors are taken as copied floats, lists as full.
    """

    rows: int
    lists: int
    graph: int

    @property
    def total(self) -> int:
        """All of it; the lists are still there when the result is made."""
        return self.rows + self.lists + self.graph


def build_memory(rows: int, dim: int, params: HnswParams) -> BuildMemory:
    """The bytes that a build of vectors (rows, dim) needs at most, beside the vectors themselves."""
    coded = -(-dim // 64) * 64
    copied = -(-dim // 16) * 16 * _FLOAT if params.metric == "cosine" or dim % 16 else 0
    lengths = 0 if params.metric == "l2" else _LENGTH
    degree = 2 * params.max_neighbors
    # One node in max_neighbors is on level 1, and so on up.
    upper = (2 * params.max_neighbors + 1) * _NODE / (params.max_neighbors - 1)
    # Level, slot, and what a walk over all nodes marks.
    marks = 1 + _NODE + 2 * _NODE + 1
    lists = (degree + 1) * _NODE + degree * _FLOAT + upper + marks
    graph = 8 + degree * _NODE + upper / 2
    return BuildMemory(
        rows=rows * (max(coded, copied) + lengths), lists=int(np.ceil(rows * lists)), graph=int(np.ceil(rows * graph))
    )


class BuildMemoryError(MemoryError):
    """A build that needs more memory than there is."""


def check_memory(rows: int, dim: int, params: HnswParams, available: int) -> BuildMemory:
    """The memory of a build; BuildMemoryError where ``available`` bytes are less than it."""
    memory = build_memory(rows, dim, params)
    if memory.total > available:
        raise BuildMemoryError(
            f"build of {rows:,} x {dim} vectors: expected at least {memory.total / 1e6:,.0f} MB of memory beside them,"
            f" got {available / 1e6:,.0f} MB; lower ann.hnsw.max_neighbors or give the machine more memory"
        )
    return memory


class TimeLeft:
    """The seconds that a build will still take.

    The model: inserting row i costs c * ln(i), as a search of a navigable graph does. c is fitted to the last third of
    the rows so far, so that what the model leaves out (vectors that leave the caches) is followed.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._points: list[tuple[int, float]] = []

    def add(self, inserted: int, seconds: float) -> None:
        """``inserted`` rows were in the graph after ``seconds``."""
        self._points.append((inserted, seconds))

    def seconds(self) -> float | None:
        """The estimate; None before there are two points."""
        if len(self._points) < 2:
            return None
        last, now = self._points[-1]
        first, then = next(
            (point for point in reversed(self._points[:-1]) if point[0] <= last * 2 / 3), self._points[0]
        )
        work = _work(last) - _work(first)
        return max(now - then, 0.0) / work * (_work(self._total) - _work(last)) if work > 0 else None


def _work(rows: int) -> float:
    """The sum of ln(i) over i = 1..rows, by its integral."""
    return rows * float(np.log(rows)) - rows + 1.0 if rows > 1 else 0.0
