"""What terms weigh in documents with fields, against a term-by-term version."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.corpus.impacts import FieldWeights, rarities, term_impacts
from fingerpost.tasks.corpus.lexicon import Lexicon, merge_lexicons, shard_lexicon
from fingerpost.tasks.corpus.term_counts import TermCounts, count_terms

WORDS = ["sort", "array", "copy", "graph", "the"]
texts = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)
documents = st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=7)
weights = st.builds(
    FieldWeights,
    name=st.sampled_from([0.0, 1.0, 3.0]),
    first=st.sampled_from([0.0, 1.0, 30.0]),
    body=st.sampled_from([0.5, 1.0]),
    saturation=st.sampled_from([0.1, 1.0, 2.0]),
)


class Words:
    """An analyzer that takes words as they are."""

    def tokens(self, text: str) -> list[str]:
        return text.split()

    def name_keys(self, title: str) -> list[str]:
        return []


def counted(rows: list[tuple[str, str, str]]) -> TermCounts:
    return count_terms([name for name, _, _ in rows], [f"{first}\n\n{body}" for _, first, body in rows], Words())


def lexicon_of(rows: list[tuple[str, str, str]]) -> Lexicon:
    return shard_lexicon(counted(rows)).with_stop({"the", "absent"})


def fields_of(row: tuple[str, str, str]) -> tuple[list[str], list[str], list[str]]:
    """The words of each field; a text without a first paragraph has the rest of it as such."""
    name, first, body = row
    return (name.split(), first.split(), body.split()) if first.strip() else (name.split(), body.split(), [])


def impact(term: str, row: tuple[str, str, str], rows: list[tuple[str, str, str]], given: FieldWeights) -> float:
    """InExpB2 over fields, term by term."""
    n, everything = len(rows), [fields_of(other) for other in rows]
    content = [[word for word in field if word != "the"] for fields in everything for field in fields]
    totals = [sum(map(len, content[field::3])) for field in range(3)]
    mean = sum(w * t for w, t in zip(given.fields, totals, strict=True)) / (sum(totals) or 1) or 1.0
    tfn = 0.0
    for field, weight in enumerate(given.fields):
        words = fields_of(row)[field]
        length = max(sum(word != "the" for word in words), 1)
        tfn += weight / mean * words.count(term) * math.log2(1 + max(totals[field], 1) / n / length)
    occurrences = sum(field.count(term) for fields in everything for field in fields)
    frequency = sum(any(term in field for field in fields) for fields in everything)
    expected = n * (1 - (1 - 1 / n) ** occurrences)
    return tfn / (tfn + given.saturation) * (occurrences + 1) / frequency * math.log2((n + 1) / (expected + 0.5))


@settings(max_examples=80, deadline=None)
@given(rows=documents, given_weights=weights)
def test_impacts_equal_the_slow_version(rows: list[tuple[str, str, str]], given_weights: FieldWeights) -> None:
    lexicon = lexicon_of(rows)
    found = term_impacts(counted(rows), lexicon, given_weights).toarray()
    for place, row in enumerate(rows):
        for column, term in enumerate(lexicon.terms):
            has = any(term in field for field in fields_of(row))
            expected = impact(term, row, rows, given_weights) if has else 0.0
            assert found[place, column] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(rows=documents, more=documents, given_weights=weights)
def test_shards_weigh_alike(
    rows: list[tuple[str, str, str]], more: list[tuple[str, str, str]], given_weights: FieldWeights
) -> None:
    parts = [counted(rows), counted(more)]
    lexicon = merge_lexicons([shard_lexicon(part) for part in parts]).with_stop({"the"})
    whole = term_impacts(counted(rows + more), lexicon, given_weights).toarray()
    apart = np.vstack([term_impacts(part, lexicon, given_weights).toarray() for part in parts])
    np.testing.assert_array_equal(whole, apart)


def test_only_ratios_of_weights_matter() -> None:
    rows = [("sort", "sort array", "copy the array"), ("graph", "the graph", "sort copy graph"), ("", "copy", "")]
    lexicon, counts = lexicon_of(rows), counted(rows)
    one = term_impacts(counts, lexicon, FieldWeights(3, 1, 2))
    ten = term_impacts(counts, lexicon, FieldWeights(30, 10, 20))
    np.testing.assert_allclose(one.toarray(), ten.toarray(), rtol=1e-6)


def test_stop_words_do_not_lengthen_a_document() -> None:
    rows = [("", "sort array", ""), ("", "sort array the the the the", ""), ("", "graph", "")]
    found = term_impacts(counted(rows), lexicon_of(rows), FieldWeights()).toarray()
    column = lexicon_of(rows).columns(["sort"])[0]
    assert found[0, column] == found[1, column] > 0


def test_a_term_that_comes_in_bursts_says_more_and_a_common_one_less() -> None:
    rows = [("", "sort sort sort", ""), ("", "array", ""), *[("", "graph", "")] * 3, *[("", "copy", "")] * 40]
    rare = dict(zip(lexicon_of(rows).terms, rarities(lexicon_of(rows)), strict=True))
    assert rare["sort"] > rare["array"] > rare["graph"] > rare["copy"] > 0


def test_a_term_that_the_lexicon_lacks() -> None:
    rows = [("", "sort array", ""), ("", "graph", "")]
    lexicon = lexicon_of(rows[1:])
    with pytest.raises(ValueError, match="term 'array': expected in the lexicon"):
        term_impacts(counted(rows), lexicon, FieldWeights())
    assert term_impacts(counted(rows), lexicon, FieldWeights(), lacking=True).toarray().tolist()[0] == [0.0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": -1.0}, "expected none negative and one positive"),
        ({"name": 0.0, "first": 0.0, "body": 0.0}, "expected none negative and one positive"),
        ({"first": math.inf}, "expected none negative and one positive"),
        ({"saturation": 0.0}, "expected a number above 0"),
        ({"saturation": math.nan}, "expected a number above 0"),
    ],
)
def test_weights_are_checked(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FieldWeights(**fields)
