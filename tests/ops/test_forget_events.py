"""A forgotten user and a forgotten query, whatever its length and spelling: found everywhere, left out, and proven absent."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Domain
from fingerpost.flows.ops.erase.absence import Absence, Needles, needles_of, search
from fingerpost.flows.ops.erase.affected import affected_by, rows_about, tables_with_keys, wanted_keys
from fingerpost.flows.ops.erase.inputs import texts_of
from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas.forgotten import salt_of
from fingerpost.schemas.inputs.events import DailyEvents, EventFile
from fingerpost.schemas.inputs.stored_days import StoredDay
from fingerpost.schemas.inputs.stored_events import StoredEvents
from fingerpost.schemas.inputs.suppression import hashed_key
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.autocomplete.pairs import PairParams
from fingerpost.tasks.autocomplete.sessions import SessionParams
from fingerpost.tasks.autocomplete.stages.events import import_daily_events, import_events, merge_daily_events
from fingerpost.tasks.autocomplete.stages.sessions import cut_sessions, pair_queries, select_suggestions
from fingerpost.tasks.autocomplete.suggestions import SuggestionParams
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from tests.unit.autocomplete.logs import log, shop, world

AUTOCOMPLETE = Domain(
    word="autocomplete",
    flow="fingerpost.flows.train_autocomplete:train_autocomplete",
    spelled="fingerpost.tasks.autocomplete.matching:matching_key",
)
#: What one user alone asked, among it queries of less than six bytes; and what two users asked in several spellings.
PLANTED = [
    ("u7", "2026-01-05 09:00:00", "zqx"),
    ("u7", "2026-01-05 09:01:00", "hammer"),
    ("u7", "2026-01-05 09:02:00", "wish of u-seven"),
    ("u8", "2026-01-05 10:00:00", "Ärm_x"),
    ("u8", "2026-01-05 10:01:00", "hammer"),
    ("u9", "2026-01-05 11:00:00", "arm  X"),
    ("u9", "2026-01-05 11:01:00", "nails"),
    ("u9", "2026-01-05 11:02:00", "type_"),
    ("u9", "2026-01-05 11:03:00", "Type"),
]
#: Keys, and the number of events that go with each.
KEYS = [
    ("type", 1),
    ("type_", 1),
    ("u7", 3),
    ("zqx", 1),
    ("ZQX ", 1),
    ("arm x", 2),
    ("wish-of U seven", 1),
    ("customer-3", 3),
]


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(domain for domain in domains.DOMAINS if domain.word != "autocomplete")
    monkeypatch.setattr(domains, "DOMAINS", (*others, AUTOCOMPLETE))


def trained(env: Environment, events: Ref) -> dict[str, Ref]:
    """What is made of events, every query a suggestion."""
    sessions = cut_sessions.execute(env, events, params=SessionParams(test_share=0.0, validation_share=0.0))
    suggestions = select_suggestions.execute(env, sessions, params=SuggestionParams(1))
    pairs = pair_queries.execute(env, sessions, suggestions, params=PairParams())
    return {"events": events, "sessions": sessions, "suggestions": suggestions, "pairs": pairs}


def imported(folder: Path) -> tuple[Environment, dict[str, Ref]]:
    env = world(folder)
    source = EventFile(log(folder, [*shop(), *PLANTED]), salt=salt_of(env.store))
    return env, trained(env, import_events.execute(env, source, params=ImportParams()))


def needles(store: Store, key: str, refs: Sequence[Ref]) -> Needles:
    """What an erasure of the key searches, where these artifacts hold it."""
    wanted, texts = wanted_keys(store, key), []
    tables = {}
    for ref in refs:
        found = tables_with_keys(str(ref), store.manifest(ref), also=["query"])
        tables |= found
        for path, table in found.items():
            rows = rows_about(store.files.read(path), wanted, table, where=path)
            texts += [text for row in rows for text in texts_of(row, wanted)]
    return needles_of(store, wanted, key.strip(), texts, tables, [])


def held_by(store: Store, key: str) -> dict[str, int]:
    found = affected_by(store, key, "shop")
    assert set(found.condemned) >= set(found.holders)
    return {ref.split("/")[0]: count for ref, count in found.holders.items()}


@pytest.mark.parametrize(("key", "count"), KEYS)
def test_what_holds_a_key_is_found_and_a_store_without_it_is_proven(tmp_path: Path, key: str, count: int) -> None:
    env, refs = imported(tmp_path / "first")
    held = held_by(env.store, key.strip())
    assert held["autocomplete.events"] == count
    users = key.startswith(("u7", "customer"))
    assert ("autocomplete.suggestions" in held) == ("autocomplete.sessions" in held) == (not users)

    looked_for = needles(env.store, key.strip(), [refs["events"]])
    found = search(env.store, looked_for)
    assert {path.split("/")[0] for path in found.findings} >= {"autocomplete.events", *held}

    other = world(tmp_path / "second")
    source = StoredEvents(env.store, refs["events"], wanted_keys(env.store, key.strip()))
    kept = trained(other, import_events.execute(other, source, params=ImportParams()))
    rows = other.store.open(kept["events"], contracts.EVENTS).read("events")
    assert rows.num_rows == 120 + len(PLANTED) - count
    assert search(other.store, looked_for).findings == []
    assert held_by(other.store, key.strip()) == {}
    by_file = EventFile(
        log(tmp_path / "third", [*shop(), *PLANTED]),
        suppressed=wanted_keys(env.store, key.strip()),
        salt=salt_of(env.store),
    )
    assert by_file.read().accepted.equals(rows)
    assert source.identity() != StoredEvents(env.store, refs["events"], wanted_keys(env.store, "other")).identity()


def planted(store: Store, looked_for: Needles, name: str, table: str, rows: pa.Table) -> Absence:
    """The search while a file is in the store that holds a remain."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    path = f"{name}/day=2026-01-02/{'0' * 32}/{table}-00000-{'0' * 12}.parquet"
    store.files.write(path, sink.getvalue().to_pybytes())
    try:
        return search(store, looked_for)
    finally:
        store.files.remove_file(path)


def test_remains_of_short_keys_are_found_as_cells_and_parts_of_other_texts_are_none(tmp_path: Path) -> None:
    env, refs = imported(tmp_path / "first")
    other = world(tmp_path / "second")
    looked_for, wanted = needles(env.store, "zqx", [refs["events"]]), wanted_keys(env.store, "zqx")
    import_events.execute(other, StoredEvents(env.store, refs["events"], wanted), params=ImportParams())
    assert search(other.store, looked_for).findings == []
    texts = pa.table({"query": ["hammer", "Zqx"], "key": ["hammer", "zqx"]})
    for name, table, rows in (
        ("autocomplete.sessions", "queries", texts),
        ("autocomplete.sessions", "queries", texts.select(["key"])),
        ("autocomplete.suggestions", "suggestions", texts.select(["query"])),
        ("autocomplete.vocabulary", "terms", pa.table({"family": ["prefix"], "term": ["zqx"]})),
        ("autocomplete.weak_prefixes", "prefixes", pa.table({"prefix": ["zqx"]})),
        ("autocomplete.events", "events", pa.table({"user": ["0" * 32], "session": [""], "query": ["ZQX"]})),
    ):
        assert len(planted(other.store, looked_for, name, table, rows).findings) == 1, (name, rows)
        harmless = pa.table({column: ["hammer"] * rows.num_rows for column in rows.column_names})
        assert planted(other.store, looked_for, name, table, harmless).findings == []
    assert looked_for.parts == ("zqx",)
    # A part of other queries is nothing of the key.
    assert needles(env.store, "ham", [refs["events"]]).parts == ()


def test_the_hash_of_a_user_is_found_wherever_it_stands_but_in_the_list_of_the_forgotten(tmp_path: Path) -> None:
    env, refs = imported(tmp_path)
    looked_for, cell = needles(env.store, "u7", [refs["events"]]), hashed_key(salt_of(env.store), "u7")
    domains.forgotten(env.store, "shop").add("u7")
    assert all(not path.startswith(".forgotten/") for path in search(env.store, looked_for).findings)
    env.store.files.write(".runs/run.json", f'{{"said": "user {cell} asked"}}'.encode())
    assert ".runs/run.json" in search(env.store, looked_for).findings
    assert "wish of u-seven" in looked_for.distinct
    assert "hammer" not in looked_for.distinct


@pytest.mark.parametrize("key", ["u7", "zqx", "arm x"])
def test_a_remembered_key_is_left_out_of_files_days_and_stored_days(tmp_path: Path, key: str) -> None:
    env = world(tmp_path)
    domains.forgotten(env.store, "shop").add(key)
    suppressed = domains.forgotten(env.store, "shop").suppressed()
    assert suppressed is not None
    path, salt = log(tmp_path, PLANTED), salt_of(env.store)
    count = next(count for known, count in KEYS if known == key)
    assert EventFile(path, suppressed=suppressed, salt=salt).read().accepted.num_rows == len(PLANTED) - count
    day = import_daily_events.execute(env, DailyEvents(path, salt=salt), params=ImportParams())
    stored = StoredDay(env.store, day, contracts.DAILY_EVENTS, suppressed)
    assert stored.read().accepted.num_rows == len(PLANTED) - count
    assert stored.identity() != StoredDay(env.store, day, contracts.DAILY_EVENTS).identity()
    rest = import_daily_events.execute(env, stored, params=ImportParams())
    merged = merge_daily_events.execute(env, rest, params=ImportParams())
    assert env.store.open(merged, contracts.EVENTS).read("events").num_rows == len(PLANTED) - count
