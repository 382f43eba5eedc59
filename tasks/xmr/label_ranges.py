"""Ranges of labels that a search is restricted to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class RangeError(ValueError):
    """Ranges that do not fit each other, the queries or the labels."""


@dataclass(frozen=True)
class LabelRanges:
    """The labels that each query may be answered with: those of its ranges; none without a range.

    start: int64 (queries + 1,), the ranges of query i are start[i] to start[i + 1] - 1.
    low, high: uint32 (ranges,), the labels low to high - 1; both ascend within a query.

    Raises RangeError for arrays that do not fit each other.
    """

    start: NDArray[np.int64]
    low: NDArray[np.uint32]
    high: NDArray[np.uint32]

    def __post_init__(self) -> None:
        count = len(self.low)
        pointers = len(self.start) > 0 and self.start[0] == 0 and self.start[-1] == count
        if not pointers or len(self.high) != count or (np.diff(self.start) < 0).any() or (self.low > self.high).any():
            raise RangeError(
                f"label ranges: expected index pointers from 0 to {count} and low <= high in as many, got "
                f"{len(self.start)} pointers and {len(self.high)} ends; pass the ranges of each query"
            )
        if count > len(self.start) - 1 or (np.diff(self.start) > 1).any():
            self._check_order()

    def _check_order(self) -> None:
        """Raises RangeError where a range begins or ends before the one before it of the same query."""
        query = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        falls = (self.low[1:] < self.low[:-1]) | (self.high[1:] < self.high[:-1])
        if (falls & (query[1:] == query[:-1])).any():
            raise RangeError("label ranges: expected ascending ranges for each query, got others; sort them")

    @classmethod
    def single(cls, low: NDArray[np.uint32], high: NDArray[np.uint32]) -> "LabelRanges":
        """One range per query; ``low`` and ``high``: uint32 (queries,)."""
        return cls(np.arange(len(low) + 1, dtype=np.int64), low, high)

    def check(self, queries: int, labels: int) -> None:
        """Raises RangeError for another number of queries, and for labels that do not exist."""
        if len(self.start) != queries + 1:
            raise RangeError(f"label ranges: expected those of {queries} queries, got {len(self.start) - 1}; pass all")
        if len(self.high) and int(self.high.max()) > labels:
            raise RangeError(
                f"label ranges: expected ends of at most {labels}, got {self.high.max()}; use ranges of these labels"
            )
