"""Alerts: told once, to a receiver that may be down, without the secret address anywhere."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from fingerpost.flows.run.alerts import WEBHOOK, Alert, alerts, raise_alert, redeliver, undelivered
from fingerpost.flows.run.failures import alert_of_dead_runs, alert_of_failure, alert_of_late_days
from fingerpost.flows.run.freshness import scheduled_freshness
from fingerpost.flows.run.runtime import running
from fingerpost.schemas.errors import InputError, StoreUnreachableError
from fingerpost.schemas.files import Files
from fingerpost.schemas.leases import at_work, lease
from fingerpost.schemas.store import Store
from tests.ops.conftest import RunningStack
from tests.ops.watched import Receiver, note_day, note_run, receiver, request_for
from tests.worlds import write_documents

NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    with receiver() as found:
        monkeypatch.setenv(WEBHOOK, found.url)
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store")).prepare()


def everything(store: Store) -> bytes:
    """All bytes of the store."""
    return b"".join(store.files.read(path) for path in store.files.listing())


def late_store(store: Store) -> Store:
    note_day(store, "2026-01-07")
    return store


def watch(store: Store, now: datetime = NOW) -> None:
    """What a watch does about late days."""
    redeliver(store, now=now)
    for found in scheduled_freshness(store, now=now):
        alert_of_late_days(store, found, now=now)


def test_a_failed_run_is_told(tmp_path: Path, hook: Receiver) -> None:
    request = request_for(tmp_path, write_documents(tmp_path, 10, 1))
    with pytest.raises(InputError), running("nightly", request):
        raise InputError("s3://key:passw0rd@bucket/x.csv: expected a file, found none; mend it")
    (body,) = hook.got
    assert body["text"].startswith(
        "Fingerpost: nightly of toys failed for 2026-01-05: InputError: s3://bucket/x.csv: expected a file"
    )
    assert (body["kind"], body["flow"], body["collection"], body["day"]) == ("failed", "nightly", "toys", "2026-01-05")
    (kept,) = alerts(Store(request.store))
    assert kept["delivered"]
    assert "passw0rd" not in str(kept)


def test_a_store_that_takes_nothing_any_more_hides_neither_the_failure_nor_its_reason(
    tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreUnreachableError("store: expected to write, got no space left on device")

    def fail() -> None:
        with running("nightly", request_for(tmp_path, write_documents(tmp_path, 10, 1))):
            monkeypatch.setattr(Files, "write", full)
            monkeypatch.setattr(Files, "create", full)
            raise ValueError("the first thing that went wrong")

    with pytest.raises(ValueError, match="the first thing that went wrong"):
        fail()
    assert "the first thing that went wrong" in hook.got[0]["text"]
    assert hook.got[0]["kind"] == "failed"


def test_runs_that_complete_or_are_stopped_or_tried_again_are_not_told(
    tmp_path: Path, store: Store, hook: Receiver
) -> None:
    request = request_for(tmp_path, write_documents(tmp_path, 10, 1))
    with running("nightly", request):
        pass
    with pytest.raises(KeyboardInterrupt), running("nightly", request):
        raise KeyboardInterrupt
    record = {
        "id": "20260105t030000-aa",
        "flow": "nightly",
        "collection": "toys",
        "day": "2026-01-05",
        "state": "failed",
        "error": "x",
        "error_kind": "ValueError",
    }
    alert_of_failure(store, {**record, "prefect": {"id": "abc", "attempt": 1, "tried_again": True}})
    assert hook.got == []
    alert_of_failure(store, {**record, "prefect": {"id": "abc", "attempt": 2, "tried_again": False}})
    assert len(hook.got) == 1


def test_a_late_day_is_told_once(store: Store, hook: Receiver) -> None:
    late_store(store)
    watch(store, NOW.replace(hour=7))
    assert hook.got == []
    for _ in range(3):
        watch(store)
    assert [body["text"] for body in hook.got] == [
        "Fingerpost: nightly of toys is late: 2026-01-08 was due at 2026-01-08T08:00:00+00:00"
    ]
    watch(store, NOW + timedelta(days=1))
    assert len(hook.got) == 2


def test_many_watchers_at_once_send_one_alert(store: Store, hook: Receiver) -> None:
    late_store(store)
    together = Barrier(8)

    def one(_: int) -> None:
        together.wait()
        for _ in range(5):
            watch(store)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert len(hook.got) == 1


def test_a_receiver_that_was_down_gets_the_alert_once_it_is_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    late_store(store)
    with receiver() as gone:
        pass
    monkeypatch.setenv(WEBHOOK, gone.url)
    watch(store)
    (outcome,) = redeliver(store, now=NOW).values()
    assert outcome.startswith("the webhook: expected it to accept the alert, got URLError")
    with receiver() as found:
        monkeypatch.setenv(WEBHOOK, found.url)
        found.status = 500
        assert "got status 500" in next(iter(redeliver(store, now=NOW).values()))
        found.status = 200
        # While the first is at it, seven others come by.
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: redeliver(store, now=NOW), range(8)))
        watch(store)
        assert len(found.got) == 1
        assert undelivered(store, now=NOW) == []
        for secret in (b"s3cret-path", gone.url.encode(), found.url.encode()):
            assert secret not in everything(store)


def test_a_watcher_that_was_killed_while_it_sent_is_waited_for_and_then_replaced(
    store: Store, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_store(store)

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fingerpost.flows.run.alerts.post", killed)
        with pytest.raises(KeyboardInterrupt):
            watch(store)
    watch(store, NOW + timedelta(seconds=30))
    assert hook.got == []
    watch(store, NOW + timedelta(minutes=15))
    assert len(hook.got) == 1


def test_without_a_webhook_alerts_are_kept_and_the_newest_sent_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(WEBHOOK, raising=False)
    for day, back in (("2026-01-01", 7), ("2026-01-08", 0)):
        assert raise_alert(store, Alert("late", "nightly", "toys", day, "late"), now=NOW - timedelta(days=back))
    assert redeliver(store, now=NOW) == {}
    with receiver() as found:
        monkeypatch.setenv(WEBHOOK, found.url)
        redeliver(store, now=NOW)
        assert [body["day"] for body in found.got] == ["2026-01-08"]


@pytest.mark.parametrize(
    "address", ["not a url", "file:///etc/passwd", "http://127.0.0.1:1/s3cret", "http://[broken/s3cret"]
)
def test_an_address_that_cannot_be_reached_fails_no_run_and_is_not_shown(
    store: Store, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEBHOOK, address)
    assert raise_alert(store, Alert("late", "nightly", "toys", "2026-01-08", f"posted to {address}"), now=NOW)
    assert address not in str(redeliver(store, now=NOW))
    assert address.encode() not in everything(store)


_DIES = """
import os, signal, sys
from fingerpost.schemas.leases import lease
from fingerpost.schemas.store import Store
with lease(Store(sys.argv[1]), sys.argv[2], flow="nightly", collection="toys", day="2026-01-05"):
    print("at work", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_process_was_killed_is_told_once(store: Store, hook: Receiver) -> None:
    for run in ("20260105T030000000-aaaaaa", "20260105T040000000-bbbbbb", "promote-aaaaaa"):
        subprocess.run([sys.executable, "-c", _DIES, store.url, run], env=dict(os.environ), check=False, timeout=200)
    # The second left a record, so it ended: only its lease was not taken away.
    note_run(store, "20260105T040000000-bbbbbb")
    assert alert_of_dead_runs(store) == ["20260105t030000000-aaaaaa"]
    assert alert_of_dead_runs(store) == []
    (body,) = hook.got
    assert body["text"].startswith("Fingerpost: nightly of toys crashed for 2026-01-05: process ")


def test_a_run_at_work_is_no_crash(store: Store, hook: Receiver) -> None:
    with lease(store, "20260105T030000000-aaaaaa", flow="nightly", collection="toys", day="2026-01-05"):
        assert alert_of_dead_runs(store) == []
    assert hook.got == []


def test_the_worker_tells_of_a_run_that_was_killed(stack: RunningStack) -> None:
    run = stack.submit("nightly", stack.request(collection="killed", day="2026-01-02"))
    store = Store(stack.store)
    deadline = time.monotonic() + 300
    while not (leases := [found for found in at_work(store) if found.collection == "killed"]):
        assert time.monotonic() < deadline, stack.run_log(run)
        time.sleep(0.01)
    os.kill(leases[0].pid, signal.SIGKILL)
    assert stack.wait(run)["state_type"] == "CRASHED"
    # The worker calls the hook after it has told the server.
    while not (told := list(alerts(store, prefix="crashed-nightly-killed-2026-01-02"))):
        assert time.monotonic() < deadline, stack.log("worker")
        time.sleep(0.1)
    assert [found["occasion"] for found in told] == [leases[0].run]
    assert f"process {leases[0].pid} on " in told[0]["text"]
    assert leases[0].run not in alert_of_dead_runs(store)
