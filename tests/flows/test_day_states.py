"""The states of recent days beside their records, and where a request cannot be used."""

from datetime import timedelta
from pathlib import Path

import pytest

from fingerpost.flows.ops.watch.states import with_states
from fingerpost.flows.run.day_states import STATES, DayState, Look, keep_states, kept_states, newest_states
from fingerpost.flows.run.freshness import freshness_lines, scheduled_freshness, unscheduled
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions
from tests.ops.watched import note_day, request_for, run_here
from tests.support.day_worlds import NOW, schedule, states_everywhere

pytestmark = pytest.mark.usefixtures("plain_runs")


def test_artifacts_of_another_make_are_stale_everywhere_if_their_request_can_be_used(tmp_path: Path) -> None:
    store, _ = run_here(tmp_path)
    assert scheduled_freshness(store, now=NOW) == []
    (entry,) = [with_states(store, one) for one in unscheduled(store, [], now=NOW)]
    assert [(day.day, day.state) for day in entry.days] == [("2026-01-05", "stale")]
    assert entry.late == ()
    assert unscheduled(store, [entry], now=NOW) == unscheduled(store, [], now=NOW + timedelta(days=9)) == []
    schedule(store, "nightly", "toys")
    request = request_for(tmp_path, next(tmp_path.glob("*.csv"))).model_copy(update={"day": ""})
    assert states_everywhere("nightly", request) == {"2026-01-05": "stale"}
    run = store.files.names(".runs")[0]
    body = store.files.read(f".runs/{run}").replace(b'"profile": "tiny"', b'"profile": "gone.toml"')
    store.files.write(f".runs/{run}", body)
    (entry,) = [with_states(store, one) for one in scheduled_freshness(store, now=NOW)]
    assert [day.state for day in entry.days] == ["fresh"]
    assert "gone.toml" in entry.problem
    assert "gone.toml" in "\n".join(freshness_lines([entry]))
    store.files.remove(".runs")
    assert [with_states(store, one).problem for one in scheduled_freshness(store, now=NOW)] == [""]


def test_the_newest_states_follow_what_has_run_since(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    assert kept_states(store, "nightly", "toys") is None
    days = tuple(DayState(f"2026-01-0{number}", state) for number, state in enumerate(STATES, start=1))
    keep_states(store, "nightly", "toys", days, now=NOW)
    look = kept_states(store, "nightly", "toys")
    assert look == Look(NOW, days)
    later, before = ((NOW + timedelta(hours=hours)).isoformat() for hours in (1, -1))
    note_day(store, "2026-01-03", at=later)
    note_day(store, "2026-01-04", at=before)
    note_day(store, "2026-01-07", state="failed", error_kind="InputError", at=later)
    found = newest_states(look, partitions(store, "nightly", "toys"), {"2026-01-02": "running"})
    assert found == {
        "2026-01-01": "fresh",
        "2026-01-02": "running",
        "2026-01-03": "fresh",
        "2026-01-04": "failed",
        "2026-01-05": "quarantined",
        "2026-01-06": "missing",
        "2026-01-07": "failed",
    }
    store.files.write(".states/nightly/toys.json", b'{"at": 3, "days": []}')
    assert kept_states(store, "nightly", "toys") is None
