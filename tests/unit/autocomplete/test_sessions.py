"""Sessions, suggestions and pairs against an oracle that goes through the events one by one."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.pairs import PairParams, Pairs, pair
from fingerpost.tasks.autocomplete.sessions import (
    NO_TIME,
    SPLITS,
    Events,
    SessionParams,
    Sessions,
    cut,
    text_hashes,
)

MINUTE = 60_000_000
#: User, session ("" for none), minutes (None for no time), text.
Event = tuple[str, str, "int | None", str]
ALL = SessionParams(minimum_length=1, validation_share=0.0, test_share=0.0)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from("uvw"),
        st.sampled_from(["", "", "s", "t"]),
        st.one_of(st.none(), st.integers(0, 200)),
        st.sampled_from(["a", "A", "b", "B ", "c", "--"]),
    ),
    max_size=40,
)


def key_of(text: str) -> str:
    return text.strip().strip("-").lower()


def numbered(events: list[Event]) -> tuple[Events, list[str], list[str]]:
    """The events as numbers, the texts, and the keys by number."""
    users: dict[str, int] = {}
    sessions: dict[str, int] = {}
    texts: dict[str, int] = {}
    keys: dict[str, int] = {}
    rows = []
    for user, session, minutes, text in events:
        row = [users.setdefault(user, len(users))]
        row.append(sessions.setdefault(session, len(sessions)) if session else -1)
        row.append(NO_TIME if minutes is None else minutes * MINUTE)
        row.append(texts.setdefault(text, len(texts)))
        rows.append(row)
    of_text = [keys.setdefault(key_of(text), len(keys)) if key_of(text) else -1 for text in texts]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Events(*columns, np.array(of_text, dtype=np.int64)), list(texts), list(keys)


def sessions_of(events: list[Event], params: SessionParams = ALL) -> Sessions:
    found, _, keys = numbered(events)
    return cut(found, params, hashes=text_hashes(keys))


def shown(events: list[Event], params: SessionParams = ALL) -> list[list[str]]:
    """The sessions as keys of their queries."""
    _, texts, _ = numbered(events)
    cuts = sessions_of(events, params)
    names = [key_of(texts[row]) for row in cuts.texts]
    rows: list[list[str]] = [[] for _ in cuts.users]
    for session, query in zip(cuts.step_sessions, cuts.step_queries, strict=True):
        rows[session].append(names[query])
    return rows


def naive(events: list[Event], params: SessionParams) -> list[dict[str, Any]]:
    """The sessions, one event at a time."""
    groups = defaultdict(list)
    for place, (user, session, minutes, text) in enumerate(events):
        if key_of(text):
            groups[user, session].append((place, minutes, text))
    found = []
    for (user, session), rows in groups.items():
        if any(minutes is None for _, minutes, _ in rows):
            rows = [(place, -1, text) for place, _, text in rows]
        current, last = None, None
        for place, minutes, text in sorted(rows, key=lambda row: row[1]):
            if current is None or (not session and minutes - last > params.gap_minutes):
                current = {"user": user, "start": minutes, "place": place, "steps": []}
                found.append(current)
            if not current["steps"] or key_of(current["steps"][-1][0]) != key_of(text):
                current["steps"].append((text, minutes))
            last = minutes
    kept = [one for one in found if len(one["steps"]) >= params.minimum_length]
    return sorted(kept, key=lambda one: (one["start"] if one["start"] >= 0 else 10**9, one["place"]))


@settings(max_examples=300, deadline=None)
@given(events=EVENTS, gap=st.integers(1, 60), least=st.integers(1, 3))
def test_sessions_are_what_going_through_the_events_gives(events: list[Event], gap: int, least: int) -> None:
    params = replace(ALL, gap_minutes=gap, minimum_length=least)
    expected, found = naive(events, params), sessions_of(events, params)
    assert shown(events, params) == [[key_of(text) for text, _ in one["steps"]] for one in expected]
    users = list(dict.fromkeys(event[0] for event in events))
    assert [users[number] for number in found.users] == [one["user"] for one in expected]
    assert found.starts.tolist() == [max(one["start"] * MINUTE, NO_TIME) for one in expected]
    times = [minutes * MINUTE for one in expected for _, minutes in one["steps"]]
    assert found.step_times.tolist() == [max(time, NO_TIME) for time in times]
    steps = [(key_of(text), text, one["user"]) for one in expected for text, _ in one["steps"]]
    _, texts, _ = numbered(events)
    for row, text in enumerate(texts[number] for number in found.texts):
        mine = [step for step in steps if step[0] == key_of(text)]
        assert (found.counts[row], found.query_users[row]) == (len(mine), len({user for *_, user in mine}))
        users_of = {said: len({user for _, one, user in mine if one == said}) for _, said, _ in mine}
        counts, order = Counter(said for _, said, _ in mine), [said for _, said, _ in mine]
        assert text == max(users_of, key=lambda said: (users_of[said], counts[said], -order.index(said)))
    assert [key_of(texts[number]) for number in found.texts] == list(dict.fromkeys(key for key, *_ in steps))


@given(events=EVENTS)
@settings(max_examples=100, deadline=None)
def test_every_event_is_in_a_step_or_counted_as_left_out(events: list[Event]) -> None:
    found = sessions_of(events, replace(ALL, minimum_length=2))
    assert len(found.step_queries) + sum(found.figures.values()) == len(events)


def test_a_pause_of_exactly_the_gap_is_within_a_session() -> None:
    assert shown([("u", "", 0, "a"), ("u", "", 30, "b"), ("u", "", 61, "c")]) == [["a", "b"], ["c"]]
    found, *_ = numbered([("u", "", 0, "a"), ("u", "", 30, "b")])
    later = replace(found, times=found.times + np.array([0, 1]))
    assert cut(later, ALL, hashes=np.zeros(0, np.uint64)).step_sessions.tolist() == [0, 1]


def test_a_session_goes_on_over_midnight_and_over_repeated_queries() -> None:
    before = 24 * 60 - 10
    assert shown([("u", "", before, "a"), ("u", "", before + 25, "b")]) == [["a", "b"]]
    assert shown([("u", "", 0, "a"), ("u", "", 25, "A"), ("u", "", 50, "b")]) == [["a", "b"]]


def test_unordered_events_are_sorted_by_time_and_equal_times_stay_in_order() -> None:
    assert shown([("u", "", 9, "c"), ("v", "", 3, "b"), ("u", "", 1, "a")]) == [["a", "c"], ["b"]]
    assert shown([("u", "", 5, "b"), ("u", "", 5, "c"), ("u", "", 5, "a")]) == [["b", "c", "a"]]


def test_named_sessions_are_not_cut_and_two_users_may_name_one_alike() -> None:
    assert shown([("u", "s", 0, "a"), ("v", "s", 1, "c"), ("u", "s", 500, "b")]) == [["a", "b"], ["c"]]
    assert shown([("u", "s", 7, "a"), ("u", "s", None, "b"), ("u", "s", 1, "c")]) == [["a", "b", "c"]]


def test_a_user_with_one_event_counts_only_where_sessions_of_one_query_do() -> None:
    events: list[Event] = [("u", "", 0, "a"), ("v", "", 0, "a"), ("v", "", 1, "b")]
    assert shown(events) == [["a"], ["a", "b"]]
    assert shown(events, replace(ALL, minimum_length=2)) == [["a", "b"]]


def test_the_latest_sessions_are_held_out() -> None:
    events: list[Event] = [(f"u{number}", "", 1000 - number, "a") for number in range(20)]
    found = sessions_of(events, replace(ALL, validation_share=0.05, test_share=0.1))
    assert np.bincount(found.splits).tolist() == [17, 1, 2]
    assert found.splits.tolist() == sorted(found.splits.tolist())
    assert sessions_of([], ALL).users.tolist() == []


def test_sessions_without_a_time_are_for_training_beside_those_with_one() -> None:
    events: list[Event] = [("u", "s", None, "a"), ("v", "", 1, "a"), ("w", "", 2, "b")]
    found = sessions_of(events, replace(ALL, test_share=0.5))
    assert [(user, SPLITS[split]) for user, split in zip(found.users, found.splits, strict=True)] == [
        (1, "training"),
        (2, "test"),
        (0, "training"),
    ]


def test_without_times_the_split_depends_on_the_queries_alone() -> None:
    rng = np.random.default_rng(3)
    texts = [f"{word}{number}" for word in "xyz" for number in range(30)]
    events: list[Event] = [("u", f"s{n}", None, texts[i]) for n in range(3000) for i in rng.integers(0, 90, 2)]
    params = replace(ALL, minimum_length=2, validation_share=0.05, test_share=0.1)

    def by_queries(events: list[Event]) -> dict[tuple[str, ...], int]:
        splits = sessions_of(events, params).splits
        return {tuple(queries): int(split) for queries, split in zip(shown(events, params), splits, strict=True)}

    first = by_queries(events)
    shares = np.bincount(list(first.values())) / len(first)
    assert shares == pytest.approx([0.85, 0.05, 0.1], abs=0.02)
    other = by_queries([("other", "2" + session, None, text) for _, session, _, text in events[600:1200]])
    assert all(first[queries] == split for queries, split in other.items())
    reversed_too = [(first[q], first[q[::-1]]) for q in first if q[::-1] in first and len(set(q)) > 1]
    assert any(one != other for one, other in reversed_too)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gap_minutes": 0},
        {"gap_minutes": float("nan")},
        {"minimum_length": 0},
        {"test_share": -0.1},
        {"validation_share": 0.5, "test_share": 0.5},
    ],
)
def test_parameters_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SessionParams(**wrong)  # type: ignore[arg-type]


def pairs_of(lengths: list[int], times: list[int], params: PairParams) -> Pairs:
    sessions = np.repeat(np.arange(len(lengths)), lengths).astype(np.uint32)
    queries = np.arange(len(sessions)).astype(np.uint32)
    rows = np.where(queries % 2, queries, -1).astype(np.int32)
    return pair(sessions, queries, np.array(times, dtype=np.int64), rows, params, newest=max(times, default=-1))


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), max_size=8), before=st.integers(1, 4))
def test_a_pair_has_the_queries_before_it_the_most_recent_first(lengths: list[int], before: int) -> None:
    found = pairs_of(lengths, [-1] * sum(lengths), PairParams(before))
    expected, at = [], 0
    for session, length in enumerate(lengths):
        for step in range(1, length):
            expected.append((session, at + step, [at + step - back for back in range(1, min(step, before) + 1)]))
        at += length
    rows = [found.previous[a:b].tolist() for a, b in zip(found.indptr[:-1], found.indptr[1:], strict=True)]
    assert list(zip(found.sessions.tolist(), found.nexts.tolist(), rows, strict=True)) == expected
    assert found.suggestions.tolist() == [q if q % 2 else -1 for _, q, _ in expected]
    assert (found.weights == 1).all()


def test_an_old_pair_counts_less() -> None:
    day = 24 * 60 * MINUTE
    found = pairs_of([4], [0, 0, 10 * day, 20 * day], PairParams(half_life_days=10))
    assert found.weights.tolist() == [0.25, 0.5, 1.0]
    assert (pairs_of([3], [0, 5 * day, 9 * day], PairParams(half_life_days=0)).weights == 1).all()
    with pytest.raises(ValueError, match="previous"):
        PairParams(previous=0)
