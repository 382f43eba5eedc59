"""Every kind of file of a store, damaged in each of ten ways: each command ends in a result or one line, and nothing else goes.

Records of every kind are in a store of toys; runs, days and artifacts in one of every product with two days
(tests/golden). Each damage is undone before the next one.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer

from fingerpost.flows.cli import app
from fingerpost.flows.ops.backfill.record import Backfill, BackfillRequest, Control
from fingerpost.flows.ops.erase.affected import Affected
from fingerpost.flows.run.alerts import Alert, raise_alert
from fingerpost.flows.run.day_states import DayState, keep_states
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.schedule_pause import end_schedule
from fingerpost.schemas import records
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.files import Listed
from fingerpost.schemas.forgotten import Forgotten, Journal
from fingerpost.schemas.leases import COLLECTING, RUNNING, lease
from fingerpost.schemas.pins import pin
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.refs import digest_of
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.remembered import Remembered, remember_inputs
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.ledger import Ledger
from tests.golden.make_store_of_0_1 import COLLECTION, DAYS, STORE
from tests.ops.test_store_of_before import ARCHIVE
from tests.ops.watched import run_here
from tests.worlds import THINGS, publish_things, things_ref

Damage = Callable[[bytes], bytes]


def changed(value: Any, leaf: Callable[[Any], Any], key: Callable[[str], str] = str) -> Any:
    """A value with other leaves and keys."""
    if isinstance(value, dict):
        return {key(name): changed(item, leaf, key) for name, item in value.items()}
    return [changed(item, leaf, key) for item in value] if isinstance(value, list) else leaf(value)


def as_json(change: Callable[[Any], Any]) -> Damage:
    """The damage that changes the value of a record, and signs it where it was signed."""

    def damaged(content: bytes) -> bytes:
        try:
            value = json.loads(content)
        except ValueError:
            return change(content.hex()).encode() if isinstance(change("a"), str) else content[::-1]
        signed = isinstance(value, dict) and "sha256" in value and "format" in value
        rest = {name: item for name, item in value.items() if name not in {"sha256", "format"}} if signed else value
        body = change(rest)
        if signed and isinstance(body, dict):
            body = {"format": value["format"], **body}
            body["sha256"] = digest_of(body)
        return json.dumps(body).encode()

    return damaged


def number(value: Any) -> Any:
    """Another count in place of one."""
    return -value - 1 if isinstance(value, int | float) and not isinstance(value, bool) else value


WAYS: dict[str, Damage] = {
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "doubled": lambda content: content * 2,
    "renamed": lambda content: content,
    "other keys": as_json(lambda value: changed(value, lambda leaf: leaf, lambda key: f"{key}_")),
    "other types": as_json(lambda value: changed(value, lambda leaf: [leaf])),
    "other counts": as_json(lambda value: changed(value, number)),
    "not UTF-8": lambda content: content.replace(b'"', b"\xff", 3) if b'"' in content else b"\xff" + content,
    "deeply nested": lambda content: b'{"a":' * 50_000,
    "a stranger beside it": lambda content: content,
}

STATUS, HISTORY, BACKFILLS, METRICS = ("status",), ("history",), ("backfill", "list"), ("metrics", "--once")
GC, DRY_GC, ROLLBACK = ("gc", "--keep-days", "36500"), ("gc", "--dry-run"), ("rollback", "--product", THINGS.name)
LINEAGE, DIFF = ("lineage", "-c", COLLECTION), ("diff", "live~1", "live", "-c", COLLECTION)
FRESH = ("freshness", "--flow", "nightly", "-c", COLLECTION)
FORGET = ("forget", "sorting-0", "--dry-run", "-c", COLLECTION)
ASK = ("query", "quick sort", "-c", "toys")
QUERY, RANK = ("query", "quick sort", "-c", COLLECTION), ("rank", "red hammer", "-c", COLLECTION)
#: Commands that take long are tried on damages that parse.
SLOW, PARSES = {DIFF, FORGET}, {"other types"}

#: A file of each kind, and the commands that read it.
Kinds = dict[str, tuple[str, tuple[tuple[str, ...], ...]]]


def toys(store: Store) -> Kinds:
    """Makes a store with records of every kind but those of runs."""
    first, second = (publish_things(store, seed) for seed in (1, 2))
    Ledger(store, "toys").note(THINGS.name, second.artifact)
    pin(store, first.artifact, reason="dear")
    with lease(store, "20260105t030405000-abcdef", flow="nightly") as held:
        record = store.files.read(f"{RUNNING}/{held.run}.json")
    store.files.write(f"{RUNNING}/{held.run}.json", record)
    store.files.write(f"{COLLECTING}/gc-abcdef.json", record.replace(held.process.encode(), b"1"))
    request = BackfillRequest.of(first_day=DAYS[0], last_day=DAYS[1], run=RunRequest(store=store.url, profile="tiny"))
    backfill = Backfill.create(store, request, DAYS)
    backfill.claim(Control("running", 1, DAYS), DAYS[0], "worker")
    backfill.note_crashes({DAYS[0]: 1})
    raise_alert(store, Alert("late", "nightly", "toys", DAYS[1], "late"))
    Forgotten(store, "toys").add("gone")
    remember_inputs(store, "toys", {"input.source": Remembered({"input.source": "/in/toys.csv"}, DAYS[1], "run")})
    job = Journal(store, "toys", "gone")
    job.save({"affected": asdict(Affected("gone", ["toys"])), "needles": [], "made": {}, "failed": {}})
    store.files.write(f"{backfill.workers}/worker.json", record)
    work = Workspace(store, things_ref(9))
    work.finish_shard(0, [], {})
    pointer, forgotten = f".published/toys/{THINGS.name}", Forgotten(store, "toys").folder
    (pinned,), (alert,), (key,) = (store.files.names(folder) for folder in (".pins", ".alerts", forgotten))
    forget = ("forget", "gone", "--dry-run", "-c", "toys")
    return {
        "store.json": ("store.json", (STATUS,)),
        "live pointer": (f"{pointer}/00000002.json", (STATUS, METRICS, GC, ROLLBACK)),
        "earlier pointer": (f"{pointer}/00000001.json", (HISTORY, GC, ROLLBACK)),
        "manifest": (f"{second.ref}/manifest.json", (GC, ROLLBACK)),
        "hint": (f".index/toys/{THINGS.name}.json", (GC,)),
        "pin": (f".pins/{pinned}", (GC,)),
        "lease": (f"{RUNNING}/{held.run}.json", (GC,)),
        "collector": (f"{COLLECTING}/gc-abcdef.json", (DRY_GC,)),
        "request of a backfill": (f"{backfill.folder}/request.json", (BACKFILLS,)),
        "control of a backfill": (f"{backfill.folder}/control.json", (BACKFILLS,)),
        "claim of a backfill": (f"{backfill.folder}/claims-1/{DAYS[0]}.json", (BACKFILLS,)),
        "crashes of a backfill": (f"{backfill.folder}/crashes.json", (BACKFILLS,)),
        "alert": (f".alerts/{alert}", (METRICS,)),
        "forgotten key": (f"{forgotten}/{key}", (forget,)),
        "job that forgets": (job.path, (forget,)),
        "worker of a backfill": (f"{backfill.workers}/worker.json", (BACKFILLS,)),
        "salt": (".forgotten/salt.json", (forget,)),
        "inputs": (".inputs/toys.json", (STATUS, ("config", "--profile", "tiny", "-c", "toys"))),
        "shard at work": (f"{work.folder}/shard-00000.json", (GC,)),
    }


def nights(store: Store) -> Kinds:
    """The records of runs and days, and the artifacts of a store that nightlies made."""
    index = Pointer(store, COLLECTION, "ann.index").required().artifact
    documents = read_members(store, index)["documents"]
    keep_states(store, "nightly", COLLECTION, [DayState(DAYS[1], "fresh")], now=datetime(2026, 1, 7, tzinfo=UTC))
    end_schedule(store, "nightly", COLLECTION, day=DAYS[1])
    return {
        "states of days": (f".states/nightly/{COLLECTION}.json", (METRICS,)),
        "end of a schedule": (f".schedules/nightly/{COLLECTION}.json", (METRICS,)),
        "run": (f".runs/{store.files.names('.runs')[1]}", (STATUS, HISTORY, LINEAGE, DIFF, FORGET)),
        "day": (f".partitions/nightly/{COLLECTION}/{DAYS[1]}.json", (FRESH,)),
        "manifest of what is live": (f"{index}/manifest.json", (QUERY, LINEAGE)),
        "manifest of a member": (f"{documents}/manifest.json", (QUERY,)),
        "data of a member": (store.manifest(documents).files[0].path, (QUERY, FORGET)),
    }


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Store, Kinds]]:
    folder = tmp_path_factory.mktemp("damaged")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    stores = Store(str(folder / "toys")).prepare(), Store(str(folder / STORE)).checked()
    return [(stores[0], toys(stores[0])), (stores[1], nights(stores[1]))]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with an index of texts in the form of this version."""
    return run_here(tmp_path_factory.mktemp("asked"))[0]


@contextmanager
def damaged(store: Store, path: str, way: str) -> Iterator[None]:
    """The store while one file is damaged; at the end, that file is whole and files beside it are gone."""
    place = Path(store.files.path(path))
    content, beside = place.read_bytes(), place.with_name(f"{place.name}~")
    place.write_bytes(WAYS[way](content))
    if way == "renamed":
        place.rename(beside)
    elif way == "a stranger beside it":
        beside.write_bytes(content)
        place.with_name(".DS_Store").write_bytes(b"\x00\xff")
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)
        place.with_name(".DS_Store").unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


#: `app` makes its command anew for each call.
COMMAND = typer.main.get_command(app)


def told(*arguments: str) -> str:
    """What a command says, in the end as an error of one line; any other error is raised."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out), mock.patch.object(records, "_named", set()):
        try:
            COMMAND.main(list(arguments), standalone_mode=False)
        except typer.Exit:
            pass
        except FingerpostError as problem:
            out.write(str(problem))
    return out.getvalue()


@pytest.mark.parametrize("way", WAYS)
def test_whatever_file_is_damaged_commands_end_in_a_result_or_name_it(
    worlds: list[tuple[Store, Kinds]], way: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for store, kinds in worlds:
        monkeypatch.setenv("FINGERPOST_STORE", store.url)
        live = {product: Pointer(store, *product).required() for product in products(store)}
        for kind, (path, commands) in kinds.items():
            whole = others(store, path)
            for command in commands:
                if command in SLOW and way not in PARSES:
                    continue
                caplog.clear()
                with damaged(store, path, way):
                    said = told(*command) + caplog.text
                    check(store, kind, way, command, path, said)
                    if command == ROLLBACK:
                        store.files.remove_file(f".published/toys/{THINGS.name}/00000003.json")
                assert others(store, path) == whole, (kind, command)
        assert {product: Pointer(store, *product).required() for product in live} == live


@pytest.mark.parametrize(
    ("product", "role", "part", "command"),
    [
        ("ann.index", "", "quality", ASK),
        ("ann.index", "", "measured", ASK),
        ("ann.index", "packed_texts", "quality", ASK),
        ("xmr.ranker", "features", "parameters", RANK),
        ("xmr.ranker", "", "quality", RANK),
        ("xmr.ranker", "model", "quality", RANK),
    ],
)
@pytest.mark.parametrize("way", ["gone", "other types"])
def test_values_of_a_manifest_that_nobody_wrote_are_named(
    worlds: list[tuple[Store, Kinds]],
    asked: Store,
    monkeypatch: pytest.MonkeyPatch,
    product: str,
    role: str,
    part: str,
    command: tuple[str, ...],
    way: str,
) -> None:
    store = asked if command == ASK else worlds[1][0]
    monkeypatch.setenv("FINGERPOST_STORE", store.url)
    ref = Pointer(store, command[-1], product).required().artifact
    ref = read_members(store, ref)[role] if role else ref
    place = Path(store.files.path(f"{ref}/manifest.json"))
    whole = place.read_bytes()
    manifest = store.manifest(ref)
    values: Any = manifest.run if part == "measured" else manifest.identity
    values[part] = {} if way == "gone" else changed(values[part], lambda leaf: [leaf])
    place.write_bytes(manifest.encode())
    try:
        assert str(ref) in told(*command)
    finally:
        place.write_bytes(whole)


#: The kinds of files whose damage must be named by every one of their commands if they do not parse.
NAMED = {
    "inputs",
    "job that forgets",
    "salt",
    "worker of a backfill",
    "states of days",
    "end of a schedule",
    "store.json",
    "live pointer",
    "run",
    "pin",
    "lease",
    "collector",
    "alert",
    "manifest of what is live",
}
NO_RECORD = {"cut", "emptied", "doubled", "not UTF-8", "deeply nested", "other keys", "other types"}


def check(store: Store, kind: str, way: str, command: tuple[str, ...], path: str, said: str) -> None:
    """What a command said over a damaged file names it, or is a result."""
    named = path in said or path.removesuffix("/manifest.json") in said
    assert "Traceback" not in said, (kind, command)
    assert named or not (kind in NAMED and way in NO_RECORD), (kind, command, said)
    if command == ROLLBACK:
        moved = store.files.size(f".published/toys/{THINGS.name}/00000003.json") is not None
        assert moved == ("is live again" in said), (kind, said)


def others(store: Store, path: str) -> dict[str, Listed]:
    """The files of a store without one of them, and without reports."""
    listing = store.files.listing()
    return {found: listing[found] for found in listing if found != path and not found.startswith("reports/")}
