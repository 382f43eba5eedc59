"""Occurrences of the terms of a shard of documents, field by field."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.fields import FIELDS, first_paragraph

if TYPE_CHECKING:  # queries have no sparse matrix, and scipy takes time and memory
    from scipy import sparse


class Analyzer(Protocol):
    """What makes terms of a text, the same for documents and queries."""

    def tokens(self, text: str) -> list[str]:
        """The terms of a text in its order, with repetitions."""

    def name_keys(self, title: str) -> list[str]:
        """Terms for a title as a whole."""


@dataclass(frozen=True)
class TermCounts:
    """Which terms documents have, and how often in each field.

    terms: sorted and distinct, those that occur. indptr int64 (documents + 1,), indices int32 (entries,): the terms of each
    document, ascending. occurrences uint32 (3, entries): in the fields of `fingerpost.tasks.corpus.fields.FIELDS`.
    """

    terms: list[str]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    occurrences: NDArray[np.uint32]

    @property
    def documents(self) -> int:
        """Number of documents."""
        return len(self.indptr) - 1

    def field(self, number: int) -> "sparse.csr_array":
        """The occurrences in one field, CSR float32 (documents, terms) without stored zeros."""
        from scipy import sparse

        counts = sparse.csr_array(
            (self.occurrences[number].astype(np.float32), self.indices, self.indptr),
            shape=(self.documents, len(self.terms)),
            copy=True,
        )
        counts.eliminate_zeros()
        return counts


def count_terms(titles: Sequence[str], texts: Sequence[str], analyzer: Analyzer) -> TermCounts:
    """Counts the terms of titles and their keys, of first paragraphs and the rest of the texts; ValueError if the numbers of both differ."""
    if len(titles) != len(texts):
        raise ValueError(f"titles: expected one for each of {len(texts)} texts, got {len(titles)}; pass both columns")
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    parts = [
        [numbers[term] for term in terms]
        for title, text in zip(titles, texts, strict=True)
        for terms in (
            analyzer.tokens(title) + analyzer.name_keys(title),
            *map(analyzer.tokens, first_paragraph(text)),
        )
    ]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    found = np.fromiter(chain.from_iterable(parts), np.int64, int(lengths.sum()))
    terms = sorted(numbers)
    places = np.empty(len(terms), dtype=np.int64)
    places[[numbers[term] for term in terms]] = np.arange(len(terms))
    return _counts(terms, places[found], np.repeat(np.arange(len(parts)), lengths), documents=len(titles))


def _counts(terms: list[str], columns: NDArray[np.int64], parts: NDArray[np.int64], *, documents: int) -> TermCounts:
    """Counts from the column and the part (3 a document) of every token."""
    keys = parts // len(FIELDS) * len(terms) + columns
    pairs, place = np.unique(keys, return_inverse=True)
    cells = np.bincount(parts % len(FIELDS) * len(pairs) + place, minlength=len(FIELDS) * len(pairs))
    rows = pairs // len(terms) if terms else pairs
    indptr = np.searchsorted(rows, np.arange(documents + 1)).astype(np.int64)
    indices = (pairs - rows * len(terms)).astype(np.int32)
    return TermCounts(terms, indptr, indices, cells.astype(np.uint32).reshape(len(FIELDS), len(pairs)))
