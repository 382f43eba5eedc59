"""Files a day, a store, and runs over them: days with each outcome that a run can have, and their states everywhere."""

import contextlib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fingerpost.flows.ops.backfill.progress import select
from fingerpost.flows.ops.backfill.record import BackfillRequest
from fingerpost.flows.ops.watch.metrics import registry
from fingerpost.flows.ops.watch.states import with_states
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.day_states import STATES, DayState, keep_states
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.freshness import Freshness, freshness_lines, scheduled_freshness
from fingerpost.flows.run.partition_calendar import calendar_markdown
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.flows.watch_freshness import row_of
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions, save_partition
from tests.ops.watched import DEADLINE
from tests.support.products import write_csv

FLOW = "featurize_corpus"
DAYS = days_between("2026-01-01", "2026-01-05")
#: Days are due at eight, so the fifth day is late.
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@dataclass
class World:
    """Files a day and a store."""

    folder: Path

    def request(self, **settings: object) -> RunRequest:
        return RunRequest(
            profile="tiny",
            store=str(self.folder / "store"),
            input=str(self.folder / "drop-{day}.csv"),
            collection="products",
            settings=settings,
            columns={"id": "sku", "title": "name", "text": "about", "kind": "group"},
        )

    def drop(self, day: str, *, seed: int = 0, bad: int = 0) -> Path:
        path = write_csv(self.folder / f"drop-{day}.csv", rows=60, seed=seed)
        lines = path.read_text().splitlines()
        for row in range(1, 1 + bad):
            lines[row] = f",{lines[row].split(',', 1)[1]}"
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, day: str) -> None:
        with contextlib.suppress(FingerpostError):
            run_flow(FLOW, self.request().for_day(day), quiet=True)

    @property
    def stages(self) -> int:
        """How many stages a day has."""
        return len(plan_of(FLOW, self.request().for_day(DAYS[0])).stages)

    def state(self, day: str, **settings: object) -> tuple[str, str]:
        [found] = Partitions(FLOW, self.request(**settings)).of([day])
        return found.state, found.reason


def eventful_days(folder: Path) -> World:
    """Day 1 is good, 2 has some bad rows, 3 too many, 4 an empty file, 5 none."""
    world = World(folder)
    world.drop(DAYS[0], seed=1)
    world.drop(DAYS[1], seed=2, bad=2)
    world.drop(DAYS[2], seed=3, bad=30)
    (world.folder / f"drop-{DAYS[3]}.csv").write_text("")
    for day in DAYS[:4]:
        world.run(day)
    return world


def schedule(store: Store, flow: str, collection: str) -> None:
    """Makes the days with a record those of a schedule."""
    for record in partitions(store, flow, collection).values():
        save_partition(store, {**record, "deadline": DEADLINE})


def states_everywhere(flow: str, request: RunRequest, *, now: datetime = NOW) -> dict[str, str]:
    """The states of recent days, once all that show them agree."""
    store = Store(request.store)
    (entry,) = [with_states(store, one) for one in scheduled_freshness(store, now=now)]
    days = [day.day for day in entry.days]
    found = Partitions(flow, request).of(days)
    states = {one.day: one.state for one in found}
    assert entry.problem == ""
    assert entry.days == tuple(DayState(one.day, one.state, one.reason) for one in found)
    assert {late.day: late.state for late in entry.late}.items() <= states.items()
    assert not {late.day for late in entry.late} & {day for day, state in states.items() if state == "fresh"}
    for reprocess, taken in (("missing", {"missing", "stale"}), ("failed", {"failed", "quarantined"})):
        asked = BackfillRequest(flow=flow, first_day=days[0], last_day=days[-1], reprocess=reprocess, run=request)
        assert {one.day for one in select(asked)} == {day for day, state in states.items() if state in taken}

    keep_states(store, entry.flow, entry.collection, entry.days, now=datetime.now(UTC))
    metrics = {
        state: registry(store, clock=lambda: now).get_sample_value(
            "fingerpost_recent_partitions", {"flow": flow, "collection": entry.collection, "state": state}
        )
        for state in STATES
    }
    counts = Counter(states.values())
    assert {state: count for state, count in metrics.items() if count} == counts

    page = dict(re.findall(r"(\S+) \((\w+)\)", row_of(entry)["not fresh"]))
    assert page == {day: state for day, state in states.items() if state != "fresh"}
    legend = calendar_markdown(found).split("\n| day |")[0].strip().splitlines()[-1]
    assert {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", legend)} == counts
    _check_words(entry, states)
    return states


def _check_words(entry: Freshness, states: dict[str, str]) -> None:
    head, *lines = freshness_lines([entry])
    assert (": fresh, " in head) == (set(states.values()) == {"fresh"})
    said = {line.split()[0]: line.split()[1].rstrip(",:") for line in lines}
    assert said == {day: state for day, state in states.items() if state != "fresh"}
