"""Which days are run, in which order, how many to a run; and that a backfill goes on from wherever it was."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.flows.ops.backfill import runs as backfill_runs
from fingerpost.flows.ops.backfill.batches import START_SECONDS, START_SHARE, day_seconds, days_a_run, runs_to_start
from fingerpost.flows.ops.backfill.progress import check, progress_of, recover, take_up, try_failed_again
from fingerpost.flows.ops.backfill.record import (
    MOST_CRASHES,
    Backfill,
    BackfillError,
    BackfillRequest,
    Order,
    Reprocess,
    backfills,
    chosen,
)
from fingerpost.flows.ops.backfill.runs import Deployed
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.day_states import STATES
from fingerpost.flows.run.partitions import Partition
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.leases import holding
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import save_partition

FIRST, LAST = "2026-01-28", "2026-02-06"
DAYS = list(days_between(FIRST, LAST))


def request_for(store: str, **given: object) -> BackfillRequest:
    run = RunRequest(profile="tiny", store=store, input="docs-{day}.csv", collection="docs")
    return BackfillRequest.of(**{"first_day": FIRST, "last_day": LAST, "run": run, **given})


def new_backfill(days: list[str] | None = None, **given: object) -> Backfill:
    url = f"memory://backfill-{uuid.uuid4().hex}"
    return Backfill.create(Store(url).prepare(), request_for(url, **given), DAYS if days is None else days)


def end_day(backfill: Backfill, day: str, state: str, *, kind: str = "InputError") -> None:
    body = {
        "flow": "nightly",
        "collection": "docs",
        "day": day,
        "state": state,
        "seconds": 2.0,
        "at": "",
        "error": "" if state == "completed" else f"{kind}: bad",
        "error_kind": "" if state == "completed" else kind,
        "backfill": backfill.tag(backfill.control()),
    }
    save_partition(backfill.store, body)


@given(
    st.lists(st.sampled_from(sorted(STATES)), min_size=1, max_size=10),
    st.sampled_from(Reprocess),
    st.sampled_from(Order),
)
def test_the_days_of_a_choice_are_those_of_its_states_in_the_order_asked_for(
    states: list[str], reprocess: Reprocess, order: Order
) -> None:
    found = [Partition(day, state) for day, state in zip(DAYS, states, strict=False)]
    taken = [one.day for one in chosen(reversed(found), reprocess, order)]
    assert all(a > b if order is Order.newest else a < b for a, b in pairwise(taken))
    by_state = {state: {one.day for one in found if one.state == state} for state in STATES}
    at_work = by_state["running"] | by_state["waiting"]
    assert not set(taken) & at_work
    wanted = {
        Reprocess.missing: by_state["missing"] | by_state["stale"],
        Reprocess.failed: by_state["failed"] | by_state["quarantined"],
        Reprocess.all: {one.day for one in found} - at_work,
    }
    assert set(taken) == wanted[reprocess]


@given(st.floats(0.05, 10_000))
def test_a_runs_start_is_a_tenth_of_its_days_or_it_has_one_day(seconds: float) -> None:
    size = days_a_run(seconds)
    assert size >= 1
    assert START_SHARE * size * seconds * (1 + 1e-6) >= START_SECONDS
    assert size == 1 or START_SHARE * (size - 1) * seconds * (1 - 1e-6) < START_SECONDS


@given(st.integers(0, 400), st.integers(1, 60), st.integers(0, 20), st.integers(1, 16))
def test_runs_stay_under_the_cap_and_none_is_started_without_days(days: int, size: int, active: int, most: int) -> None:
    more = runs_to_start(days, size=size, active=active, most=most)
    assert 0 <= more <= max(most - active, 0)
    assert (more + active) * size >= days or more + active >= most
    assert (more == 0) if days == 0 else (more + active > 0)


def test_a_day_costs_what_days_did_cost_or_what_its_plan_says() -> None:
    assert day_seconds([], [3.0, 5.0, 100.0]) == 5.0
    assert day_seconds([4.0, None, 6.0]) == 7.0
    assert day_seconds([None]) == 20.0
    assert days_a_run(3600) == 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["completed", "failed", "interrupted", "held", "lost", "waiting"]), min_size=10, max_size=10
    )
)
def test_whatever_was_done_a_backfill_goes_on_with_the_rest_alone(states: list[str]) -> None:
    backfill = new_backfill(DAYS[::-1])
    control = backfill.control()
    by_state: dict[str, list[str]] = {}
    with holding(backfill.store, backfill.workers, "alive", flow="backfill"):
        for day, state in zip(DAYS, states, strict=True):
            by_state.setdefault(state, []).append(day)
            if state != "waiting":
                assert backfill.claim(control, day, "alive" if state == "held" else "dead")
                assert not backfill.claim(control, day, "another")
            if state in {"completed", "failed"}:
                end_day(backfill, day, state)
            if state == "interrupted":
                end_day(backfill, day, "failed", kind="ConnectError")
        course = progress_of(backfill)
        ended = set(by_state.get("completed", [])) | set(by_state.get("failed", []))
        assert set(course.ended) == ended
        assert set(course.running) == set(by_state.get("held", []))
        assert set(course.lost) == set(by_state.get("lost", [])) | set(by_state.get("interrupted", []))
        take_up(backfill)
        recover(backfill, course)
        after = progress_of(backfill, course)
        assert after.lost == ()
        assert list(after.waiting) == [day for day in DAYS[::-1] if day not in ended and day not in course.running]
        assert backfill.unclaimed(control) == list(after.waiting)


def test_a_day_whose_process_dies_again_and_again_is_given_up() -> None:
    backfill = new_backfill(DAYS[:2])
    for _ in range(MOST_CRASHES):
        assert backfill.claim(backfill.control(), DAYS[0], "dead")
        recover(backfill, progress_of(backfill))
    end_day(backfill, DAYS[1], "completed")
    assert backfill.claim(backfill.control(), DAYS[1], "dead")
    course = progress_of(backfill)
    assert course.over
    with pytest.raises(BackfillError, match=rf"all 2 days.*1 failed: {DAYS[0]} \(its process died 3 times"):
        check(backfill, course)


def test_a_day_that_another_run_took_over_stays_as_it_ended() -> None:
    backfill = new_backfill(DAYS[:2])
    control, another = backfill.control(), Backfill.create(backfill.store, backfill.request, DAYS[:2])
    for day, state in zip(DAYS, ("completed", "failed"), strict=False):
        assert backfill.claim(control, day, "dead")
        backfill.end(
            control, day, "dead", {"state": state, "seconds": 3.0, "error": "" if state == "completed" else "x"}
        )
        end_day(another, day, "failed")
    ended = {day: (end.state, end.seconds, end.reason) for day, end in progress_of(backfill).ended.items()}
    assert ended == {DAYS[0]: ("completed", 3.0, ""), DAYS[1]: ("failed", 3.0, "x")}
    # An earlier version kept no outcome with the claim.
    for day in DAYS[:2]:
        backfill.release(control, day)
        assert backfill.claim(control, day, "dead")
    assert progress_of(backfill).lost == tuple(DAYS[:2])
    backfill.set_control(replace(control, state="finished"))
    assert progress_of(backfill).over


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"worker": 7}', b"\xff", b'{"worker": "w", "outcome": {}}'])
def test_a_claim_that_cannot_be_read_is_that_of_a_process_that_is_gone(content: bytes) -> None:
    backfill = new_backfill(DAYS[:1])
    backfill.store.files.write(f"{backfill.folder}/claims-1/{DAYS[0]}.json", content)
    backfill.store.files.write(f"{backfill.folder}/crashes.json", content)
    course = progress_of(backfill)
    assert course.lost == (DAYS[0],)
    recover(backfill, course)
    assert backfill.unclaimed(backfill.control()) == [DAYS[0]]


def test_a_backfill_that_cannot_be_read_is_named_and_the_others_are_listed(caplog: pytest.LogCaptureFixture) -> None:
    backfill = new_backfill(DAYS[:1])
    other = Backfill.create(backfill.store, backfill.request, DAYS[:1])
    for name in ("request.json", "control.json"):
        content = backfill.store.files.read(f"{backfill.folder}/{name}")
        for damaged in (b"", b"[]", b"{}", content.replace(b'"state"', b'"states"').replace(b'"by"', b'"for"')):
            backfill.store.files.write(f"{backfill.folder}/{name}", damaged)
            assert [found.id for found in backfills(backfill.store)] == [other.id]
            assert f"{backfill.folder}/{name}" in caplog.text
        backfill.store.files.write(f"{backfill.folder}/{name}", content)
        caplog.clear()
    backfill.store.files.write(".backfills/.DS_Store", b"")
    assert {found.id for found in backfills(backfill.store)} == {backfill.id, other.id}


def test_only_failed_days_are_tried_again_and_only_when_all_ended() -> None:
    backfill = new_backfill(DAYS[:3])
    for day, state in zip(DAYS, ("completed", "failed"), strict=False):
        assert backfill.claim(backfill.control(), day, "w")
        end_day(backfill, day, state)
    with pytest.raises(BackfillError, match="found 1 to go"):
        try_failed_again(backfill)
    assert backfill.claim(backfill.control(), DAYS[2], "w")
    end_day(backfill, DAYS[2], "completed")
    assert try_failed_again(backfill) == [DAYS[1]]
    course = progress_of(backfill)
    assert (course.control.attempt, course.waiting) == (2, (DAYS[1],))


def test_a_backfill_can_be_read_again_and_an_unknown_one_is_named() -> None:
    backfill = new_backfill(reprocess="failed", order="oldest", max_active=3)
    again = Backfill.load(backfill.store, backfill.id)
    assert again.request == backfill.request
    assert again.control() == backfill.control()
    with pytest.raises(BackfillError, match=rf"expected the id of one that can be read \({backfill.id}\), got 'other'"):
        Backfill.load(backfill.store, "other")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"first_day": "2026-02-30"}, "2026-02-30"),
        ({"first_day": "2026-03-01", "last_day": "2026-02-01"}, "expected the first not after the last"),
        ({"last_day": ""}, "last_day: expected a day"),
        ({"reprocess": "some"}, "'missing', 'failed' or 'all'"),
        ({"max_active": 0}, "greater than or equal to 1"),
        ({"flow": "weekly"}, "expected one of nightly, .*tune_thresholds.* got 'weekly'"),
        ({"run": RunRequest(day="2026-01-01")}, "expected no day"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        request_for("memory://x", **given)


class FakeServer:
    """A Prefect server that knows some runs."""

    url = "http://server/api"

    def __init__(self, runs: list[dict[str, object]]) -> None:
        self.runs, self.posts = runs, []

    def pages(self, path: str, body: dict[str, object]) -> list[dict[str, object]]:
        return self.runs

    def get(self, path: str) -> dict[str, object]:
        return {"id": "deployment"}

    def post(self, path: str, body: dict[str, object]) -> int:
        self.posts.append((path, body))
        return len(self.runs)


def minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def test_a_run_that_died_unnoticed_is_found_by_its_missing_lease_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    backfill, ago = new_backfill(), "2026-01-01T00:00:00Z"
    runs = [
        {"id": "at-work", "state_type": "RUNNING", "start_time": ago},
        {"id": "dead", "state_type": "RUNNING", "start_time": ago},
        {"id": "young", "state_type": "RUNNING", "start_time": datetime.now(UTC).isoformat()},
        {"id": "queued", "state_type": "SCHEDULED", "start_time": None},
        {"id": "starting", "state_type": "PENDING", "start_time": None, "state": {"timestamp": minutes_ago(5)}},
        {"id": "never-started", "state_type": "PENDING", "start_time": None, "state": {"timestamp": ago}},
    ]
    server = FakeServer(runs)
    place = Deployed(backfill, server, [3.0], lambda: [])  # type: ignore[arg-type]
    with holding(backfill.store, backfill.workers, "at-work", flow="backfill"):
        assert place.active() == 6, "a run without a lease may be one that is about to end"
        assert not server.posts
        monkeypatch.setattr(backfill_runs, "_ENDING", 0.0)
        assert place.active() == 4
    assert [path for path, _ in server.posts] == ["flow_runs/dead/set_state", "flow_runs/never-started/set_state"]
    assert {body["state"]["type"] for _, body in server.posts} == {"CRASHED"}  # type: ignore[index]
    server.posts.clear()
    place.start(2)
    asked = [body for path, body in server.posts if path.endswith("create_flow_run")]
    assert [body["idempotency_key"] for body in asked] == [f"{backfill.id}:7", f"{backfill.id}:8"]
    assert asked[0]["parameters"]["request"]["take"] == 20  # type: ignore[index]
    BackfillRequest.model_validate(asked[0]["parameters"]["request"])  # type: ignore[index]
