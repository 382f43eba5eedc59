"""Suggestions: enough users, nothing blocked, in the order of their keys."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.autocomplete.suggestions import (
    SuggestionParams,
    Suggestions,
    decayed,
    is_blocked,
    looks_personal,
    select,
)

DAY = 86_400_000_000
TEXTS = ["Hammer", "hammer drill", "ä", "z", "😀", "￿", "b c"]


def selected(
    steps: list[tuple[int, int, int]], params: SuggestionParams, blocked: set[str] | None = None
) -> Suggestions:
    queries, users, times = (
        (np.array(column, dtype=np.int64) for column in zip(*steps, strict=True))
        if steps
        else (np.zeros(0, np.int64),) * 3
    )
    keys = [text.lower() for text in TEXTS]
    return select(TEXTS, keys, (queries, users, times), params, blocked=blocked or set())


STEPS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(-1, 90)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, least=st.integers(1, 4), half_life=st.sampled_from([0.0, 1.0, 30.0]))
def test_a_suggestion_has_enough_distinct_users(
    steps: list[tuple[int, int, int]], least: int, half_life: float
) -> None:
    days = [(query, user, day * DAY if day >= 0 else -1) for query, user, day in steps]
    found = selected(days, SuggestionParams(least, half_life), {"z"})
    users, weights = defaultdict(set), defaultdict(float)
    newest = max((day for *_, day in steps), default=0)
    for query, user, day in steps:
        users[query].add(user)
        weights[query] += 0.5 ** ((newest - day) / half_life) if half_life and day >= 0 else 1.0
    enough = [row for row in users if len(users[row]) >= least]
    expected = sorted((row for row in enough if TEXTS[row] != "z"), key=lambda row: TEXTS[row].lower().encode())
    assert found.rows.tolist() == expected
    assert found.users.tolist() == [len(users[row]) for row in expected]
    assert found.weights == pytest.approx([weights[row] for row in expected], rel=1e-5, abs=1e-7)
    assert (found.withheld, found.blocked) == (len(users) - len(enough), len(enough) - len(expected))


def test_neither_events_nor_sessions_of_one_user_make_a_suggestion() -> None:
    once = [(0, 7, minute) for minute in range(1000)]
    assert not len(selected(once, SuggestionParams()).rows)
    assert selected([*once, (0, 8, 0)], SuggestionParams()).rows.tolist() == [0]


def test_weights_do_not_depend_on_the_order_of_events() -> None:
    rng = np.random.default_rng(5)
    times = rng.integers(0, 400 * DAY, 20_000)
    weights = decayed(times, 17.3)
    assert (weights > 0).all()
    assert weights.max() == 1
    assert weights.sum() == decayed(times[::-1], 17.3).sum() == np.add.reduce(rng.permutation(weights))
    assert decayed(np.array([0, 10 * DAY]), 10.0, newest=0).tolist() == [1, 1]


PERSONAL = [
    "mail anna.b@example.org",
    "anna@example.co.uk",
    "call 5551234567",
    "call (030) 123-4567",
    "+49 30 1234567",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "123-45-6789",
    "DE89 3704 0044 0532 0130 00",
    "born 12.03.1975",
    "٠١٢٣٤٥٦٧",
    "https://anna:secret@host.example/path",
    "ftp://:pw@host",
    "site.example?api_key=abc",
    "password: hunter2",
]
HARMLESS = [
    "hammer",
    "numpy.zeros",
    "iphone 15 pro max 256",
    "songs 1990-2000",
    "season 2019/2020",
    "python 3.12.1",
    "price 100000",
    "@numpy",
    "a @ b",
    "https://host.example:8080/path",
    "token",
    "forgot password",
    "天气预报",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_is_blocked(text: str) -> None:
    assert looks_personal(text)
    assert is_blocked(text, text.lower(), frozenset())
    assert not is_blocked(text, text.lower(), frozenset(), patterns=False)
    assert is_blocked("shown differently", text.lower(), frozenset())


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_not_blocked(text: str) -> None:
    assert not looks_personal(text)
    assert is_blocked(text, text, {text})


@pytest.mark.parametrize("wrong", [{"min_users": 0}, {"half_life_days": -1.0}, {"half_life_days": float("inf")}])
def test_parameters_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SuggestionParams(**wrong)  # type: ignore[arg-type]
