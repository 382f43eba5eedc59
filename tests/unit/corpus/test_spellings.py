"""Near spellings of words that a collection lacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.spellings import edit_distances, near_spellings

ENGLISH = Analyzer(AnalyzerParams(language="english"))


def _lexicon(frequencies: dict[str, int]) -> Lexicon:
    terms = sorted(frequencies)
    counts = np.array([frequencies[term] for term in terms], np.int64)
    lexicon = Lexicon.of(terms, documents=1_000, document_frequency=counts, occurrences=np.tile(counts, (3, 1)))
    return lexicon.with_stop(ENGLISH.stop_words)


LEXICON = _lexicon(
    {
        "sort": 90,
        "sore": 1,
        "array": 50,
        "arrai": 1,
        "algorithm": 9,
        "logarithm": 5,
        "café": 3,
        "readcsv": 2,
        "the": 900,
    }
    | {"receiv": 4, "x2": 1, "黄河": 1, "xy": 1, "=readcsx1": 1}
)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("algoritm", ["algorithm"]),
        ("algorihtms", ["algorithm"]),
        ("arrray", ["array"]),
        ("sorrt", ["sort"]),
        ("sorr", ["sort"]),
        ("recieving", ["receiv"]),
        ("read_cvs", ["readcsv"]),
        ("read_csx2", ["readcsv"]),
        ("cafe", ["café"]),
        ("xz", []),
        ("黄海", []),
        ("hte", []),
        ("", []),
        ("zzzzzzzzz", []),
    ],
)
def test_terms_within_a_few_edits_are_found(word: str, found: list[str]) -> None:
    assert near_spellings(word, LEXICON, ENGLISH) == found


def test_an_empty_lexicon_has_none() -> None:
    assert near_spellings("word", _lexicon({}), ENGLISH) == []


def _distance(left: str, right: str) -> int:
    """The restricted Damerau distance, one cell after the other."""
    cells = {(row, 0): row for row in range(len(left) + 1)} | {(0, column): column for column in range(len(right) + 1)}
    for row in range(1, len(left) + 1):
        for column in range(1, len(right) + 1):
            differs = left[row - 1] != right[column - 1]
            cells[row, column] = min(
                cells[row - 1, column] + 1, cells[row, column - 1] + 1, cells[row - 1, column - 1] + differs
            )
            if row > 1 and column > 1 and left[row - 2 : row] == right[column - 1] + right[column - 2]:
                cells[row, column] = min(cells[row, column], cells[row - 2, column - 2] + 1)
    return cells[len(left), len(right)]


_WORDS = st.text(alphabet="abcé한", min_size=1, max_size=9)


@given(_WORDS, st.lists(_WORDS, max_size=8))
def test_distances_equal_the_slow_version(text: str, others: list[str]) -> None:
    letters = np.zeros((max(map(len, others), default=0), len(others)), np.uint32)
    for column, other in enumerate(others):
        letters[: len(other), column] = [ord(letter) for letter in other]
    lengths = np.array([len(other) for other in others], np.int64)
    assert edit_distances(text, letters, lengths).tolist() == [_distance(text, other) for other in others]


_LATIN = st.text(alphabet="abcdefé", min_size=1, max_size=9)


@given(_LATIN.filter(lambda word: len(word) > 2), st.sets(_LATIN, min_size=1, max_size=8))
def test_the_nearest_term_is_not_overlooked(word: str, terms: set[str]) -> None:
    plain = Analyzer(AnalyzerParams(language="none"))
    edits = 1 if len(word) < 6 else 2
    near = [distance for distance in (_distance(word, term) for term in terms) if 0 < distance <= edits]
    found = near_spellings(word, _lexicon(dict.fromkeys(terms, 1)), plain, count=100)
    assert bool(found) == bool(near)
    assert {_distance(word, term) for term in found} <= set(near)
