"""Features of a request: the queries before it, the most recent weighing most, and what is typed.

Terms are grouped in families (``terms.FAMILIES``); the terms of a family are scaled to length 1, then by the family's
weight, and the whole row to length 1. Sources: Yadav et al., KDD 2021 (arXiv 2012.07654), for the previous query and the
prefix as two blocks; the families and their weights are chosen on validation sessions of call sequences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.prefixes import PrefixParams, inverse_frequencies, ngram_entries, ngram_text
from fingerpost.tasks.autocomplete.terms import (
    FAMILIES,
    PREFIX,
    Entries,
    FamilyEntries,
    QueryHashes,
    context_entries,
    joined,
    query_hashes,
    request_entries,
    term_text,
)
from fingerpost.tasks.xmr.sparse_rows import csr_rows

if TYPE_CHECKING:  # a completion makes no sparse matrix, and scipy takes time and memory
    from scipy import sparse


@dataclass(frozen=True)
class FeatureParams:
    """Parameters of the features of pairs.

    decay: factor on the value of a query for each query that followed it.
    position: weight of the terms of a query and its place before; 0 leaves them out.
    query: weight of the terms of a query at any place before; 0 leaves them out.
    path: weight of the terms of the beginning of a query, up to the end of a word but the last; 0 leaves them out.
    word: weight of the terms of a word of a query before; 0 leaves them out.
    pair: weight of the terms of the last two queries together; 0 leaves them out.
    triple: weight of the terms of the last three queries together; 0 leaves them out.
    min_count: least number of training pairs of a term.
    trusted: number of training pairs of a term at which the ranker's scores count half; 0: they always count whole.
        What is known of few pairs says little beside counts of what followed.
    prefixes: the prefixes that pairs are trained on, and their features.
    """

    decay: float = 0.8
    position: float = 1.0
    query: float = 0.7
    path: float = 0.5
    word: float = 0.7
    pair: float = 1.0
    triple: float = 0.6
    min_count: int = 1
    trusted: float = 20.0
    prefixes: PrefixParams = field(default_factory=PrefixParams)

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay: expected above 0, up to 1, got {self.decay}; correct it")
        weights = self.weights()
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights[:PREFIX].any()):
            raise ValueError(f"weights: expected at least 0, and one above, got {weights.tolist()}; correct them")
        if self.min_count < 1:
            raise ValueError(f"min_count: expected at least 1, got {self.min_count}; raise it")
        if not 0 <= self.trusted < math.inf:
            raise ValueError(f"trusted: expected a number of at least 0, got {self.trusted}; correct it")

    def weights(self) -> NDArray[np.float64]:
        """The weights of the families, float64 (families,)."""
        weights = [getattr(self, name) for name in FAMILIES[:PREFIX]]
        return np.array([*weights, self.prefixes.weight if self.prefixes.featurized else 0.0], dtype=np.float64)


def feature_params(values: Mapping[str, Any]) -> FeatureParams:
    """The parameters as they are stored in a manifest."""
    prefixes = dict(values["prefixes"])
    return FeatureParams(
        **{name: value for name, value in values.items() if name != "prefixes"},
        prefixes=PrefixParams(**prefixes | {"lengths": tuple(prefixes["lengths"])}),
    )


@dataclass(frozen=True)
class Contexts:
    """Contexts of rows: the matching keys of queries, and for each row positions in these, the most recent first.

    keys: q strings. indptr: int64 (rows + 1,), the range of each row in ``previous``, int64.
    """

    keys: Sequence[str]
    indptr: NDArray[np.int64]
    previous: NDArray[np.int64]

    def rows(self, chosen: NDArray[np.int64]) -> "Contexts":
        """The contexts of some rows, with the queries that occur in them."""
        sizes = np.diff(self.indptr)[chosen]
        indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        flat = np.arange(indptr[-1]) + np.repeat(self.indptr[chosen] - indptr[:-1], sizes)
        used, previous = np.unique(self.previous[flat], return_inverse=True)
        return Contexts([self.keys[query] for query in used.tolist()], indptr, previous.astype(np.int64))


@dataclass(frozen=True)
class Vocabulary:
    """The terms that have a column, by their number ascending.

    ids: uint64 (columns,). families: uint8 (columns,). idf: float32 (columns,), 1 but for prefixes. counts: uint32
    (columns,), rows of training with each. texts: of each.
    """

    ids: NDArray[np.uint64]
    families: NDArray[np.uint8]
    idf: NDArray[np.float32]
    counts: NDArray[np.uint32]
    texts: Sequence[str]

    def arrays(self) -> dict[str, NDArray]:
        """The arrays that a featurizer is made of."""
        return {name: getattr(self, name) for name in ("ids", "families", "idf", "counts")}


def fit_vocabulary(
    contexts: Contexts, allowed: NDArray[np.bool_], prefixes: Sequence[str], params: FeatureParams
) -> Vocabulary:
    """The terms of the contexts of training pairs, and of the prefixes that they are trained on.

    allowed: bool (queries,), whether terms of each query may be kept; others stand for themselves in no term. prefixes:
    one of each row of training, empty where there are no features of prefixes.
    """
    known = _only_allowed(contexts, allowed)
    hashes = query_hashes(known.keys)
    found = [_Terms.of(part, params) for part in context_entries(hashes, known.indptr, known.previous, decay=1.0)]
    texts = [term_text(terms.family, origin, known.keys, hashes, known.previous) for terms, origin in _origins(found)]
    idf = [np.ones(len(terms.ids), dtype=np.float32) for terms in found]
    if params.prefixes.featurized:
        grams = _Terms.of(ngram_entries(prefixes, params.prefixes), params)
        origins = zip(grams.origins.tolist(), grams.ids[:, None], strict=True)
        texts += [ngram_text(prefixes, origin, number, params.prefixes) for origin, number in origins]
        idf.append(inverse_frequencies(grams.rows, len(prefixes)))
        found.append(grams)
    ids = np.concatenate([terms.ids for terms in found])
    families = np.repeat(np.array([terms.family for terms in found], np.uint8), [len(terms.ids) for terms in found])
    # A number that two terms have stays the first one's.
    ids, first = np.unique(ids, return_index=True)
    counts = np.concatenate([terms.rows for terms in found])[first].astype(np.uint32)
    return Vocabulary(ids, families[first], np.concatenate(idf)[first], counts, [texts[i] for i in first.tolist()])


def _only_allowed(contexts: Contexts, allowed: NDArray[np.bool_]) -> Contexts:
    """Contexts cut before the first query that must not be kept; what follows it is still in no pair with others."""
    kept = allowed[contexts.previous]
    rows = np.repeat(np.arange(len(contexts.indptr) - 1), np.diff(contexts.indptr))
    # Of each row the queries up to the first that is withheld: a term of two queries needs both, in their places.
    withheld = np.cumsum(~kept)
    before: NDArray[np.int64] = withheld - np.concatenate(([0], withheld))[contexts.indptr[:-1]][rows]
    kept = before == 0
    sizes = np.bincount(rows[kept], minlength=len(contexts.indptr) - 1)
    return Contexts(contexts.keys, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), contexts.previous[kept])


@dataclass(frozen=True)
class _Terms:
    """Distinct terms of a family: ids, origins of one entry of each, and numbers of rows with it."""

    family: int
    ids: NDArray[np.uint64]
    origins: NDArray[np.int64]
    rows: NDArray[np.int64]

    @staticmethod
    def of(entries: FamilyEntries, params: FeatureParams) -> "_Terms":
        if params.weights()[entries.family] == 0:
            return _Terms(entries.family, entries.ids[:0], entries.origins[:0], entries.rows[:0])
        ids, first, place = np.unique(entries.ids, return_index=True, return_inverse=True)
        pairs = np.unique(place.astype(np.int64) * (int(entries.rows.max(initial=0)) + 1) + entries.rows)
        counts = np.bincount(pairs // (int(entries.rows.max(initial=0)) + 1), minlength=len(ids))
        kept = counts >= params.min_count
        return _Terms(entries.family, ids[kept], entries.origins[first[kept]], counts[kept])


def _origins(found: Sequence[_Terms]) -> list[tuple[_Terms, int]]:
    return [(terms, origin) for terms in found for origin in terms.origins.tolist()]


class ContextFeaturizer:
    """Featurizes requests; nothing in it changes, so any number of threads may use one at a time.

    arrays: ids, families, idf and counts of a vocabulary.
    """

    def __init__(self, arrays: Mapping[str, NDArray], params: FeatureParams) -> None:
        self.params = params
        self._ids, self._families, self._idf = (arrays[name] for name in ("ids", "families", "idf"))
        counts = arrays["counts"].astype(np.float64)
        self._trust = counts / (counts + params.trusted)
        self._weights = params.weights()
        self._weight_list = self._weights.tolist()
        self._prefixed = params.prefixes.featurized

    @property
    def columns(self) -> int:
        """Number of features."""
        return len(self._ids)

    def row(self, previous: Sequence[str], prefix: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The features of one request: int32 (n,), ascending, and float32 (n,); none where no term is known.

        previous: matching keys, the most recent first; prefix: a prefix key.
        """
        ids, values = request_entries(previous, decay=self.params.decay)
        if self._prefixed:
            typed = ngram_entries([prefix], self.params.prefixes)
            ids, values = ids + typed.ids.tolist(), values + typed.values.tolist()
        return self._weighed_one(ids, values)

    def rows(self, contexts: Contexts, prefixes: Sequence[str]) -> "sparse.csr_array":
        """The features of rows with these contexts and prefix keys: CSR float32 (rows, columns), each as by ``row``."""
        rows = len(contexts.indptr) - 1
        hashes = query_hashes(contexts.keys)
        parts = self._parts(hashes, contexts.indptr, contexts.previous, prefixes)
        sizes, columns, values = self._weighed(joined(parts), rows)
        indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        return csr_rows(values, columns, indptr, columns=self.columns)

    def trust(
        self, indptr: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """How far the ranker is to be trusted for each row, from 0 to 1, float32 (rows,).

        A term of n training pairs counts n / (n + trusted), with its part of the row's squared length.
        """
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        parts = np.square(values, dtype=np.float64) * self._trust[columns]
        return np.bincount(rows, weights=parts, minlength=len(indptr) - 1).astype(np.float32)

    def _parts(
        self, hashes: QueryHashes, indptr: NDArray[np.int64], previous: NDArray[Any], prefixes: Sequence[str]
    ) -> list[Entries]:
        parts: list[Entries] = list(context_entries(hashes, indptr, previous, decay=self.params.decay))
        return [*parts, ngram_entries(prefixes, self.params.prefixes)] if self._prefixed else parts

    def _weighed_one(self, ids: list[int], values: list[float]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """What ``_weighed`` gives for one row, step by step the same numbers: faster than with arrays of few entries."""
        if not self.columns or not ids:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        numbers = np.array(ids, dtype=np.uint64)
        place = np.minimum(self._ids.searchsorted(numbers), self.columns - 1)
        sums: dict[int, float] = {}
        for column, value, known in zip(place.tolist(), values, (self._ids[place] == numbers).tolist(), strict=True):
            if known:
                sums[column] = sums.get(column, 0.0) + value
        columns = np.array(sorted(sums), dtype=np.int32)
        families, idf = self._families[columns].tolist(), self._idf[columns].astype(np.float64).tolist()
        row = [sums[column] * factor for column, factor in zip(columns.tolist(), idf, strict=True)]
        norms = [0.0] * len(FAMILIES)
        for family, value in zip(families, row, strict=True):
            norms[family] += value * value
        factors = [weight / math.sqrt(norm or 1.0) for weight, norm in zip(self._weight_list, norms, strict=True)]
        row = [value * factors[family] for family, value in zip(families, row, strict=True)]
        length = 0.0
        for value in row:
            length += value * value
        length = math.sqrt(length)
        return columns, np.array([value / length for value in row], dtype=np.float64).astype(np.float32)

    def _weighed(self, entries: Entries, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Sizes of the rows, columns ascending in each, and values."""
        if not self.columns:
            return np.zeros(rows, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
        place = np.minimum(np.searchsorted(self._ids, entries.ids), self.columns - 1)
        known = self._ids[place] == entries.ids
        cells = entries.rows[known] * self.columns + place[known]
        order = np.argsort(cells, kind="stable")
        cells = cells[order]
        first = np.ones(len(cells), dtype=bool)
        first[1:] = cells[1:] != cells[:-1]
        # bincount adds in order, so that a row does not depend on the others.
        sums = np.bincount(np.cumsum(first) - 1, weights=entries.values[known][order])
        row, column = np.divmod(cells[first], self.columns)
        family, values = self._families[column], sums * self._idf[column]
        block = row * len(FAMILIES) + family
        norms = np.bincount(block, weights=values * values, minlength=rows * len(FAMILIES))
        values = values * (self._weights[family] / np.sqrt(norms[block]))
        lengths = np.bincount(row, weights=values * values, minlength=rows)
        scaled = (values / np.sqrt(lengths[row])).astype(np.float32)
        return np.bincount(row, minlength=rows), column.astype(np.int32), scaled
