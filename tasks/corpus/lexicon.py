"""The terms of a collection: sorted, packed as UTF-8, with their frequencies."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.ngrams import merge_counts
from fingerpost.ext.postings import count_texts, find_texts
from fingerpost.tasks.corpus.identifiers import NAME_MARK
from fingerpost.tasks.corpus.term_counts import TermCounts


@dataclass(frozen=True)
class Lexicon:
    """Terms, in how many documents each occurs and how often in each field.

    Term i is the UTF-8 text ``letters[offsets[i]:offsets[i + 1]]``: offsets int64 (terms + 1,), letters uint8. Terms are
    distinct and ascend by code point, which is the order of their bytes. document_frequency int64 (terms,). occurrences
    int64 (3, terms): in the fields of `fingerpost.tasks.corpus.fields.FIELDS`. stop: bool (terms,), whether a term is a stop
    word, which says little about a document, or the key of a name: it counts in no length.
    """

    documents: int
    offsets: NDArray[np.int64]
    letters: NDArray[np.uint8]
    document_frequency: NDArray[np.int64]
    occurrences: NDArray[np.int64]
    stop: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        terms: Sequence[str],
        *,
        documents: int,
        document_frequency: NDArray[np.int64],
        occurrences: NDArray[np.int64],
    ) -> "Lexicon":
        """The lexicon of sorted, distinct terms, none a stop word."""
        encoded = [term.encode() for term in terms]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        letters, stop = np.frombuffer(b"".join(encoded), np.uint8), np.zeros(len(terms), dtype=np.bool_)
        return cls(documents, offsets, letters, document_frequency, occurrences, stop)

    def with_stop(self, stop_words: Collection[str]) -> "Lexicon":
        """The lexicon with these terms, keys of names, and no others as stop words; terms that it lacks are passed over."""
        stop = self.letters[self.offsets[:-1]] == ord(NAME_MARK)
        columns = self.columns(sorted(stop_words))
        stop[columns[columns >= 0]] = True
        return replace(self, stop=stop)

    @property
    def size(self) -> int:
        """Number of terms."""
        return len(self.document_frequency)

    @property
    def field_lengths(self) -> NDArray[np.float64]:
        """The number of tokens of each field over all documents, stop words left out, float64 (3,)."""
        return (self.occurrences * ~self.stop).sum(axis=1).astype(np.float64)

    @cached_property
    def terms(self) -> list[str]:
        """All terms as a list, which takes time and memory: answers get along with `columns` and `term`."""
        letters, offsets = self.letters.tobytes(), self.offsets.tolist()
        return [letters[start:stop].decode() for start, stop in pairwise(offsets)]

    def term(self, column: int) -> str:
        """One term."""
        return self.letters[self.offsets[column] : self.offsets[column + 1]].tobytes().decode()

    def columns(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """The place of each term, int64 (terms,), -1 where the collection lacks it."""
        return find_texts(list(terms), self.offsets, self.letters)

    def counted(self, terms: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The places of the terms that the collection has, int64, distinct and ascending, and their counts, float32."""
        return count_texts(list(terms), self.offsets, self.letters)


def shard_lexicon(counts: TermCounts) -> Lexicon:
    """The lexicon of one shard."""
    size = len(counts.terms)
    occurrences = [np.bincount(counts.indices, weights=row, minlength=size) for row in counts.occurrences]
    return Lexicon.of(
        counts.terms,
        documents=counts.documents,
        document_frequency=np.bincount(counts.indices, minlength=size).astype(np.int64),
        occurrences=np.array(occurrences).reshape(len(occurrences), size).astype(np.int64),
    )


def merge_lexicons(parts: Sequence[Lexicon]) -> Lexicon:
    """The lexicon of the documents of all parts, which must not overlap; exact in any grouping, without stop words."""
    if not parts:
        raise ValueError("lexicon: expected at least one part, got none; count the terms of a shard")
    return reduce(_merged, parts)


def _merged(left: Lexicon, right: Lexicon) -> Lexicon:
    (terms, frequency), *fields = (
        merge_counts(left.terms, ours, right.terms, theirs)
        for ours, theirs in zip(
            (left.document_frequency, *left.occurrences), (right.document_frequency, *right.occurrences), strict=True
        )
    )
    return Lexicon.of(
        terms,
        documents=left.documents + right.documents,
        document_frequency=frequency,
        occurrences=np.array([counts for _, counts in fields]).reshape(len(fields), len(terms)),
    )
