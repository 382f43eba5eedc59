"""Answers to a batch of queries as arrays, and as the rows of a DataFrame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import SearchResult
from fingerpost.tasks.results import Listing, Rows, Tabular, arrow_table


@dataclass(frozen=True)
class Match:
    """One answer: the id of a document, what it is ordered by, and its row in the index."""

    id: str
    score: float
    row: int


@dataclass(frozen=True, repr=False)
class Matches(Tabular, Sequence[Listing[Match]]):
    """The answers to queries, best first, as arrays; also a sequence of listings, one for each query.

    queries: a name for each of q queries. rows: int64 (q, k), rows of the index, padded with -1. ids: objects (q, k), of
    documents, padded with "". scores: float32 (q, k), what answers are ordered by, padded with NaN. measure: what scores
    are.
    """

    queries: Sequence[str]
    rows: NDArray[np.int64]
    ids: NDArray[np.object_]
    scores: NDArray[np.float32]
    measure: str

    @property
    def found(self) -> NDArray[np.int64]:
        """Number of answers of each query, int64 (q,)."""
        return (self.rows >= 0).sum(axis=1).astype(np.int64)

    def columns(self) -> dict[str, NDArray[Any]]:
        """One entry for each answer, by query and rank: columns query, rank (from 1), id, score and row."""
        query, place = np.nonzero(self.rows >= 0)
        return {
            "query": np.array(self.queries, dtype=np.object_)[query],
            "rank": place + 1,
            "id": self.ids[query, place],
            "score": self.scores[query, place],
            "row": self.rows[query, place],
        }

    def __len__(self) -> int:
        return len(self.queries)

    @overload
    def __getitem__(self, place: int) -> Listing[Match]: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Listing[Match] | Self:
        if isinstance(place, slice):
            return type(self)(self.queries[place], self.rows[place], self.ids[place], self.scores[place], self.measure)
        count = int((self.rows[place] >= 0).sum())
        parts = (array[place, :count].tolist() for array in (self.ids, self.scores, self.rows))
        return Rows([Match(*cells) for cells in zip(*parts, strict=True)], Match)

    def to_arrow(self) -> Any:
        """The columns as a ``pyarrow.Table``."""
        return arrow_table(self.columns())

    def to_pandas(self) -> Any:
        """The columns as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.columns())


def matches_of(
    result: SearchResult,
    ids: Callable[[NDArray[np.int64]], Sequence[str]],
    queries: Sequence[str],
    metric: str,
    measure: str,
) -> Matches:
    """The answers of a search by vectors; ids: those of documents by row; metric: of the index."""
    found = result.ids != NONE
    rows = np.where(found, result.ids.astype(np.int64), -1)
    near = np.where(found, result.distances, np.float32(0.0))
    scores = np.sqrt(np.maximum(near, 0)) if metric == "l2" else np.float32(1.0) - near
    named = np.full(rows.shape, "", np.object_)
    named[found] = np.array(ids(rows[found]), dtype=np.object_)
    return Matches(queries, rows, named, np.where(found, scores, np.float32(np.nan)), measure)
