"""The stages from a query log to pairs, without Prefect."""

from pathlib import Path

import pytest

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import InputError, QuarantineLimitError
from fingerpost.schemas.inputs.blocked_queries import BlockedQueries
from fingerpost.schemas.inputs.events import EventFile
from fingerpost.schemas.inputs.suppression import hashed_key
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.matching import matching_key
from fingerpost.tasks.autocomplete.pairs import PairParams
from fingerpost.tasks.autocomplete.sessions import SessionParams
from fingerpost.tasks.autocomplete.stages.events import import_events
from fingerpost.tasks.autocomplete.stages.final import include_held_out_sessions
from fingerpost.tasks.autocomplete.stages.sessions import cut_sessions, pair_queries, select_suggestions
from fingerpost.tasks.autocomplete.suggestions import SuggestionParams
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from tests.unit.autocomplete.logs import SALT, log, shop, world


def chain(env: Environment, path: str, *, salt: bytes = SALT, least: int = 2) -> dict[str, Ref]:
    refs = {"events": import_events.execute(env, EventFile(path, salt=salt), params=ImportParams())}
    refs["sessions"] = cut_sessions.execute(env, refs["events"], params=SessionParams())
    refs["suggestions"] = select_suggestions.execute(
        env, refs["sessions"], params=SuggestionParams(least, half_life_days=0)
    )
    refs["pairs"] = pair_queries.execute(env, refs["sessions"], refs["suggestions"], params=PairParams())
    return refs


def quality(env: Environment, ref: Ref) -> dict[str, object]:
    return dict(env.store.manifest(ref).identity["quality"])


def test_a_log_becomes_sessions_suggestions_and_pairs(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = chain(env, log(tmp_path, shop()))
    assert quality(env, refs["events"]) == {
        "events": 120,
        "empty": 0,
        "users": 40,
        "quarantined": 0,
        "quarantine_share": 0.0,
    }
    counts = quality(env, refs["sessions"])
    assert (counts["sessions"], counts["steps"], counts["users"], counts["queries"]) == (40, 120, 40, 8)
    assert (counts["training"], counts["validation"], counts["test"]) == (34, 2, 4)
    queries = env.store.open(refs["sessions"], contracts.SESSIONS).read("queries").to_pylist()
    (hammer,) = [row for row in queries if row["key"] == "hammer"]
    assert hammer == {"query": "hammer", "key": "hammer", "count": 27, "users": 27}

    rows = env.store.open(refs["suggestions"], contracts.SUGGESTIONS).read("suggestions").to_pylist()
    assert [row["key"] for row in rows] == sorted(matching_key(row["query"]) for row in rows)
    assert quality(env, refs["suggestions"]) == {
        "suggestions": 8,
        "least_users": min(row["users"] for row in rows),
        "withheld": 0,
        "blocked": 0,
    }
    pairs = env.store.open(refs["pairs"], contracts.PAIRS).read("pairs").to_pylist()
    assert len(pairs) == 80
    texts = [row["query"] for row in queries]
    for pair in pairs:
        assert rows[pair["suggestion"]]["query"] == texts[pair["next"]]
    assert {tuple(texts[row] for row in (*pair["previous"][::-1], pair["next"])) for pair in pairs} >= {
        ("hammer", "nails"),
        ("hammer", "nails", "wood"),
        ("red paint", "brush", "ladder"),
    }
    assert quality(env, refs["pairs"]) == {
        "pairs": 80,
        "training": 68,
        "validation": 4,
        "test": 8,
        "trainable": 68,
        "previous": 120,
    }


def test_what_follows_the_events_is_the_same_for_every_salt(tmp_path: Path) -> None:
    path = log(tmp_path, shop())
    first, other = world(tmp_path / "a"), world(tmp_path / "b")
    ours, theirs = chain(first, path), chain(other, path, salt=b"another salt")
    for name, ref in ours.items():
        assert ref == theirs[name]
        one, two = (e.store.manifest(ref).identity for e in (first, other))
        assert (one["files"] == two["files"]) == (name != "events")
    users = first.store.open(ours["events"], contracts.EVENTS).read("events")["user"].to_pylist()
    assert users[0] == hashed_key(SALT, "customer-0")


def test_held_out_sessions_make_no_suggestion_but_in_the_final_training(tmp_path: Path) -> None:
    late = [(f"late-{number}", "2026-02-01 00:00:00", query) for number in range(3) for query in ("new", "news")]
    env = world(tmp_path)
    refs = chain(env, log(tmp_path, [*shop(), *late]))

    def keys(ref: Ref) -> list[str]:
        return list(env.store.open(ref, contracts.SUGGESTIONS).read("suggestions")["key"].to_pylist())

    assert "new" not in keys(refs["suggestions"])
    every = include_held_out_sessions.execute(env, refs["sessions"])
    assert "new" in keys(select_suggestions.execute(env, every, params=SuggestionParams()))


def test_blocked_queries_are_not_suggested_in_any_spelling(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = chain(env, log(tmp_path, shop()))
    blocked = BlockedQueries(log(tmp_path / "blocked", [["HAMMER"], [" Red_Paint "]], ["query"]))
    ref = select_suggestions.execute(env, refs["sessions"], blocked, params=SuggestionParams())
    keys = env.store.open(ref, contracts.SUGGESTIONS).read("suggestions")["key"].to_pylist()
    assert not {"hammer", "red paint"} & set(keys)
    assert quality(env, ref)["blocked"] == 2
    assert "HAMMER" not in str(env.store.manifest(ref).identity)


def test_too_many_bad_rows_and_too_few_sessions_are_refused(tmp_path: Path) -> None:
    env = world(tmp_path)
    path = log(tmp_path / "bad", [("anna", "2026-01-01", "hammer"), ("anna", "yesterday", "secret text")])
    with pytest.raises(QuarantineLimitError, match=r"1 bad and 1 good .*time not understood") as refused:
        import_events.execute(env, EventFile(path, salt=SALT), params=ImportParams())
    assert "anna" not in str(refused.value)
    assert "secret" not in str(refused.value)
    reason = env.store.open(Ref.parse(str(refused.value).split("quarantine ")[1].split("`")[0]), QUARANTINE)
    assert reason.read("rows").to_pylist()[0]["row"] == 1
    single = log(tmp_path / "single", [("anna", "2026-01-01", "hammer")])
    events = import_events.execute(env, EventFile(single, salt=SALT), params=ImportParams())
    with pytest.raises(InputError, match="minimum_length"):
        cut_sessions.execute(env, events, params=SessionParams())
