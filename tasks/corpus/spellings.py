"""Terms of a collection that are spelled nearly as a word that it lacks."""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.analyzer import Analyzer
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.runs import RUN

# How many times the documents make up for one more edit, and for another first character.
_EDIT = 50.0
_INITIAL = 5.0


def near_spellings(word: str, lexicon: Lexicon, analyzer: Analyzer, *, count: int = 3) -> list[str]:
    """Terms of the lexicon within a few edits of a word's own term, best first; none for scripts without spaces.

    An edit inserts, removes or replaces a character, or swaps two neighbours (Damerau 1964); terms of three to five
    characters may have one, longer ones two. Fewer edits, the same first character and more documents are better; terms
    that are far worse than the best are left out. A word of ASCII letters is compared with those of Latin scripts.
    """
    terms = [term for term in analyzer.query_tokens(word) if term not in analyzer.stop_words]
    if not terms or RUN.search(word):
        return []
    term = max(terms, key=len)
    edits = 0 if len(term) < 3 else 1 if len(term) < 6 else 2
    columns = _possible(term, lexicon, edits)
    distances = edit_distances(term, *_characters(lexicon, columns))
    columns, distances = columns[distances <= edits], distances[distances <= edits]
    spelled = [lexicon.term(column) for column in columns.tolist()]
    frequency = lexicon.document_frequency[columns]
    scores = np.log(frequency) - np.log(_EDIT) * distances
    initial = np.array([text[0] == term[0] for text in spelled], bool)
    scores -= np.where(initial, 0, np.log(_INITIAL))
    possible = np.flatnonzero((distances > 0) & ~lexicon.stop[columns])
    best = possible[np.lexsort((possible, -scores[possible]))]
    found = [spelled[row] for row in best.tolist() if scores[row] > scores[best[0]] - np.log(_EDIT)]
    return [text for text in found if text.isalpha() or not term.isalpha()][:count]


def edit_distances(text: str, letters: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edits from a text to each of others, int64 (others,): insertions, deletions, replacements, swaps of neighbours.

    letters: uint32 (longest, others), the code points of each by columns; lengths: int64 (others,). The restricted
    distance: no character is edited twice. ValueError for texts or others of more than 200 characters.
    """
    width, count = letters.shape
    if max(width, len(text)) > 200:
        raise ValueError(f"text: expected at most 200 characters, got {max(width, len(text))}; cut it")
    above = before = np.empty((width + 1, count), np.uint8)
    row = np.tile(np.arange(width + 1, dtype=np.uint8)[:, None], (1, count))
    for place, letter in enumerate(text):
        before, above, row = above, row, np.empty_like(row)
        row[0] = place + 1
        differs = letters != ord(letter)
        for column in range(1, width + 1):
            cheapest = np.minimum(above[column - 1] + differs[column - 1], above[column] + 1)
            np.minimum(cheapest, row[column - 1] + 1, out=cheapest)
            if place and column > 1:
                swapped = ~differs[column - 2] & (letters[column - 1] == ord(text[place - 1]))
                cheapest = np.where(swapped, np.minimum(cheapest, before[column - 2] + 1), cheapest)
            row[column] = cheapest
    return row[lengths, np.arange(count)].astype(np.int64)


def _characters(lexicon: Lexicon, columns: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The code points of terms by columns, 0 behind their ends, and their lengths."""
    begins = lexicon.offsets[columns]
    lengths = lexicon.offsets[columns + 1] - begins
    places = np.arange(int(lengths.max(initial=0)))[:, None]
    inside = places < lengths
    letters = np.where(inside, lexicon.letters[np.where(inside, begins + places, 0)], 0).astype(np.uint32)
    # Bytes are characters but for these.
    for number in np.flatnonzero((letters > 127).any(axis=0)).tolist():
        term = [ord(letter) for letter in lexicon.term(int(columns[number]))]
        letters[:, number] = 0
        letters[: len(term), number] = term
        lengths[number] = len(term)
    return letters, lengths


def _possible(term: str, lexicon: Lexicon, edits: int) -> NDArray[np.int64]:
    """Terms that may be within so many edits, by their lengths and the sets of their bytes: ascending columns."""
    letters = np.frombuffer(term.encode(), np.uint8)
    sizes = np.diff(lexicon.offsets)
    # An edit of a plain word takes away one byte, and may put in one of the two of an accented letter.
    fewer, more = (1, 2) if term.isascii() else (4, 4)
    columns = np.flatnonzero((sizes >= len(letters) - edits * fewer) & (sizes <= len(letters) + edits * more))
    if not len(columns) or not edits:
        return np.empty(0, np.int64)
    sets = np.bitwise_or.reduceat(_bits(lexicon.letters), lexicon.offsets[:-1])[columns]
    return columns[np.bitwise_count(sets ^ np.bitwise_or.reduce(_bits(letters))) <= edits * (fewer + more)]


def _bits(letters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A bit for each byte; bytes that differ by 64 share theirs."""
    return np.left_shift(np.uint64(1), (letters & 63).astype(np.uint64))
