"""The completer: every suggestion begins with the prefix, as many as there are, best first, whatever is asked."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.blend import BlendParams
from fingerpost.tasks.autocomplete.completer import LONGEST, Completer, ServingParams, Suggestion
from fingerpost.tasks.autocomplete.matching import matching_key, prefix_key
from fingerpost.tasks.autocomplete.request import Request
from tests.support.completers import completer_of

CALLS = {
    "numpy.zeros": 9.0,
    "numpy.ones": 5.0,
    "numpy.arange": 7.0,
    "numpy.nan_to_num": 1.0,
    "os.path.join": 8.0,
    "os.path.exists": 3.0,
    "Number": 2.0,
    "naïve bayes": 1.0,
    "天气预报": 4.0,
    "天气": 6.0,
}
FOLLOWERS = {"numpy.zeros": {"numpy.arange": 3.0, "os.path.exists": 2.0}, "os.path.join": {"os.path.exists": 4.0}}


@pytest.fixture(scope="module")
def calls() -> Completer:
    return completer_of(CALLS, FOLLOWERS)


def queries(found: Sequence[Suggestion]) -> list[str]:
    """The texts of suggestions."""
    return [suggestion.query for suggestion in found]


def test_the_most_popular_come_first_where_nothing_was_asked_before(calls: Completer) -> None:
    found = calls.complete((), "num")
    assert queries(found) == ["numpy.zeros", "numpy.arange", "numpy.ones", "Number", "numpy.nan_to_num"]
    assert {suggestion.source for suggestion in found} == {"popular"}
    scores = [suggestion.score for suggestion in found]
    assert scores == sorted(scores, reverse=True)


def test_what_followed_the_query_before_comes_first(calls: Completer) -> None:
    found = calls.complete(["os.path.join"], "os")
    assert queries(found) == ["os.path.exists", "os.path.join"]
    assert [suggestion.source for suggestion in found] == ["follower", "popular"]


def test_an_empty_prefix_asks_for_the_next_query(calls: Completer) -> None:
    assert queries(calls.complete(["numpy.zeros"], ""))[:2] == ["numpy.arange", "os.path.exists"]
    assert queries(calls.complete((), "", 3)) == ["numpy.zeros", "os.path.join", "numpy.arange"]
    assert queries(calls.complete((), " \t", 1)) == ["numpy.zeros"]


def test_the_order_of_the_queries_before_is_that_in_which_they_were_asked() -> None:
    calls = completer_of(CALLS, FOLLOWERS, ServingParams(blend=BlendParams(copies=(0.0, 0.0))))
    assert queries(calls.complete(["numpy.zeros", "os.path.join"], "", 1)) == ["os.path.exists"]
    assert queries(calls.complete(["os.path.join", "numpy.zeros"], "", 1)) == ["numpy.arange"]


def test_one_asked_twice_in_a_row_counts_once_and_only_the_last_three_count(calls: Completer) -> None:
    assert calls.asked(Request(("a", "b", "c", "C ", "d"), "")).previous == ("d", "c", "b")
    assert calls.asked(Request(("a", " ", "b", "\u0301"), "")).previous == ("b", "a")


def test_a_query_never_seen_before_falls_back_to_popularity(calls: Completer) -> None:
    assert queries(calls.complete(["never seen"], "num")) == queries(calls.complete((), "num"))


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("NUM", "numpy.zeros"),
        ("numpy.Z", "numpy.zeros"),
        ("NAIVE_B", "naïve bayes"),
        ("nai\u0308ve-b", "naïve bayes"),
        ("天", "天气"),
        ("天气预", "天气预报"),
        ("天气 ", None),
        ("numpy.zeros ", None),
        ("numpy.zeros.more", None),
        ("zzz", None),
        ("\ud800nump", "numpy.zeros"),
        ("\0", None),
    ],
)
def test_prefixes_as_people_type_them(calls: Completer, prefix: str, found: str | None) -> None:
    best = calls.complete((), prefix, 1, typos=False)
    assert queries(best) == ([] if found is None else [found])


def test_exact_suggestions_are_followed_by_those_with_a_typing_error_in_the_prefix(calls: Completer) -> None:
    assert queries(calls.complete((), "nunpy.z")) == ["numpy.zeros"]
    assert calls.complete((), "nunpy.z")[0].source == "typo"
    assert calls.complete((), "nunpy.z", typos=False) == []
    assert calls.complete((), "nux") == []
    both = completer_of({"table": 1.0, "cable": 9.0, "tables": 2.0})
    assert queries(both.complete((), "tabl")) == ["tables", "table", "cable"]
    assert queries(both.complete((), "tabl", 2)) == ["tables", "table"]


def test_typing_errors_are_allowed_only_where_the_release_says_so() -> None:
    strict = completer_of(CALLS, serving=ServingParams(typos=False))
    assert strict.complete((), "nunpy.z") == []
    assert queries(strict.complete((), "nunpy.z", typos=True)) == ["numpy.zeros"]


def test_no_suggestion_is_listed_twice_and_all_are_listed_where_k_is_large(calls: Completer) -> None:
    for k in (len(CALLS), 10**9):
        assert sorted(queries(calls.complete(["numpy.zeros"], "", k))) == sorted(CALLS)
    assert calls.complete(["numpy.zeros"], "num", 0) == []
    with pytest.raises(ValueError, match="k: expected at least 0, got -1"):
        calls.complete((), "num", -1)


def test_a_completer_without_suggestions_answers_nothing() -> None:
    empty = completer_of({})
    assert len(empty) == 0
    for prefix in ("", "num", "numpy.zeros"):
        assert empty.complete(["numpy.zeros"], prefix) == []
        assert empty.complete_many([Request((), prefix)] * 2) == [[], []]


def test_very_long_texts_cost_no_more_than_long_ones(calls: Completer) -> None:
    assert calls.complete((), "numpy" * 10**6) == []
    assert calls.complete((), " " * 10**6 + "numpy.z", 1)[0].query == "numpy.zeros"
    assert queries(calls.complete(["q" * 10**7] * 10**4, "numpy.z", 1)) == ["numpy.zeros"]
    asked = calls.asked(Request(("q" * 10**6,), "p" * 10**6))
    assert [len(text) for text in asked.previous] == [LONGEST]
    assert asked.prefix == ""


TEXTS = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("aAéE_ -ſßΣσς\u0301\u0345İıﬁ한각"), max_size=6)
PREFIXES = TEXTS | st.text(max_size=3)


@given(
    st.lists(TEXTS.filter(lambda text: bool(matching_key(text))), max_size=8), st.lists(PREFIXES, max_size=4), PREFIXES
)
def test_every_suggestion_begins_with_the_prefix(log: list[str], previous: list[str], prefix: str) -> None:
    made = completer_of(dict.fromkeys(log, 1.0), {one: dict.fromkeys(log, 1.0) for one in log})
    keys = {matching_key(query) for query in log}
    found = made.complete(previous, prefix, typos=False)
    shown = [matching_key(suggestion.query) for suggestion in found]
    assert len(set(shown)) == len(shown)
    assert set(shown) == {key for key in keys if key.startswith(prefix_key(prefix))}


@given(st.lists(TEXTS.filter(lambda text: bool(matching_key(text))), min_size=1, max_size=8), st.data())
def test_the_beginning_of_a_query_finds_it(log: list[str], data: st.DataObject) -> None:
    query = data.draw(st.sampled_from(log))
    key = matching_key(query)
    prefix = key[: data.draw(st.integers(0, len(key)))]
    found = {
        matching_key(suggestion.query) for suggestion in completer_of(dict.fromkeys(log, 1.0)).complete((), prefix)
    }
    assert key in found


REQUESTS = [
    Request(previous, prefix)
    for previous in ((), ("numpy.zeros",), ("os.path.join", "numpy.zeros"), ("unseen",))
    for prefix in ("", "n", "num", "nunpy.z", "天", "zzz")
]


def test_a_batch_is_answered_like_its_requests_one_by_one(calls: Completer) -> None:
    for k in (0, 1, 3, 100):
        single = [calls.complete(request.previous, request.prefix, k) for request in REQUESTS]
        assert calls.complete_many(REQUESTS, k) == single
        assert calls.complete_many(REQUESTS, k, threads=2) == single
    assert calls.complete_many([]) == []


def test_threads_may_share_a_completer(calls: Completer) -> None:
    expected = calls.complete_many(REQUESTS)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: [calls.complete(r.previous, r.prefix) for r in REQUESTS], range(32)):
            assert found == expected


def test_names_and_keys_of_different_sets_are_refused(calls: Completer) -> None:
    with pytest.raises(ValueError, match="completer: expected as many names as keys, got 0 and 10"):
        Completer(completer_of({}).names, calls.trie, calls.blend)
    with pytest.raises(ValueError, match="candidates: expected at least 1, got 0"):
        ServingParams(candidates=0)
