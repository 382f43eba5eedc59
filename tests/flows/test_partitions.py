"""The states of days, derived from the store: what makes each of them, and the calendar."""

import json
import logging
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import pytest

import fingerpost.tasks.code
from fingerpost.flows.ops.keep.quarantined import _newest
from fingerpost.flows.run import partitions
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.console import wide_console
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.partition_calendar import calendar, calendar_markdown
from fingerpost.flows.run.partitions import Partition, Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import known, run_flow
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import InputError, QuarantineLimitError
from fingerpost.schemas.leases import lease
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partition, save_partition
from tests.support.day_worlds import DAYS, FLOW, World, eventful_days, schedule, states_everywhere

pytestmark = pytest.mark.usefixtures("plain_runs")


@pytest.fixture(scope="module")
def world(plain_runs: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Day 1 is good, 2 has some bad rows, 3 too many, 4 an empty file, 5 none."""
    world = eventful_days(tmp_path_factory.mktemp("world"))
    schedule(Store(world.request().store), FLOW, "products")
    return world


def test_every_day_has_the_state_of_what_became_of_it(world: World) -> None:
    found = Partitions(FLOW, world.request()).of(DAYS)
    assert [one.state for one in found] == ["fresh", "fresh", "quarantined", "failed", "missing"]
    assert [one.quarantined for one in found] == [0, 2, 30, 0, 0]
    assert "found 30 bad of 60" in found[2].reason
    assert "expected rows, found an empty file" in found[3].reason
    assert found[4].reason.startswith("no input: ")
    assert (found[0].seconds, found[4].seconds) == (0.0, None)
    assert world.state("2025-12-31")[0] == "missing"


@pytest.mark.parametrize("days", ["snapshot", "window:2"])
@pytest.mark.parametrize(
    ("flow", "setting", "head", "row"),
    [
        ("featurize_corpus", "input.source", "id,title,text", "a-row-without-text,,"),
        ("train_ranker", "xmr.input", "query,label", "a query without label,"),
        ("tune_thresholds", "metric.input", "id,label,vector", "a-row-without-vector,a label,"),
    ],
)
def test_bad_rows_of_any_input_are_counted_and_shown(
    flow: str, setting: str, head: str, row: str, days: str, tmp_path: Path
) -> None:
    path = tmp_path / f"bad-{DAYS[0]}.csv"
    path.write_text("\n".join([head, *[row] * 7]) + "\n")
    asked = RunRequest(
        profile="tiny",
        store=str(tmp_path / "store"),
        day=DAYS[0],
        collection="products",
        settings={setting: str(path).replace(DAYS[0], "{day}"), "input.days": days},
    )
    with pytest.raises(QuarantineLimitError, match=r": row 0.*; row 2.*`fingerpost quarantine corpus.*` shows all"):
        run_flow(flow, asked, quiet=True)
    [found] = Partitions(flow, asked).of([DAYS[0]])
    assert (found.state, found.quarantined) == ("quarantined", 7)
    (refused,) = _newest(Store(asked.store), "products")
    assert len(Store(asked.store).open(refused, QUARANTINE).read("rows")) == 7


def test_looking_at_states_writes_nothing(world: World) -> None:
    before = sorted(path.stat().st_mtime_ns for path in world.folder.rglob("*") if path.is_file())
    Partitions(FLOW, world.request()).of(DAYS)
    assert sorted(path.stat().st_mtime_ns for path in world.folder.rglob("*") if path.is_file()) == before


def test_a_day_is_stale_for_changed_parameters_and_says_which(world: World) -> None:
    assert world.state(DAYS[0], **{"corpus.svd.rank": 16}) == ("stale", "parameters changed (params.rank)")
    assert world.state(DAYS[3], **{"corpus.imports.rows_per_shard": 8192}) == (
        "stale",
        "changed since it failed: import_documents",
    )


def test_a_day_is_stale_for_a_changed_input_although_other_days_had_others(world: World) -> None:
    path = world.drop(DAYS[0], seed=9)
    assert world.state(DAYS[0]) == ("stale", "input changed (source)")
    path.unlink()
    state, reason = world.state(DAYS[0])
    assert state == "fresh"
    assert reason.startswith("no input any more: ")
    world.drop(DAYS[0], seed=1)
    assert world.state(DAYS[0]) == ("fresh", "")


def hash_code(patch: pytest.MonkeyPatch, how: Callable[[Callable[..., str], Callable[..., object]], str]) -> None:
    """Hashes all code anew, and differently: ``how`` gets the usual function and that of a stage."""
    plain = fingerpost.tasks.code._code_hash
    patch.setattr(fingerpost.tasks.code, "_known", ContextVar("anew", default=None))
    patch.setattr(fingerpost.tasks.code, "_code_hash", lambda function: how(plain, function))


def test_a_day_is_stale_for_changed_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_code(monkeypatch, lambda plain, f: "0" * 32 if f.__name__ == "count_terms" else plain(f))
    assert world.state(DAYS[1]) == ("stale", "code changed")


def test_a_failed_day_stays_failed_until_something_changes(world: World) -> None:
    assert world.state(DAYS[2])[0] == "quarantined"
    world.drop(DAYS[2], seed=3, bad=29)
    assert world.state(DAYS[2]) == ("stale", "changed since it failed: import_documents")
    world.drop(DAYS[2], seed=3, bad=30)
    assert world.state(DAYS[2], **{"ann.gates.recall_at_10": 0.1}) == ("stale", "changed since it failed: gates")


def test_a_day_that_failed_without_its_input_is_failed_everywhere_until_that_is_there(world: World) -> None:
    store, day = Store(world.request().store), DAYS[4]
    try:
        with pytest.raises(InputError):
            known(FLOW)(world.request().for_day(day))
        record = partition(store, FLOW, "products", day)
        assert (record["state"], record["error_kind"], record["stages"]) == ("failed", "InputError", {})
        assert world.state(day) == ("failed", record["error"])
        assert world.state(day, **{"ann.gates.recall_at_10": 0.1}) == ("failed", record["error"])
        schedule(store, FLOW, "products")
        found = states_everywhere(FLOW, world.request())
        assert list(found.values()) == ["fresh", "fresh", "quarantined", "failed", "failed"]
        world.drop(day)
        assert world.state(day) == ("stale", f"changed since it failed: {record['error']}")
    finally:
        (world.folder / f"drop-{day}.csv").unlink(missing_ok=True)
        store.files.remove_file(f".partitions/{FLOW}/products/{day}.json")


def test_a_day_with_too_many_bad_rows_stays_quarantined_without_its_input(world: World) -> None:
    path = world.folder / f"drop-{DAYS[2]}.csv"
    text, before = path.read_text(), world.state(DAYS[2])
    path.unlink()
    try:
        assert world.state(DAYS[2]) == before
        assert states_everywhere(FLOW, world.request())[DAYS[2]] == "quarantined"
    finally:
        path.write_text(text)


def test_a_day_whose_run_was_cut_off_is_missing_and_one_that_runs_is_running(world: World) -> None:
    store = Store(str(world.folder / "store"))
    kept = partition(store, FLOW, "products", DAYS[0])
    save_partition(store, {**kept, "state": "failed", "error": "stopped", "error_kind": ""})
    assert world.state(DAYS[0])[0] == "missing"
    assert world.state(DAYS[0])[1].startswith(f"interrupted: {world.stages} of {world.stages} stages")
    with lease(store, "someone", flow=FLOW, collection="products", day=DAYS[0]):
        assert world.state(DAYS[0])[0] == "running"
    store.files.write(f".partitions/{FLOW}/products/{DAYS[0]}.json", b"{torn")
    assert world.state(DAYS[0]) == ("missing", f"interrupted: {world.stages} of {world.stages} stages are finished")
    save_partition(store, kept)
    assert world.state(DAYS[0]) == ("fresh", "")


def test_a_day_whose_artifacts_are_gone_is_missing(world: World) -> None:
    store = Store(str(world.folder / "store"))
    manifest = f"{partition(store, FLOW, 'products', DAYS[1])['refs']['vectors']}/manifest.json"
    content = store.files.read(manifest)
    store.files.remove_file(manifest)
    assert world.state(DAYS[1]) == ("missing", "gone: embed_documents")
    store.files.write(manifest, content)
    assert world.state(DAYS[1]) == ("fresh", "")


def other_settings(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("FINGERPOST_SET_CORPUS__SVD__RANK", "16")


def other_code(world: World, patch: pytest.MonkeyPatch) -> None:
    hash_code(patch, lambda plain, f: "0" * 32 if f.__name__ == "embed_documents" else plain(f))


def other_gates(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("FINGERPOST_SET_ANN__GATES__RECALL_AT_10", "0.1")


def nothing(world: World, patch: pytest.MonkeyPatch) -> None:
    """Leaves the world as it is."""


@pytest.mark.parametrize(
    ("change", "states"),
    [
        (nothing, ["fresh", "fresh", "quarantined", "failed", "missing"]),
        (other_settings, ["stale", "stale", "quarantined", "failed", "missing"]),
        (other_code, ["stale", "stale", "quarantined", "failed", "missing"]),
        (other_gates, ["fresh", "fresh", "stale", "stale", "missing"]),
    ],
)
def test_days_have_one_state_whatever_changes(
    change: Callable[[World, pytest.MonkeyPatch], None],
    states: list[str],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(world, monkeypatch)
    found = states_everywhere(FLOW, world.request())
    assert list(found) == DAYS
    assert list(found.values()) == states


def test_days_have_one_state_whatever_became_of_their_files_and_records(world: World) -> None:
    store = Store(world.request().store)
    kept = {day: partition(store, FLOW, "products", day) for day in DAYS[:4]}
    manifest = f"{kept[DAYS[1]]['refs']['vectors']}/manifest.json"
    content, given = store.files.read(manifest), world.folder / f"drop-{DAYS[0]}.csv"
    text = given.read_text()
    try:
        store.files.remove_file(manifest)
        given.unlink()
        save_partition(store, {**kept[DAYS[2]], "error": "stopped", "error_kind": ""})
        with lease(store, "someone", flow=FLOW, collection="products", day=DAYS[4]):
            found = states_everywhere(FLOW, world.request())
        assert list(found.values()) == ["fresh", "missing", "missing", "failed", "running"]
        store.files.write(f".partitions/{FLOW}/products/{DAYS[0]}.json", b"{torn")
        assert states_everywhere(FLOW, world.request())[DAYS[1]] == "missing"
    finally:
        store.files.write(manifest, content)
        given.write_text(text)
        for record in kept.values():
            save_partition(store, record)


def test_the_calendar_has_every_day_under_its_weekday_and_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    days = list(days_between("2025-12-30", "2026-01-06"))
    states = ["fresh", "stale", "failed", "missing", "running", "quarantined", "fresh", "fresh"]
    found = [
        Partition(day, state, "" if state == "fresh" else f"why {day}|x")
        for day, state in zip(days, states, strict=True)
    ]
    wide_console().print(calendar("a flow", found), soft_wrap=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("2025-12") + 2].rstrip() == "    30● 31○"
    week = lines[lines.index("2026-01") + 2]
    assert [week.index(sign) for sign in ("1✗", "2·", "3▸", "4!")] == [13, 17, 21, 25]
    assert "● 3 fresh" in "\n".join(lines)
    assert sum(line.startswith(tuple(days)) for line in lines) == 5
    text = calendar_markdown(found)
    picture, legend, *_ = filter(None, text.splitlines())
    assert picture.startswith("![2025-12-30 to 2026-01-06: 3 fresh, 1 missing, 1 stale, 1 failed, 1 quarantined, ")
    assert "● 3 fresh" in legend
    assert "| 2026-01-01 | failed | why 2026-01-01\\|x |" in text


def test_a_look_at_days_logs_no_notes_of_their_plans(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log, quiet = logging.getLogger("fingerpost.run"), []
    monkeypatch.setattr(partitions, "plan_of", lambda *given: (quiet.append(log.disabled), plan_of(*given))[1])
    Partitions(FLOW, world.request()).of(DAYS[:2])
    assert quiet == [True, True]
    assert not log.disabled


def test_a_year_is_looked_at_quickly(world: World) -> None:
    """The code is hashed once, not once a day."""
    calls: list[str] = []
    stages = world.stages
    with pytest.MonkeyPatch.context() as patch:
        hash_code(patch, lambda plain, f: calls.append(f.__name__) or plain(f))
        request = world.request().model_copy(update={"input": str(world.folder / f"drop-{DAYS[0]}.csv")})
        assert len(Partitions(FLOW, request).of(days_between("2025-01-01", "2025-01-31"))) == 31
    assert len(calls) == len(set(calls)) == stages


def test_states_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from fingerpost.flows.commands.backfilling import partitions

    r = world.request()
    columns = [f"{ours}={theirs}" for ours, theirs in r.columns.items()]
    partitions(
        FLOW,
        first="",
        last="",
        profile="tiny",
        source=r.input,
        columns=columns,
        settings=None,
        collection="products",
        as_json=True,
        store=r.store,
    )
    assert [one["day"] for one in json.loads(capsys.readouterr().out)] == DAYS[:4]
