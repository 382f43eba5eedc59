"""A backfill in this process: what it runs and leaves out, pausing, cancelling, going on, failing days; and the flow of Prefect's UI."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.backfill import backfill
from fingerpost.flows.ops.backfill import days, progress
from fingerpost.flows.ops.backfill.days import Ended
from fingerpost.flows.ops.backfill.progress import (
    begin,
    check,
    progress_of,
    run_to_end,
    select,
    summary,
    take_up,
    try_failed_again,
)
from fingerpost.flows.ops.backfill.record import Backfill, BackfillError, backfills
from fingerpost.flows.run.partitions import Partitions
from fingerpost.schemas.leases import holding
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.support.backfills import DAYS, FLOW, backfill_of, drop
from tests.support.commands import fingerpost_here, refused

pytestmark = pytest.mark.usefixtures("plain_runs")


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("PREFECT_API_URL", "FINGERPOST_STACK_HOME"):
        monkeypatch.delenv(key, raising=False)


def ran(folder: Path) -> list[str]:
    """The days that ran to an end, in the order of their start."""
    return [
        record["day"]
        for record in reversed(runs(Store(str(folder / "store")), newest=99))
        if record["error_kind"] or record["state"] == "completed"
    ]


def run(found: Backfill, *, after: dict[int, object] | None = None) -> list[Ended]:
    """Runs it to its end; ``after`` so many days something is called."""
    ends: list[Ended] = []

    def tell(end: Ended, course: object) -> None:
        ends.append(end)
        if act := (after or {}).get(len(ends)):
            act()  # type: ignore[operator]

    run_to_end(found, tell)
    return ends


def test_days_run_in_order_a_bad_one_fails_alone_and_is_tried_again_alone(tmp_path: Path) -> None:
    drop(tmp_path, *DAYS)
    bad = tmp_path / f"drop-{DAYS[1]}.csv"
    bad.write_text("")
    found, chosen = begin(backfill_of(tmp_path))
    assert [one.day for one in chosen] == DAYS[::-1]
    ends = run(found)
    assert [(end.day, end.state) for end in ends] == [
        (day, "failed" if day == DAYS[1] else "completed") for day in DAYS[::-1]
    ]
    assert ran(tmp_path) == DAYS[::-1]
    course = progress_of(found)
    assert course.control.state == "finished"
    with pytest.raises(
        BackfillError, match=rf"all 4 days to end well, found 1 failed: {DAYS[1]} \(InputError.*an empty file"
    ):
        check(found, course)

    drop(tmp_path, DAYS[1])
    assert try_failed_again(found) == [DAYS[1]]
    assert [(end.day, end.state) for end in run(found)] == [(DAYS[1], "completed")]
    assert ran(tmp_path) == [*DAYS[::-1], DAYS[1]]
    assert try_failed_again(found) == []
    assert select(backfill_of(tmp_path)) == []
    assert [one.state for one in select(backfill_of(tmp_path, reprocess="all", order="oldest"))] == ["fresh"] * 4


def test_a_paused_backfill_goes_on_with_what_is_left(tmp_path: Path) -> None:
    drop(tmp_path, *DAYS)
    found, _ = begin(backfill_of(tmp_path, order="oldest", reprocess="all"))
    ends = run(found, after={2: lambda: found.set_control(replace(found.control(), state="paused"))})
    assert [end.day for end in ends] == DAYS[:2]
    assert progress_of(found).waiting == tuple(DAYS[2:])
    take_up(found)
    assert [end.day for end in run(found)] == DAYS  # told of all, ran the rest
    assert ran(tmp_path) == DAYS
    assert [end.state for end in progress_of(found).ended.values()] == ["completed"] * 4


def test_what_became_fresh_meanwhile_is_left_out(tmp_path: Path) -> None:
    drop(tmp_path, *DAYS[:2])
    request = backfill_of(tmp_path, last_day=DAYS[1], order="oldest")
    first, _ = begin(request)
    second, _ = begin(request)
    run(first)
    assert [(end.day, end.state) for end in run(second)] == [(day, "skipped") for day in DAYS[:2]]
    assert ran(tmp_path) == DAYS[:2]


def test_of_two_that_overlap_both_end_as_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second runs the day of the first again before that has stored how its own run ended."""
    drop(tmp_path, DAYS[0])
    request = backfill_of(tmp_path, last_day=DAYS[0], reprocess="all")
    (first, _), (second, _) = begin(request), begin(request)
    run_flow, others = days._run_flow, [second]

    def overtaken(*given: Any) -> None:
        run_flow(*given)
        if others:
            run(others.pop())

    monkeypatch.setattr(days, "_run_flow", overtaken)
    assert [(end.day, end.state) for end in run(first)] == [(DAYS[0], "completed")]
    for one in (first, second):
        course = progress_of(one)
        assert course.over
        assert summary(one, course) == f"backfill {one.id}: 1 completed of 1 days, finished"
        check(one, course)


def test_a_day_is_stopped_at_once_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, *DAYS[:2])
    found, _ = begin(backfill_of(tmp_path, last_day=DAYS[1], order="oldest"))
    slow = threading.Event()

    def cancel() -> None:
        slow.wait(60)
        found.set_control(replace(found.control(), state="cancelled", now=True))

    def read(path: object, **given: object) -> None:
        slow.set()
        time.sleep(60)

    monkeypatch.setattr("fingerpost.schemas.inputs.sources.read_documents", read)
    threading.Thread(target=cancel, daemon=True).start()
    started = time.monotonic()
    assert run(found) == []
    assert time.monotonic() - started < 40
    monkeypatch.undo()
    course = progress_of(found)
    assert (course.control.state, course.waiting) == ("cancelled", tuple(DAYS[:2]))
    [state] = Partitions(FLOW, found.request.run).of([DAYS[0]])
    assert (state.state, state.reason[:11]) == ("missing", "interrupted")
    take_up(found)
    assert [end.state for end in run(found)] == ["completed", "completed"]


def test_two_do_not_lead_one_backfill(tmp_path: Path) -> None:
    drop(tmp_path, DAYS[0])
    found, _ = begin(backfill_of(tmp_path, last_day=DAYS[0]))
    with (
        holding(found.store, f"{found.folder}/leading", "other", flow="backfill"),
        pytest.raises(BackfillError, match="expected no other process to lead it"),
    ):
        run(found)
    assert ran(tmp_path) == []


def test_what_is_lost_on_the_way_to_the_server_is_no_failure_of_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    def lost(path: object, **given: object) -> None:
        raise httpx.ConnectError("refused")

    drop(tmp_path, DAYS[0])
    found, _ = begin(backfill_of(tmp_path, last_day=DAYS[0]))
    monkeypatch.setattr("fingerpost.schemas.inputs.sources.read_documents", lost)
    with pytest.raises(
        BackfillError, match=rf"expected the run of {DAYS[0]} to finish.*ConnectError.*resume {found.id}"
    ):
        run(found)
    monkeypatch.undo()
    assert progress_of(found).waiting == (DAYS[0],)
    assert [end.state for end in run(found)] == ["completed"]


@contextmanager
def bare_server() -> Iterator[str]:
    """The address of a server that answers and has nothing."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_backfill_without_its_server_leaves_nothing_that_looks_as_if_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    store, url = Store(str(tmp_path / "store")).prepare(), "http://127.0.0.1:1/api"
    span = ("--from", DAYS[0], "--to", DAYS[1], "--profile", "tiny", "--store", store.url)
    start = ("backfill", FLOW, *span, "--input", str(tmp_path / "drop-{day}.csv"))
    assert "expected it to run" in refused(*start, "--home", str(tmp_path), cwd=tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert f"server {url}: expected an answer" in refused(*start, cwd=tmp_path)
    with bare_server() as bare:
        monkeypatch.setenv("PREFECT_API_URL", bare)
        assert "deployment backfill/backfill: expected it" in refused(*start, cwd=tmp_path)
    assert backfills(store) == []
    assert ".backfills" not in store.files.names("")

    monkeypatch.setenv("PREFECT_API_URL", url)
    found, _ = begin(backfill_of(tmp_path))
    found.set_control(replace(found.control(), state="paused"))
    for action in ("resume", "retry-failed"):
        assert f"server {url}: expected an answer" in refused(
            "backfill", action, found.id, "--store", store.url, cwd=tmp_path
        )
        assert (found.control().state, found.control().attempt) == ("paused", 1)


def test_a_backfill_that_no_process_works_on_is_interrupted(tmp_path: Path) -> None:
    found, _ = begin(backfill_of(tmp_path))
    control = found.control()
    assert found.claim(control, DAYS[0], "gone")
    told = f"backfill {found.id}: 4 to go of 4 days, interrupted"
    assert summary(found, progress_of(found)) == told
    listed = fingerpost_here("backfill", "list", "--store", found.store.url, cwd=tmp_path).stdout
    assert listed.startswith(f"{told}; ")
    shown = fingerpost_here("backfill", "show", found.id, "--json", "--store", found.store.url, cwd=tmp_path).stdout
    assert json.loads(shown)["state"] == "interrupted"
    for folder in (found.leading, found.workers):
        with holding(found.store, folder, "other", flow="backfill"):
            assert progress_of(found).state == "running"
    found.set_control(replace(control, state="cancelled"))
    assert progress_of(found).state == "cancelled"


def test_the_form_of_the_flow_has_choices_and_words() -> None:
    schema = str(backfill.parameters.model_dump())
    for word in ("missing", "newest", "max_active", "maximum number of days at a time", "BackfillRequest"):
        assert word in schema
