"""Terms of the queries before: whole queries by place, in pairs and threes, their words and leading parts.

A term is a 64-bit number, a hash of its family and its text, so that a completer needs no texts to look terms up. Two
terms of one number would share a column; among ten million terms that happens with a probability of 3 in 10^6.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.autocomplete.sessions import text_hashes
from fingerpost.tasks.corpus.scripts import JOINERS, MARKS

#: The families of terms, by their number. position: a query and its place; query: a query at any place; path: the
#: beginning of a query up to the end of a word but the last; word: a word of it; pair, triple: the last queries together;
#: prefix: characters of what is typed.
FAMILIES = ("position", "query", "path", "word", "pair", "triple", "prefix")
POSITION, QUERY, PATH, WORD, PAIR, TRIPLE, PREFIX = range(len(FAMILIES))

#: The number of queries whose numbers are cached: those of a session come again with each letter that is typed.
_CACHED = 4096

#: Words of a query that count: its first ones.
MAX_WORDS = 12

# Kana and ideographs are written without spaces: each character is a word. Marks belong to the word before them.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fa1f"
_LETTER = f"[^\\W_{_UNSPACED}]"
_WORD = re.compile(f"[{_UNSPACED}]|{_LETTER}+(?:[{MARKS}{JOINERS}]+{_LETTER}*)*")

_GOLDEN_INT, _FIRST_INT, _SECOND_INT, _ALL = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 2**64 - 1
_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (_GOLDEN_INT, _FIRST_INT, _SECOND_INT))


def mixed(left: NDArray[np.uint64], right: NDArray[Any] | int) -> NDArray[np.uint64]:
    """A hash of two numbers each, uint64 (n,): the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    other = np.atleast_1d(np.asarray(right, dtype=np.uint64))
    mixture = left * _FIRST + other * _GOLDEN + _GOLDEN
    mixture = (mixture ^ (mixture >> np.uint64(30))) * _FIRST
    mixture = (mixture ^ (mixture >> np.uint64(27))) * _SECOND
    return mixture ^ (mixture >> np.uint64(31))


def mixed_one(left: int, right: int) -> int:
    """The same hash of two single numbers, which is faster than arrays of one."""
    mixture = (left * _FIRST_INT + right * _GOLDEN_INT + _GOLDEN_INT) & _ALL
    mixture = ((mixture ^ (mixture >> 30)) * _FIRST_INT) & _ALL
    mixture = ((mixture ^ (mixture >> 27)) * _SECOND_INT) & _ALL
    return mixture ^ (mixture >> 31)


def text_hash(text: str) -> int:
    """The hash of one text, as ``sessions.text_hashes`` has it."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def word_spans(key: str) -> list[tuple[int, int]]:
    """Begin and end of the first MAX_WORDS words of a key."""
    spans = []
    for match in _WORD.finditer(key):
        spans.append(match.span())
        if len(spans) == MAX_WORDS:
            break
    return spans


@dataclass(frozen=True)
class QueryHashes:
    """Hashes of q queries.

    whole: uint64 (q,). start: int64 (q + 1,), the range of each query's words. words, paths: uint64 (words,), of each word,
    and of the query's beginning up to the end of that word.
    """

    whole: NDArray[np.uint64]
    start: NDArray[np.int64]
    words: NDArray[np.uint64]
    paths: NDArray[np.uint64]


def query_hashes(keys: Sequence[str]) -> QueryHashes:
    """The hashes of queries by their matching keys."""
    spans = [word_spans(key) for key in keys]
    words = [key[begin:end] for key, found in zip(keys, spans, strict=True) for begin, end in found]
    paths = [key[:end] for key, found in zip(keys, spans, strict=True) for _, end in found]
    hashes = text_hashes([*keys, *words, *paths])
    start = np.concatenate(([0], np.cumsum([len(found) for found in spans], dtype=np.int64))).astype(np.int64)
    whole, of_words, of_paths = np.split(hashes, [len(keys), len(keys) + len(words)])
    return QueryHashes(whole, start, of_words, of_paths)


@dataclass(frozen=True)
class Entries:
    """Entries of sparse rows by term: rows int64 (n,), ids uint64 (n,), values float64 (n,)."""

    rows: NDArray[np.int64]
    ids: NDArray[np.uint64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class FamilyEntries(Entries):
    """Entries of one family.

    origins: int64 (n,), where each entry comes from: a position in the array of queries before, or, for words and paths,
    a position among all words.
    """

    family: int
    origins: NDArray[np.int64]


def joined(parts: Sequence[Entries]) -> Entries:
    """The entries of several families, one after the other."""
    rows = np.concatenate([part.rows for part in parts])
    return Entries(rows, np.concatenate([part.ids for part in parts]), np.concatenate([part.values for part in parts]))


def context_entries(
    hashes: QueryHashes, indptr: NDArray[np.int64], previous: NDArray[Any], *, decay: float
) -> Iterator[FamilyEntries]:
    """The entries of contexts, family by family.

    previous: (n,), queries among those of ``hashes``; indptr: int64 (rows + 1,), the range of each context in it, the most
    recent first. decay: the value of a query is decay^i at place i. Words and paths of a query of w words are divided by
    sqrt(w), so that long queries do not dominate.
    """
    sizes = np.diff(indptr)
    rows, flat = np.repeat(np.arange(len(sizes)), sizes), np.arange(len(previous))
    place = flat - indptr[rows]
    value: NDArray[np.float64] = np.power(decay, place, dtype=np.float64)
    whole = hashes.whole[previous]
    yield FamilyEntries(rows, mixed(mixed(whole, place), POSITION), value, POSITION, flat)
    yield FamilyEntries(rows, mixed(whole, QUERY), value, QUERY, flat)
    yield from _word_entries(hashes, previous, rows, value)
    for family, span in ((PAIR, 2), (TRIPLE, 3)):
        first = indptr[:-1][sizes >= span]
        ids = whole[first]
        for offset in range(1, span):
            ids = mixed(ids, whole[first + offset])
        yield FamilyEntries(np.flatnonzero(sizes >= span), mixed(ids, family), np.ones(len(first)), family, first)


def _word_entries(
    hashes: QueryHashes, previous: NDArray[Any], rows: NDArray[np.int64], value: NDArray[np.float64]
) -> Iterator[FamilyEntries]:
    """Entries of the words of each query, and of its beginnings."""
    begin, count = hashes.start[previous], hashes.start[np.asarray(previous) + 1] - hashes.start[previous]
    of = np.repeat(np.arange(len(previous)), count)
    within = np.arange(len(of)) - (np.cumsum(count) - count)[of]
    word = begin[of] + within
    values = value[of] / np.sqrt(count[of])
    proper = within < count[of] - 1  # the last one is the query, which is a family of its own
    yield FamilyEntries(rows[of[proper]], mixed(hashes.paths[word[proper]], PATH), values[proper], PATH, word[proper])
    yield FamilyEntries(rows[of], mixed(hashes.words[word], WORD), values, WORD, word)


def request_entries(previous: Sequence[str], *, decay: float) -> tuple[list[int], list[float]]:
    """Numbers and values of the entries of one context, in the order in which ``context_entries`` joined has them.

    previous: matching keys, the most recent first.
    """
    numbers = [_query_numbers(key) for key in previous]
    whole = [number for number, _, _ in numbers]
    values = [decay**place for place in range(len(whole))]
    ids = [mixed_one(mixed_one(number, place), POSITION) for place, number in enumerate(whole)]
    ids += [mixed_one(number, QUERY) for number in whole]
    weights = values + values
    paths: list[int] = []
    words: list[int] = []
    path_weights: list[float] = []
    word_weights: list[float] = []
    for (_, of_paths, of_words), value in zip(numbers, values, strict=True):
        share = value / math.sqrt(len(of_words) or 1)
        paths += of_paths
        words += of_words
        path_weights += [share] * len(of_paths)
        word_weights += [share] * len(of_words)
    ids, weights = ids + paths + words, weights + path_weights + word_weights
    for family, span in ((PAIR, 2), (TRIPLE, 3)):
        if len(whole) >= span:
            ids.append(mixed_one(reduce(mixed_one, whole[:span]), family))
            weights.append(1.0)
    return ids, weights


@lru_cache(maxsize=_CACHED)
def _query_numbers(key: str) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The hash of a query, and the numbers of its leading parts and of its words."""
    spans = word_spans(key)
    paths = tuple(mixed_one(text_hash(key[:end]), PATH) for _, end in spans[:-1])
    words = tuple(mixed_one(text_hash(key[begin:end]), WORD) for begin, end in spans)
    return text_hash(key), paths, words


def term_text(family: int, origin: int, keys: Sequence[str], hashes: QueryHashes, previous: NDArray[Any]) -> str:
    """The text of a term that is of an entry of ``context_entries``; queries together are written oldest first."""
    if family in (PATH, WORD):
        query = int(np.searchsorted(hashes.start, origin, side="right")) - 1
        begin, end = word_spans(keys[query])[origin - int(hashes.start[query])]
        return keys[query][0 if family == PATH else begin : end]
    span = {PAIR: 2, TRIPLE: 3}.get(family, 1)
    return " > ".join(keys[query] for query in reversed(previous[origin : origin + span].tolist()))
