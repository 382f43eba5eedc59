"""Features of one request in plain Python: those of ``contexts.ContextFeaturizer``, without the cost of small arrays.

What a query contributes at a place is cached, because a session's queries come again with each letter that is typed.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.autocomplete.contexts import ContextFeaturizer, Contexts
from fingerpost.tasks.autocomplete.sessions import text_hashes
from fingerpost.tasks.autocomplete.terms import PAIR, PATH, POSITION, QUERY, TRIPLE, WORD, mixed_number, word_spans

#: The number of queries whose terms are cached.
_CACHED = 4096

#: A term that has a column: column, and value before it is scaled.
Term = tuple[int, float]


class RequestFeaturizer:
    """Featurizes one request at a time as ``featurizer.row`` does, bit for bit; any number of threads may use one."""

    def __init__(self, featurizer: ContextFeaturizer) -> None:
        self.featurizer = featurizer
        self._ids, self._families, self._idf = (array.data for array in featurizer.arrays)
        self._weights = featurizer.params.weights().tolist()
        # Powers as the arrays have them, whose last bit may differ from that of Python's.
        self._decays = (featurizer.params.decay ** np.arange(8)).tolist()
        self._terms = lru_cache(_CACHED)(self._known_terms)
        self._whole = lru_cache(_CACHED)(lambda key: int(text_hashes([key])[0]))

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.featurizer.columns

    def row(self, previous: Sequence[str], prefix: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The features of a request: int32 (n,), ascending, and float32 (n,); none where no term is known.

        previous: matching keys, the most recent first, at most eight; prefix: a prefix key.
        """
        if self.featurizer.params.prefixes.featurized:
            return self.featurizer.row(previous, prefix)
        values: dict[int, float] = {}
        for place, key in enumerate(previous):
            for column, value in self._terms(key, place):
                values[column] = values.get(column, 0.0) + value
        for column in self._sequences(previous):
            values[column] = values.get(column, 0.0) + 1.0
        columns = sorted(values)
        return np.array(columns, dtype=np.int32), self._scaled(columns, values)

    def rows(self, requests: Sequence[tuple[Sequence[str], str]]) -> sparse.csr_array:
        """The features of several requests, CSR (requests, columns), as by ``row``."""
        numbers: dict[str, int] = {}
        previous = [numbers.setdefault(key, len(numbers)) for keys, _ in requests for key in keys]
        indptr = np.concatenate(([0], np.cumsum([len(keys) for keys, _ in requests], dtype=np.int64)))
        contexts = Contexts(list(numbers), indptr.astype(np.int64), np.array(previous, dtype=np.int64))
        return self.featurizer.rows(contexts, [prefix for _, prefix in requests])

    def _scaled(self, columns: list[int], values: dict[int, float]) -> NDArray[np.float32]:
        """Values of each family scaled to its weight, and all of them to length 1."""
        families = [self._families[column] for column in columns]
        weighed = [values[column] * self._idf[column] for column in columns]
        squares = [0.0] * len(self._weights)
        for family, value in zip(families, weighed, strict=True):
            squares[family] += value * value
        factors = [
            weight / math.sqrt(square) if square else 0.0 for weight, square in zip(self._weights, squares, strict=True)
        ]
        scaled = [value * factors[family] for family, value in zip(families, weighed, strict=True)]
        length = 0.0
        for value in scaled:
            length += value * value
        root = math.sqrt(length)
        return np.array([value / root for value in scaled], dtype=np.float64).astype(np.float32)

    def _sequences(self, previous: Sequence[str]) -> Iterator[int]:
        """The columns of the last two and the last three queries together."""
        if len(previous) < 2:
            return
        together = mixed_number(self._whole(previous[0]), self._whole(previous[1]))
        yield from self._columns([mixed_number(together, PAIR)])
        if len(previous) > 2:
            yield from self._columns([mixed_number(mixed_number(together, self._whole(previous[2])), TRIPLE)])

    def _known_terms(self, key: str, place: int) -> tuple[Term, ...]:
        """The terms of a query at a place that have a column."""
        value, spans = self._decays[place], word_spans(key)
        whole, *parts = text_hashes(
            [key, *(key[:end] for _, end in spans[:-1]), *(key[begin:end] for begin, end in spans)]
        ).tolist()
        ids = [mixed_number(mixed_number(whole, place), POSITION), mixed_number(whole, QUERY)]
        terms = [(column, value) for column in self._columns(ids)]
        proper = max(len(spans) - 1, 0)
        ids = [mixed_number(part, PATH if i < proper else WORD) for i, part in enumerate(parts)]
        each = value / math.sqrt(len(spans)) if spans else 0.0
        return (*terms, *((column, each) for column in self._columns(ids)))

    def _columns(self, ids: Sequence[int]) -> Iterator[int]:
        """The columns of those terms that have one."""
        for number in ids:
            column = bisect_left(self._ids, number)
            if column < len(self._ids) and self._ids[column] == number:
                yield column
