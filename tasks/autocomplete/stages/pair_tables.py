"""What the stages of pairs read: queries and suggestions by their keys, and the pairs of a split with their contexts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.autocomplete.contexts import Contexts
from fingerpost.tasks.autocomplete.prefixes import PrefixParams, trained_prefixes
from fingerpost.tasks.autocomplete.sessions import TRAINING
from fingerpost.tasks.recent import Recent


@dataclass(frozen=True)
class PairTable:
    """The pairs of one split.

    suggestions: int32 (p,), the row of each next query among the suggestions, -1 for none. numbers: int64 (p,), of the
    pairs among all.
    """

    table: pa.Table
    numbers: NDArray[np.int64]

    @staticmethod
    def of(artifact: Artifact, split: str, *, suggested: bool = False) -> "PairTable":
        """The pairs of a split; ``suggested``: those that end in a suggestion."""
        table = artifact.read("pairs")
        chosen = np.array(table["split"].to_pylist(), dtype=object) == split
        if suggested:
            chosen &= table["suggestion"].to_numpy() >= 0
        numbers = np.flatnonzero(chosen)
        return PairTable(table.take(pa.array(numbers)), numbers)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> NDArray:
        """One of the columns of numbers."""
        values: NDArray = self.table[name].to_numpy()
        return values

    @cached_property
    def previous(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The queries before each pair, the most recent first: int64 (p + 1,), and rows of queries, int64."""
        lists = self.table["previous"].combine_chunks()
        if isinstance(lists, pa.ChunkedArray):  # no rows
            return np.zeros(1, np.int64), np.empty(0, np.int64)
        lengths = np.diff(lists.offsets.to_numpy())
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return indptr, lists.flatten().to_numpy().astype(np.int64)


def query_keys(sessions: Artifact) -> list[str]:
    """The matching keys of the queries."""
    keys: list[str] = sessions.read("queries")["key"].to_pylist()
    return keys


def suggestion_keys(suggestions: Artifact) -> list[str]:
    """The matching keys of the suggestions."""
    keys: list[str] = suggestions.read("suggestions")["key"].to_pylist()
    return keys


def suggestion_rows(keys: list[str], suggested: list[str]) -> NDArray[np.int32]:
    """The row of each query among the suggestions, int32 (queries,); -1 for none."""
    row_of = {key: row for row, key in enumerate(suggested)}
    return np.array([row_of.get(key, -1) for key in keys], dtype=np.int32)


@dataclass(frozen=True)
class TrainingPairs:
    """The training pairs that end in a suggestion, with the prefixes that each is trained on: one row a prefix.

    pairs: int64 (rows,), positions in the table. lengths: int64 (rows,), characters of the prefixes.
    """

    table: PairTable
    contexts: Contexts
    pairs: NDArray[np.int64]
    lengths: NDArray[np.int64]
    keys: list[str]

    @staticmethod
    def read(store: Store, sessions: Ref, suggestions: Ref, pairs: Ref, params: PrefixParams) -> "TrainingPairs":
        """The rows of training, cached until others are read."""
        key = (store.url, sessions, suggestions, pairs, params)
        return _training_pairs.get(key, lambda: TrainingPairs._read(store, sessions, suggestions, pairs, params))

    @staticmethod
    def _read(store: Store, sessions: Ref, suggestions: Ref, pairs: Ref, params: PrefixParams) -> "TrainingPairs":
        table = PairTable.of(store.open(pairs, contracts.PAIRS), TRAINING, suggested=True)
        keys = suggestion_keys(store.open(suggestions, contracts.SUGGESTIONS))
        sizes = np.array([len(key) for key in keys], dtype=np.int64)[table.column("suggestion")]
        rows, lengths = trained_prefixes(sizes, table.numbers, params)
        contexts = Contexts(query_keys(store.open(sessions, contracts.SESSIONS)), *table.previous)
        return TrainingPairs(table, contexts, rows, lengths, keys)

    def prefixes(self, start: int = 0, stop: int | None = None) -> list[str]:
        """The prefixes of a range of rows."""
        nexts = self.table.column("suggestion")[self.pairs[start:stop]].tolist()
        return [self.keys[row][:length] for row, length in zip(nexts, self.lengths[start:stop].tolist(), strict=True)]


#: The training pairs read last, because consecutive shards read the same.
_training_pairs: Recent[tuple[str, Ref, Ref, Ref, PrefixParams], TrainingPairs] = Recent()
