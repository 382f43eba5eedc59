"""Garbage collection: what nothing reaches goes, all else stays whole, wherever it is cut short and whatever runs beside it."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.flows.ops.keep.gc import collect, explain, plan_collection
from fingerpost.schemas import files as files_module
from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError, MissingArtifactError
from fingerpost.schemas.leases import at_work, lease, records
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.pins import pin
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import Ledger
from tests.object_store import object_store
from tests.ops.keepsakes import LATER, Past, check_whole, lease_of, run_pipelines, run_toys
from tests.worlds import (
    DAY,
    GATE,
    STORES,
    THINGS,
    commit_things,
    fresh_store,
    run_pipeline,
    store_url,
    things_ref,
    write_documents,
    write_things,
)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with fresh_store(request.param, tmp_path) as opened:
        yield opened


def later() -> datetime:
    return datetime.now(UTC) + LATER


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.integers(1, 40),
    keep_days=st.sampled_from([0, 1, 7, 30]),
    kind=st.sampled_from(STORES),
)
def test_of_any_past_exactly_what_something_reaches_stays(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, keep_days: int, kind: str
) -> None:
    past = Past(Store(store_url(kind, tmp_path_factory.mktemp("past"))), seed).fill(steps)
    files = past.store.files
    expected, before = past.files_that_stay(keep_days), files.listing()
    dry = plan_collection(past.store, keep_days=keep_days, now=past.now)
    assert set(files.listing()) == set(before), "a plan changes nothing"
    done = collect(past.store, keep_days=keep_days, now=past.now)
    assert done.as_json(dry_run=False) == dry.as_json(dry_run=False)
    assert set(files.listing()) == expected
    assert done.freed == sum(before[path].size for path in set(before) - expected)
    assert set(past.store.refs()) == past.must_stay(keep_days)
    check_whole(past.store)
    again = collect(past.store, keep_days=keep_days, now=past.now)
    assert (again.freed, again.removals) == (0, [])
    for ref in past.must_stay(keep_days):
        assert explain(again, ref).chains
    past.store.files.fs.rm(past.store.files.root, recursive=True)


@pytest.mark.slow
def test_killed_at_any_removal_it_leaves_whole_artifacts_and_the_next_one_ends_it(tmp_path: Path) -> None:
    past = Past(Store(str(tmp_path / "store")), 5).fill(24)
    expected = past.files_that_stay(7)
    removals = plan_collection(past.store, keep_days=7, now=past.now).removals
    assert len(removals) > 25
    assert len({name for _, name in removals}) >= 6, "of every kind"
    for number in range(1, len(removals) + 1):
        copy = Store(str(tmp_path / f"copy-{number}"))
        shutil.copytree(past.store.files.root, copy.files.root, copy_function=os.link)
        child = os.fork()
        if not child:
            _die_at(number)
            collect(copy, keep_days=7, now=past.now)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert len(set(past.store.files.listing()) - set(copy.files.listing())) == number - 1
        check_whole(copy)
        collect(copy, keep_days=7, now=past.now)
        assert set(copy.files.listing()) == expected
        shutil.rmtree(copy.files.root)


def _die_at(number: int) -> None:
    count = 0

    def reached(point: str) -> None:
        nonlocal count
        count += point == "before-removal"
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    files_module.reached = reached


def test_after_a_collection_the_index_answers_and_the_next_run_reuses_everything(tmp_path: Path) -> None:
    from fingerpost.tasks.ann.open import live

    store = Store(str(tmp_path / "store")).prepare()
    runs = {day: write_documents(tmp_path, rows, rows) for day, rows in (("2026-01-01", 180), ("2026-01-02", 200))}
    for day, documents in runs.items():
        run_pipeline(Environment(store, "toys", day), documents)
    first = Pointer(store, "toys", "ann.index").history()[0].artifact
    assert not collect(store, keep_days=0, now=later()).artifacts, "the first index can be rolled back to"
    done = collect(store, keep_days=0, keep_rollbacks=0, now=later())
    assert {Ref.parse(ref).day for ref in done.artifacts} == {"2026-01-01"}
    assert {row.name: row.artifacts for row in done.rows}["ann.index"] == 1
    check_whole(store)
    assert len(live("toys", store=store.url).query("sort order", k=3).answers) == 3
    with pytest.raises(MissingArtifactError, match=rf"generation 1 \({first}\).*removed"):
        Pointer(store, "toys", "ann.index").rollback()
    again = Environment(store, "toys", "2026-01-02")
    run_pipeline(again, runs["2026-01-02"])
    assert not [record.stage for record in again.records if record.computed]
    tomorrow = Environment(store, "toys", "2026-01-03")
    run_pipeline(tomorrow, runs["2026-01-02"])
    assert not [record.stage for record in tomorrow.records if record.computed]


def test_a_file_that_a_later_artifact_lists_outlives_the_one_it_was_written_for(store: Store) -> None:
    first, second = things_ref(1, day="2026-01-01"), things_ref(2)
    shared = commit_things(store, first, seed=1).files[0]
    manifest = write_things(store, second, seed=2)
    identity = {**manifest.identity, "files": [vars(shared), *map(vars, manifest.files[1:])]}
    store.commit(second, Manifest(identity, manifest.run))
    pin(store, second)
    plan = collect(store, keep_days=0, now=later())
    assert plan.artifacts == [str(first)]
    assert store.files.names(str(first)) == [shared.path.rsplit("/", 1)[-1]]
    store.verify(second)
    assert explain(plan, first).shared == {str(second): [shared.path]}
    assert explain(plan, first).goes


def test_days_count_by_the_artifacts_day_and_by_its_commit(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    refs = {}
    for seed, (day, committed) in enumerate(
        {"2026-03-01": 3, "2026-03-07": 9, "2026-03-08": 9, "2026-03-02": 2.9, "2026-03-11": 40}.items()
    ):
        refs[day] = things_ref(seed, day=day)
        commit_things(store, refs[day], seed=seed)
        when = (now - timedelta(days=committed)).timestamp()
        os.utime(f"{tmp_path}/{refs[day]}/manifest.json", (when, when))
    kept = plan_collection(store, keep_days=3, now=now).reach.kept
    assert kept == {str(refs[day]): "recent" for day in ("2026-03-08", "2026-03-02", "2026-03-11")}
    assert not plan_collection(store, keep_days=0, now=now).reach.kept
    assert len(plan_collection(store, keep_days=36_500, now=now).reach.kept) == 5


def test_fresh_files_of_no_artifact_are_left_for_a_day(store: Store) -> None:
    write_things(store, things_ref(1), seed=1)
    Workspace(store, things_ref(2)).finish_shard(0, write_things(store, things_ref(2), seed=2).files, {})
    store.files.write(f"{things_ref(1)}/x.parquet.{'a' * 32}.tmp", b"half")
    assert not collect(store, keep_days=0).removals
    tomorrow = datetime.now(UTC) + timedelta(days=1, minutes=1)
    plan = plan_collection(store, keep_days=3, now=tomorrow)
    assert [row.name for row in plan.rows] == ["files of no artifact", "unfinished writes"]
    assert {path.rsplit("/", 1)[0] for path in plan.data} == {str(things_ref(1))}, "a run may go on with the others"
    done = collect(store, keep_days=1, now=tomorrow)
    assert {row.name for row in done.rows} == {"files of no artifact", "unfinished writes", "working state"}
    assert list(store.files.listing()) == ["store.json"]


def test_nothing_that_a_run_may_take_up_goes(store: Store) -> None:
    refs = {seed: things_ref(seed, day=f"2026-01-0{seed}") for seed in range(1, 6)}
    made_for = {1: "red", 2: "blue", 3: "blue", 4: "red", 5: "blue"}
    for seed, ref in refs.items():
        manifest = write_things(store, ref, seed=seed, inputs=(refs[2],) if seed == 4 else ())
        store.commit(ref, Manifest(manifest.identity, {**manifest.run, "collection": made_for[seed]}))
    Ledger(store, "red").note("test.other", refs[5])
    Ledger(store, "red").note("test.other", refs[1])
    lease_of(store, "r1", collection="red", day="2026-01-03")
    plan = plan_collection(store, keep_days=0, now=later())
    assert plan.artifacts == []
    [chain] = explain(plan, refs[2]).chains
    assert chain[0].startswith("run nightly red 2026-01-03 (r1, process 1 on here since ")
    assert chain[1] == f"input in_0: {refs[2]}"
    lease_of(store, "r1", collection="red", day="2026-01-03", alive=False)
    assert set(collect(store, keep_days=0, now=later()).artifacts) == {str(refs[seed]) for seed in (2, 3, 4, 5)}
    assert store.files.names(".running") == []


@pytest.mark.parametrize("damage", ["cut", "altered", "foreign", "strange"])
def test_beside_a_manifest_that_cannot_be_read_nothing_goes_that_it_may_list(store: Store, damage: str) -> None:
    for seed in (1, 2):
        commit_things(store, things_ref(seed), seed=seed)
    write_things(store, things_ref(3), seed=3)
    store.files.write(f"x.{'a' * 32}.tmp", b"half")
    path = f"{things_ref(1)}/manifest.json"
    whole = store.manifest(things_ref(1))
    strange = {**whole.identity, "files": [{**vars(whole.files[0]), "path": "../../etc/passwd"}]}
    content = {
        "cut": whole.encode()[:-40],
        "altered": whole.encode().replace(b"0.25", b"0.75"),
        "foreign": whole.encode().replace(b'"format": 1', b'"format": 9'),
        "strange": Manifest(strange, whole.run).encode(),
    }[damage]
    store.files.write(path, content)
    before = set(store.files.listing())
    plan = collect(store, keep_days=0, now=later())
    assert before - set(store.files.listing()) == {f"x.{'a' * 32}.tmp"}
    assert list(plan.seen.damaged) == [str(things_ref(1))]
    assert "expected manifests that can be read, found 1 that cannot" in plan.problem
    assert plan.kept == {"beside a manifest that cannot be read": 1}
    with pytest.raises(CorruptArtifactError):
        explain(plan, things_ref(1))
    store.files.remove_file(path)
    assert collect(store, keep_days=0, now=later()).problem == ""
    assert list(store.files.listing()) == ["store.json"]


@pytest.mark.parametrize(
    "path",
    [
        ".published/toys/test.things/00000001.json",
        f".pins/{things_ref(1).name}-{DAY}-{things_ref(1).fingerprint}.json",
        ".running/x.json",
    ],
)
def test_where_roots_cannot_be_read_nothing_goes_that_they_may_name(
    store: Store, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fingerpost.schemas.records._named", set())
    commit_things(store, things_ref(1), seed=1)
    store.files.write(path, b"{")
    before = set(store.files.listing())
    plan = collect(store, keep_days=0, now=later())
    assert set(store.files.listing()) == before
    assert path in plan.problem + caplog.text
    store.files.remove_file(path)
    assert collect(store, keep_days=0, now=later()).artifacts == [str(things_ref(1))]


def test_a_dead_lease_of_a_clock_far_ahead_holds_nothing_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    commit_things(store, things_ref(1), seed=1)
    with lease(store, "theirs", flow="nightly") as held:
        record = replace(held, machine="another", renewed=time.time() + 86_400)
    path = f".running/{record.run}.json"
    store.files.write(path, json.dumps(vars(record)).encode())
    assert not collect(store, keep_days=0, now=later()).artifacts, "it may be at work"
    hours_ago = time.time() - 7200
    os.utime(store.files.path(path), (hours_ago, hours_ago))
    assert collect(store, keep_days=0, now=later()).artifacts == [str(things_ref(1))]


def test_a_pin_under_another_name_keeps_what_it_names(store: Store) -> None:
    commit_things(store, things_ref(1), seed=1)
    pin(store, things_ref(1))
    (name,) = store.files.names(".pins")
    store.files.write(".pins/renamed", store.files.read(f".pins/{name}"))
    store.files.remove_file(f".pins/{name}")
    plan = collect(store, keep_days=0, now=later())
    assert not plan.artifacts
    assert ".pins/renamed" in str(explain(plan, things_ref(1)).chains)


def test_a_collector_that_was_suspended_stops(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from fingerpost.schemas.leases import Held

    for seed in range(3):
        commit_things(store, things_ref(seed), seed=seed)
    checks = 0

    def check(self: Held) -> None:
        nonlocal checks
        checks += 1
        if checks == 2:
            object.__setattr__(self.record, "renewed", self.record.renewed - 400)
        return whole(self)

    whole = Held.check
    monkeypatch.setattr(Held, "check", check)
    with pytest.raises(FingerpostError, match="to be renewed every 20 seconds, found it 400 seconds old"):
        collect(store, keep_days=0, now=later())
    assert len(list(store.refs())) == 2
    check_whole(store)


def test_each_kind_of_reason_is_explained(store: Store) -> None:
    commit_things(store, things_ref(1), seed=1)
    for seed in (2, 3):
        commit_things(store, things_ref(seed, name="test.sums"), seed=seed, inputs=(things_ref(1),))
        Pointer(store, "toys", "test.sums").promote(things_ref(seed, name="test.sums"), gates=[GATE])
    pin(store, things_ref(2, name="test.sums"), reason="dear")
    Ledger(store, "toys").note(THINGS.name, things_ref(1))
    plan = plan_collection(store, keep_days=0, now=later())
    chains = explain(plan, things_ref(1)).chains
    assert [chain[0].split(":")[0].split(",")[0] for chain in chains] == [
        "live as toys/test.sums",
        "generation 1 of toys/test.sums",
        chains[2][0].split(",")[0],
        "newest test.things of toys",
    ]
    assert chains[0][0].endswith(f"generation 2: {things_ref(3, name='test.sums')}")
    assert chains[2][0].startswith("pinned by ")
    assert "(dear)" in chains[2][0]
    assert [chain[1:] for chain in chains] == [[f"input in_0: {things_ref(1)}"]] * 3 + [[]]
    assert plan.kept == {"live": 2, "rollback target": 1}


def test_the_commands_say_what_goes_and_why_the_rest_stays(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from fingerpost.flows.cli import app

    store, runner = Store(str(tmp_path / "store")).prepare(), CliRunner()
    for seed in (1, 2, 3):
        commit_things(store, things_ref(seed), seed=seed)
    for path in Path(tmp_path / "store").rglob("*"):
        os.utime(path, (1_700_000_000,) * 2)

    def fingerpost(*arguments: str) -> str:
        done = runner.invoke(app, [*arguments, "--store", store.url], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert fingerpost("pin", str(things_ref(1)), "--reason", "dear") == f"{things_ref(1)} is pinned\n"
    with pytest.raises(MissingArtifactError):
        fingerpost("pin", str(things_ref(9)))
    with pytest.raises(MissingArtifactError, match=f"expected {things_ref(2)} to be pinned"):
        fingerpost("unpin", str(things_ref(2)))
    days = ("--keep-days", str((datetime.now(UTC).date() - datetime.fromisoformat(DAY).date()).days))
    said = fingerpost("gc", *days, "--dry-run")
    assert "would free" in said
    assert "1 pinned" in said
    assert f"{things_ref(1)}  dear (" in said
    dry = json.loads(fingerpost("gc", *days, "--dry-run", "--json"))
    assert f"{things_ref(1)} is kept\n  pinned by " in fingerpost("gc", *days, "--explain", str(things_ref(1)))
    assert f"{things_ref(2)} is removed: nothing reaches it" in fingerpost("gc", *days, "--explain", str(things_ref(2)))
    assert len(list(store.refs())) == 3
    done = json.loads(fingerpost("gc", *days, "--json"))
    assert {**done, "dry_run": True} == dry
    assert (set(done["artifacts"]), done["removed"][0]["artifacts"]) == ({str(things_ref(2)), str(things_ref(3))}, 2)
    assert not (tmp_path / "store" / str(things_ref(2))).exists()
    assert "freed 0 B in 0 files" in fingerpost("gc", *days)
    fingerpost("unpin", str(things_ref(1)))
    store.files.write(f"{things_ref(1)}/manifest.json", b"{")
    with pytest.raises(CorruptArtifactError, match=r"expected manifests that can be read, found 1"):
        fingerpost("gc", *days)


def collect_beside(store: Store, *waiting: "Future[Any]") -> int:
    """Collects as hard as can be while others run, and once more; the number of artifacts that went."""
    gone = 0
    while not all(future.done() for future in waiting):
        gone += len(collect(store, keep_days=0, keep_rollbacks=0, now=later(), grace=timedelta()).artifacts)
        time.sleep(0.01)
    return gone + len(collect(store, keep_days=0, keep_rollbacks=0, now=later()).artifacts)


@pytest.mark.slow
def test_no_run_fails_beside_a_collection(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = [
            pool.submit(run_toys, store.url, collection, 40, seed) for seed, collection in enumerate(("red", "blue"))
        ]
        gone = collect_beside(store, *runs)
        assert sum(run.result() for run in runs) > 20
    assert gone > 0
    check_whole(store)
    assert {Pointer(store, collection, "test.sums").required().artifact for collection in ("red", "blue")} <= set(
        store.refs()
    )


@pytest.mark.slow
def test_no_pipeline_fails_beside_a_collection(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    documents = [str(write_documents(tmp_path, rows, rows)) for rows in (120, 140, 120, 140)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        run = pool.submit(run_pipelines, store.url, "toys", documents)
        gone = collect_beside(store, run)
        computed = run.result()
    assert computed[0] == computed[1] > 0
    assert gone > 0
    check_whole(store)


def test_a_run_and_a_promotion_hold_a_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fingerpost.flows.ops.keep import live as reading
    from fingerpost.flows.run.request import RunRequest
    from fingerpost.flows.run.runtime import Watching, running, watching

    store, held = Store(str(tmp_path / "store")), []
    token = watching.set(Watching(quiet=True))
    request = RunRequest(profile="tiny", store=store.url, collection="toys", day=DAY)
    with contextlib.suppress(KeyboardInterrupt), running("nightly", request) as run:
        held += at_work(store)
        raise KeyboardInterrupt
    watching.reset(token)
    assert [(lease.run, lease.flow, lease.collection, lease.day) for lease in held] == [
        (run.id.lower(), "nightly", "toys", DAY)
    ]
    assert records(store) == {}

    ref = things_ref(1, name="ann.index")
    commit_things(store, ref, seed=1)
    monkeypatch.setattr("fingerpost.flows.domains.ann.gates.index_gates", lambda *_: [GATE])
    monkeypatch.setattr(
        "fingerpost.schemas.publish.Pointer.promote", lambda *_, **__: held.extend(at_work(store)) or raise_enough()
    )
    with pytest.raises(FingerpostError, match="enough"):
        reading.promote(store, str(ref), collection="toys", profile="tiny", reason="")
    assert (held[-1].flow, held[-1].collection, held[-1].day) == ("promote", "toys", DAY)
    assert records(store) == {}


def raise_enough() -> None:
    raise FingerpostError("enough")


def test_in_a_bucket_whose_store_fails_every_tenth_request_the_same_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    with object_store() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("fingerpost.schemas.objects.pause", lambda seconds: None)
        past = Past(Store(f"{server.make_bucket('kept')}/below"), 11).fill(15)
        expected, before = past.files_that_stay(7), set(past.store.files.listing())
        assert len(before) > len(expected) + 5
        server.fail_every = 10
        done = collect(past.store, keep_days=7, now=past.now)
        assert len(server.failures) > 3
        server.behave()
        assert set(past.store.files.listing()) == expected
        assert len(done.removals) == len(before - expected)
        check_whole(past.store)
