"""Excerpts that show why a text was found."""

from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.corpus.analyzer import Analyzer, AnalyzerParams
from fingerpost.tasks.corpus.snippets import Snippet, best_snippet

ENGLISH = Analyzer(AnalyzerParams(language="english"))
TEXT = (
    "Return a copy of an array. " + "Filler words come here and go on. " * 8
    + "Sorting arrays is stable\n   where keys are equal. " + "More filler comes behind it. " * 8
)  # fmt: skip


def _marked(snippet: Snippet) -> list[str]:
    return [snippet.text[begin:end] for begin, end in snippet.marks]


def test_the_window_with_the_heaviest_terms_is_shown() -> None:
    snippet = best_snippet(TEXT, {"sort": 2.0, "array": 1.0, "stabl": 1.0, "copi": 1.5}, ENGLISH, length=80)
    assert snippet.text.startswith("… Sorting arrays is stable where keys are equal.")
    assert snippet.text.endswith(" …")
    assert _marked(snippet) == ["Sorting", "arrays", "stable"]


def test_without_a_match_it_is_the_beginning() -> None:
    assert best_snippet(TEXT, {"zebra": 1.0}, ENGLISH, length=26) == Snippet("Return a copy of an array. …", ())
    assert best_snippet("", {"zebra": 1.0}, ENGLISH) == Snippet("", ())


def test_a_short_text_is_whole() -> None:
    assert best_snippet("A sorted\n\narray.", {"sort": 1.0}, ENGLISH) == Snippet("A sorted array.", ((2, 8),))


def test_neighbouring_characters_are_marked_together() -> None:
    snippet = best_snippet("白日依山尽，黄河入海流。", {"黄河": 1.0, "河入": 1.0}, ENGLISH)
    assert _marked(snippet) == ["黄河入"]


def test_distinct_terms_count_more_than_repeated_ones() -> None:
    text = "sort sort sort sort. " + "x " * 100 + "sort arrays"
    assert _marked(best_snippet(text, {"sort": 1.0, "array": 0.5}, ENGLISH, length=40)) == ["sort", "arrays"]


@given(
    st.text(alphabet="ab .\n黄河ิน\u0301", max_size=120),
    st.dictionaries(st.sampled_from(["a", "b", "ab", "黄河", "黄"]), st.floats(0.1, 9)),
    st.integers(5, 60),
)
def test_marks_are_matched_words_of_a_part_of_the_text(text: str, weights: dict[str, float], length: int) -> None:
    snippet = best_snippet(text, weights, ENGLISH, length=length)
    assert snippet.text.removeprefix("… ").removesuffix(" …") in " ".join(text.split())
    ends = [place for mark in snippet.marks for place in mark]
    assert ends == sorted(ends)
    for mark in _marked(snippet):
        assert set(ENGLISH.tokens(mark)) & set(weights)
    matched = set(ENGLISH.tokens(" ".join(text.split()))) & set(weights)
    assert bool(snippet.marks) == bool(matched)
