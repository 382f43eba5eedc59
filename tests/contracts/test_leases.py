"""Leases: a run and a collector never both work, the dead count for nothing, and of two collectors one waits."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fingerpost.schemas import leases
from fingerpost.schemas.errors import MissingArtifactError, StoreBusyError
from fingerpost.schemas.leases import COLLECTING, RUNNING, at_work, collecting, lease, records
from fingerpost.schemas.pins import pin, pins, unpin
from fingerpost.schemas.store import Store
from tests.worlds import STORES, commit_things, store_url, things_ref


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = Store(store_url(request.param, tmp_path)).prepare()
    yield opened
    opened.files.fs.rm(opened.files.root, recursive=True)


def test_a_lease_is_there_while_the_run_is(store: Store) -> None:
    with lease(store, "20260102T030405-AB", flow="nightly", collection="toys", day="2026-01-02") as held:
        assert at_work(store) == [held]
        assert (held.run, held.flow, held.collection, held.day, held.pid) == (
            "20260102t030405-ab",
            "nightly",
            "toys",
            "2026-01-02",
            os.getpid(),
        )
        assert f"nightly toys 2026-01-02 (20260102t030405-ab, process {os.getpid()} on " in str(held)
        with lease(store, "second", flow="nightly"):
            assert len(at_work(store)) == 2
    assert records(store) == {}
    with pytest.raises(RuntimeError), lease(store, "third", flow="nightly"):
        raise RuntimeError
    assert records(store) == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lease ")]


def test_it_is_renewed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWAL", 0.02)
    with lease(store, "a", flow="nightly") as held:
        deadline = time.monotonic() + 60
        while at_work(store)[0].renewed < held.started + 0.1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        store.files.remove_file(f"{RUNNING}/a.json")
        while not at_work(store):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_process_that_ended_holds_nothing(store: Store) -> None:
    with lease(store, "a", flow="nightly") as held:
        pass
    assert held.alive()
    assert not replace(held, process="1").alive(), "another process of the same id"
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert not replace(held, pid=done.pid).alive()
    day = 86_400
    assert held.alive(held.renewed + 0.9 * day), "suspended, and not dead"
    assert not held.alive(held.renewed + 1.1 * day)
    elsewhere = replace(held, machine="another", process="1")
    assert elsewhere.alive(held.renewed + 590)
    assert not elsewhere.alive(held.renewed + 610)
    assert not replace(held, machine="").alive(held.renewed + 610)


def test_a_killed_run_is_forgotten_at_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    code = (
        "import sys, time; from fingerpost.schemas.leases import lease; from fingerpost.schemas.store import Store\n"
        "with lease(Store(sys.argv[1]), 'a', flow='nightly'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, store.url], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        assert [found.pid for found in at_work(store)] == [process.pid]
        process.kill()
        process.wait()
    assert at_work(store) == []
    assert len(records(store)) == 1


def test_a_run_waits_for_the_collector_that_was_first(store: Store) -> None:
    began, inside, seen = threading.Event(), threading.Event(), []

    def run() -> None:
        began.set()
        with lease(store, "a", flow="nightly"):
            inside.set()

    with collecting(store):
        thread = threading.Thread(target=run)
        thread.start()
        assert began.wait(10)
        assert not inside.wait(0.4)
        seen = at_work(store)
        found = r"expected the garbage collection to end within 0 seconds, found gc \(gc-"
        with pytest.raises(StoreBusyError, match=found), lease(store, "b", flow="nightly", timeout=0.2):
            pytest.fail("begun beside a collector")
    assert inside.wait(10)
    thread.join()
    assert [found.run for found in seen] == ["a"]
    assert records(store) == {}


def test_the_lock_of_a_dead_collector_holds_nobody_up(store: Store) -> None:
    with collecting(store) as held:
        record = held.record
    dead = replace(record, process="1")
    store.files.write(f"{COLLECTING}/{dead.run}.json", json.dumps(vars(dead)).encode())
    with lease(store, "a", flow="nightly", timeout=0.1):
        pass
    with collecting(store, timeout=0.1):
        assert len(at_work(store, COLLECTING)) == 1


def test_of_several_collectors_one_is_at_work(store: Store) -> None:
    inside, most, ended = 0, 0, []

    def collect() -> None:
        nonlocal inside, most
        for _ in range(3):
            with collecting(store, timeout=60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.01)
                inside -= 1
            ended.append(1)

    threads = [threading.Thread(target=collect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(ended)) == (1, 9)
    found = "expected no other garbage collection, found gc"
    with collecting(store), pytest.raises(StoreBusyError, match=found), collecting(store, timeout=0.1):
        pytest.fail("two at once")


DAMAGED = (b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"run": 7}', b'{"run": "a", "renewed": 1e300}')


@pytest.mark.parametrize("content", DAMAGED)
def test_a_lease_that_cannot_be_read_is_that_of_a_run_that_may_use_anything_until_it_expires(
    store: Store, content: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.files.write(f"{RUNNING}/{uuid.uuid4().hex}.json", content)
    (found,) = at_work(store)
    assert (found.collection, found.day, found.readable) == ("", "", False)
    assert f"{RUNNING}/{found.run}.json" in str(found)
    assert f"lease {RUNNING}/{found.run}.json: expected" in caplog.text
    before = time.time
    monkeypatch.setattr(time, "time", lambda: before() + leases.TIME_TO_LIVE + 1)
    assert at_work(store) == []
    assert len(records(store)) == 1


def test_a_collector_that_cannot_be_read_holds_runs_up_until_it_expires(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.files.write(f"{COLLECTING}/gc-1.json", b"{}")
    with pytest.raises(StoreBusyError, match=r"\.collecting/gc-1\.json"), lease(store, "a", flow="x", timeout=0.1):
        pytest.fail("begun beside a collector")
    monkeypatch.setattr(leases, "TIME_TO_LIVE", -1.0)
    with lease(store, "a", flow="nightly", timeout=0.1):
        pass


@pytest.mark.parametrize("ahead", [3600.0, 86_400.0 * 365])
def test_a_lease_of_a_machine_whose_clock_is_far_ahead_is_dated_by_the_storage(tmp_path: Path, ahead: float) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    with lease(store, "a", flow="nightly") as held:
        pass
    path = f"{RUNNING}/far.json"
    theirs = replace(held, run="far", machine="another", renewed=time.time() + ahead)
    store.files.write(path, json.dumps(vars(theirs)).encode())
    assert [found.run for found in at_work(store)] == ["far"], "it renews its lease"
    written = time.time() - leases.TIME_TO_LIVE - 60
    os.utime(store.files.path(path), (written, written))
    assert at_work(store) == [], "it stopped to"
    # The storage's clock is ahead of this machine's, too.
    os.utime(store.files.path(path), (written + ahead, written + ahead))
    store.files.write("clock", b"")
    for late, alive in ((60, False), (-60 - leases.TIME_TO_LIVE, True)):
        now = written + ahead + leases.TIME_TO_LIVE + late
        os.utime(store.files.path("clock"), (now, now))
        assert bool(at_work(store, clock="clock")) is alive


def test_pins_are_set_listed_and_taken_off(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fingerpost.schemas.records._named", set())
    ref, other = things_ref(1), things_ref(2)
    commit_things(store, ref, seed=1)
    kept = pin(store, ref, reason="dear")
    assert pins(store) == [kept]
    assert (kept.ref, kept.reason) == (str(ref), "dear")
    assert pin(store, ref, reason="dearer").reason == pins(store)[0].reason == "dearer"
    with pytest.raises(MissingArtifactError, match="expected a committed artifact"):
        pin(store, other)
    with pytest.raises(
        MissingArtifactError, match=rf"expected {other} to be pinned, found it is not \(pinned: {ref}\)"
    ):
        unpin(store, other)
    unpin(store, ref)
    assert pins(store) == []
    path = f".pins/{ref.name}-{ref.day}-{ref.fingerprint}.json"
    pin(store, ref)
    store.files.write(path, store.files.read(path).replace(b"toys", b"").replace(b'"reason": ""', b'"reason": "x"'))
    # Its name says what it pins.
    (damaged,) = pins(store)
    assert damaged.ref == str(ref)
    assert f"pin {path}: expected checksum" in caplog.text
    for content in DAMAGED:
        store.files.write(path, content)
        assert pins(store) == [damaged]
    unpin(store, ref)
    assert pins(store) == []
