"""Keys of users are in no byte of a store, and queries of one user only where they are needed."""

import logging
from pathlib import Path

import pytest

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.decoding import decoded_texts, holds
from fingerpost.schemas.errors import QuarantineLimitError
from fingerpost.schemas.forgotten import salt_of
from fingerpost.schemas.inputs.events import DailyEvents, EventFile
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.pairs import PairParams
from fingerpost.tasks.autocomplete.sessions import SessionParams
from fingerpost.tasks.autocomplete.stages.events import import_daily_events, import_events, merge_daily_events
from fingerpost.tasks.autocomplete.stages.sessions import cut_sessions, pair_queries, select_suggestions
from fingerpost.tasks.autocomplete.suggestions import SuggestionParams
from fingerpost.tasks.corpus.documents import ImportParams
from tests.unit.autocomplete.logs import log, shop, world

#: Keys of users and sessions; what one user alone asked; and what was in rows that are quarantined.
USERS = ("kunigunde-7301", "wolfram@example.org", "session-of-kunigunde")
SINGLE = ("eighteen purple zeppelins", "my rare ailment")
BAD = ("sent to quarantine", "kunigunde-bad-row")
ROWS = [
    *((user, "", moment, query) for user, moment, query in shop()),
    (USERS[0], USERS[2], "2026-01-05 09:00:00", SINGLE[0]),
    (USERS[0], USERS[2], "2026-01-05 09:01:00", "hammer"),
    (USERS[0], USERS[2], "2026-01-05 09:02:00", SINGLE[1]),
    *((USERS[0], "", f"2026-01-06 09:{minute:02d}:00", SINGLE[minute % 2]) for minute in range(30)),
    (USERS[1], "", "2026-01-05 09:00:00", "nails"),
    (USERS[1], "", BAD[0], BAD[0]),
    (BAD[1], "", "never", "nails"),
    (USERS[1], "", "2026-01-05 09:00:00", BAD[0] * 80),
]
COLUMNS = ("user", "session", "time", "query")


def where(store: Store, text: str) -> set[str]:
    """The contracts, or other folders, of the files that contain a text, in any case, decoded or not."""
    data, found = text.lower().encode(), set()
    for path in store.files.listing():
        content = store.files.read(path)
        hit = data in content.lower() or data in path.lower().encode()
        if path.endswith(".parquet"):
            hit = hit or any(holds(texts, form) for texts in decoded_texts(content) for form in (data, text.encode()))
        if hit:
            found.add(path.split("/")[0])
    return found


@pytest.mark.parametrize("days", [False, True], ids=["a file", "days"])
def test_no_key_of_a_user_is_in_a_store_and_single_queries_are_in_two_places(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, days: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    env, path, params = world(tmp_path), log(tmp_path, ROWS, COLUMNS), ImportParams()
    salt = salt_of(env.store)
    if days:
        day = import_daily_events.execute(env, DailyEvents(path, salt=salt), params=params)
        events = merge_daily_events.execute(env, day, params=params)
    else:
        events = import_events.execute(env, EventFile(path, salt=salt), params=params)
    sessions = cut_sessions.execute(env, events, params=SessionParams(test_share=0.0))
    suggestions = select_suggestions.execute(env, sessions, params=SuggestionParams())
    pair_queries.execute(env, sessions, suggestions, params=PairParams())
    with pytest.raises(QuarantineLimitError) as refused:
        import_events.execute(env, EventFile(path, salt=salt), params=ImportParams(quarantine_share=0.0))

    for text in (*USERS, *BAD):
        assert where(env.store, text) == set(), text
        assert text not in str(refused.value)
        assert text not in caplog.text
    imported = {"autocomplete.events"} | ({"autocomplete.daily_events"} if days else set())
    for text in SINGLE:
        assert where(env.store, text) == imported | {"autocomplete.sessions"}, text
        assert text not in str(refused.value)
    assert where(env.store, "nails") >= {"autocomplete.suggestions"}
    rows = env.store.open(suggestions, contracts.SUGGESTIONS).read("suggestions")
    assert min(rows["users"].to_pylist()) >= 2
    assert not set(SINGLE) & set(rows["query"].to_pylist())


def test_a_stranger_with_another_salt_cannot_tell_who_asked(tmp_path: Path) -> None:
    path = log(tmp_path, ROWS, COLUMNS)
    users = []
    for name in ("a", "b"):
        env = world(tmp_path / name)
        found = EventFile(path, salt=salt_of(env.store)).read().accepted["user"].to_pylist()
        assert all(len(user) == 32 for user in found)
        users.append(set(found))
    assert not users[0] & users[1]
    assert len(users[0]) == len(users[1]) == 42
