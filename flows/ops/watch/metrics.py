"""Metrics for Prometheus, computed from the records of runs and days. Imports no Prefect and opens no artifact.

Records do not change once they are written, so each is read once; what depends on the clock is computed per scrape.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fingerpost.flows import domains
from fingerpost.flows.run.alerts import undelivered
from fingerpost.flows.run.calendar import logical_day
from fingerpost.flows.run.day_states import STATES, kept_states, newest_states
from fingerpost.flows.run.freshness import Deadline, freshness, recorded_deadline
from fingerpost.flows.run.schedule_pause import pause_of
from fingerpost.flows.run.waits import days_at_work
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import full_name, partitioned, partitions, read_run, run_ids, stages_by_name

_RECALL = re.compile(r"recall_at_(\d+)")
_STATES = ("completed", "failed")


def registry(store: Store, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> CollectorRegistry:
    """A registry with only this store's metrics."""
    found = CollectorRegistry(auto_describe=False)
    found.register(StoreCollector(store, clock))
    return found


@dataclass
class _Totals:
    """Totals over the records of all runs, and the newest values of each stage."""

    seen: set[str] = field(default_factory=set)
    runs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    shards: Counter[tuple[str, str]] = field(default_factory=Counter)
    resumed: Counter[tuple[str, str]] = field(default_factory=Counter)
    last: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    computed: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    quality: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    quarantined: dict[tuple[str, str], float] = field(default_factory=dict)
    bytes: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds a run; runs come oldest first."""
        flow, collection = record["flow"], record["collection"]
        for state in _STATES:
            self.runs[flow, collection, state] += record["state"] == state
        self.last[flow, collection] = {key: record[key] for key in ("state", "seconds", "at", "day")}
        for stage in stages_by_name(record).values():
            part = _without_day(stage.get("part", ""))
            name = (collection, full_name(stage["stage"], part))
            artifact = full_name(Ref.parse(stage["ref"]).name, part)
            self.quality[collection, artifact] = stage["quality"]
            if (file := domains.imported_by(stage["stage"], stage.get("part", ""))) is not None:
                self.quarantined[collection, file.title] = float(stage["quality"].get("quarantine_share", 0.0))
            self.shards[name] += stage["shards_run"]
            self.resumed[name] += stage["shards_resumed"]
            if stage["computed"]:
                self.computed[name] = {
                    **{key: stage[key] for key in ("seconds", "peak_mb")},
                    "rows": sum(stage["rows"].values()),
                }


def _without_day(part: str) -> str:
    """A part without the day of an input that several are read of: each day would be a series of its own for ever."""
    return re.sub(r" ?\d{4}-\d{2}-\d{2}$", "", part)


class StoreCollector:
    """The metrics of one store."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self.store, self.clock, self._totals = store, clock, _Totals()

    def collect(self) -> Iterator[Metric]:
        """All metrics, as of now."""
        totals, now = self._refreshed(), self.clock()
        yield from _run_metrics(totals)
        yield from _stage_metrics(totals)
        yield from _quality_metrics(totals)
        yield from self._day_metrics(now)
        yield from self._live_metrics(now)
        yield _gauge(
            "fingerpost_store_bytes", "Bytes of all files in the store, as of the newest run", [], {(): totals.bytes}
        )
        yield _gauge(
            "fingerpost_alerts_undelivered",
            "Alerts of the last days that the webhook did not accept",
            [],
            {(): len(undelivered(self.store, now=now))},
        )

    def _refreshed(self) -> _Totals:
        totals = self._totals
        new = [run for run in run_ids(self.store) if run not in totals.seen]
        for run in new:
            totals.seen.add(run)
            try:
                totals.add(read_run(self.store, run))
            except FileNotFoundError:
                continue
            except FingerpostError as problem:
                leave_out(problem)
        if new:
            totals.bytes = sum(found.size for found in self.store.files.listing().values())
        return totals

    def _day_metrics(self, now: datetime) -> Iterator[Metric]:
        labels = ["flow", "collection"]
        states: dict[tuple[str, ...], float] = {}
        late: dict[tuple[str, ...], float] = {}
        behind: dict[tuple[str, ...], float] = {}
        since: dict[tuple[str, ...], float] = {}
        quarantined: dict[tuple[str, ...], float] = {}
        recent: dict[tuple[str, ...], float] = {}
        for flow, collection in partitioned(self.store):
            records = partitions(self.store, flow, collection)
            if look := kept_states(self.store, flow, collection):
                at_work = days_at_work(self.store, flow, collection, now=now)
                current = newest_states(look, records, {day: one.state for day, one in at_work.items()})
                for state in STATES:
                    recent[flow, collection, state] = sum(found == state for found in current.values())
            deadline = recorded_deadline(records)
            today = logical_day(now, timezone=(deadline or Deadline()).timezone)
            for state in _STATES:
                states[flow, collection, state] = sum(record.get("state") == state for record in records.values())
            newest = max((day for day in records if day <= today), default="")
            quarantined[flow, collection] = float(records[newest].get("quarantined", 0)) if newest else 0.0
            pause = pause_of(self.store, flow, collection)
            found = freshness(flow, collection, deadline or Deadline(), records, now=now, pause=pause)
            if found.newest:
                passed = (deadline or Deadline()).moment(found.newest)
                since[flow, collection] = (now - passed).total_seconds()
            # A flow without a schedule has no deadline, and is never late.
            late[flow, collection] = float(bool(deadline and found.late))
            first = found.late[0].since if deadline and found.late else ""
            behind[flow, collection] = (now - datetime.fromisoformat(first)).total_seconds() if first else 0.0
        yield _gauge("fingerpost_partitions", "Days by how their last run ended", [*labels, "state"], states)
        yield _gauge(
            "fingerpost_recent_partitions",
            "Recent days by their state (fresh, missing, stale, failed, quarantined, running, waiting) as of the newest look of"
            " watch_freshness, and of what has run since",
            [*labels, "state"],
            recent,
        )
        yield _gauge("fingerpost_partition_late", "1 if a scheduled day is missing after its deadline", labels, late)
        yield _gauge(
            "fingerpost_partition_overdue_seconds",
            "Seconds since the deadline of the oldest late day, 0 if none is late",
            labels,
            behind,
        )
        yield _gauge(
            "fingerpost_partition_freshness_seconds",
            "Seconds since the deadline of the newest finished day (negative before it)",
            labels,
            since,
        )
        yield _gauge(
            "fingerpost_quarantined_rows",
            "Rows of all inputs that were quarantined in the newest day",
            labels,
            quarantined,
        )

    def _live_metrics(self, now: datetime) -> Iterator[Metric]:
        labels = ["collection", "product"]
        generations: dict[tuple[str, ...], float] = {}
        ages: dict[tuple[str, ...], float] = {}
        for collection, product in products(self.store):
            try:
                if move := Pointer(self.store, collection, product).live():
                    generations[collection, product] = move.generation
                    ages[collection, product] = (now - datetime.fromisoformat(move.at)).total_seconds()
            except FingerpostError as problem:
                leave_out(problem)
        yield _gauge("fingerpost_live_generation", "Generation of the live version", labels, generations)
        yield _gauge("fingerpost_live_age_seconds", "Seconds since the live version became live", labels, ages)


def _run_metrics(totals: _Totals) -> Iterator[Metric]:
    labels = ["flow", "collection"]
    last = totals.last
    yield _counter("fingerpost_runs", "Runs by how they ended", [*labels, "state"], totals.runs)
    yield _gauge(
        "fingerpost_last_run_failed",
        "1 if the newest run failed",
        labels,
        {k: float(r["state"] == "failed") for k, r in last.items()},
    )
    yield _gauge(
        "fingerpost_last_run_duration_seconds",
        "Seconds that the newest run took",
        labels,
        {k: r["seconds"] for k, r in last.items()},
    )
    ended = {key: datetime.fromisoformat(run["at"]).timestamp() for key, run in last.items()}
    yield _gauge(
        "fingerpost_last_run_timestamp_seconds", "When the newest run ended, in seconds since 1970", labels, ended
    )


def _stage_metrics(totals: _Totals) -> Iterator[Metric]:
    labels, computed = ["collection", "stage"], totals.computed
    speed = {key: stage["rows"] / stage["seconds"] for key, stage in computed.items() if stage["seconds"]}
    yield _gauge(
        "fingerpost_stage_duration_seconds",
        "Seconds that the stage took when it was last computed",
        labels,
        {k: s["seconds"] for k, s in computed.items()},
    )
    yield _gauge("fingerpost_stage_rows_per_second", "Rows written per second when it was last computed", labels, speed)
    yield _gauge(
        "fingerpost_stage_peak_memory_bytes",
        "Maximum memory of a process when it was last computed",
        labels,
        {k: s["peak_mb"] * 1024 * 1024 for k, s in computed.items()},
    )
    yield _counter("fingerpost_stage_shards_run", "Shards computed", labels, totals.shards)
    yield _counter(
        "fingerpost_stage_shards_resumed",
        "Finished shards that a retried or resumed run reused",
        labels,
        totals.resumed,
    )


def _quality_metrics(totals: _Totals) -> Iterator[Metric]:
    figures: dict[tuple[str, ...], float] = {}
    recalls: dict[tuple[str, ...], float] = {}
    for (collection, artifact), quality in totals.quality.items():
        for name, value in quality.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            figures[collection, artifact, name] = float(value)
            if found := _RECALL.fullmatch(name):
                recalls[collection, artifact, found[1]] = float(value)
    labels = ["collection", "artifact"]
    yield _gauge("fingerpost_quality", "Quality metrics of the newest artifacts", [*labels, "figure"], figures)
    yield _gauge(
        "fingerpost_recall_ratio",
        "Fraction of the true nearest neighbours, or of a query's labels, that are among the first k",
        [*labels, "k"],
        recalls,
    )
    yield _gauge(
        "fingerpost_quarantine_ratio",
        "Fraction of the newest rows of each input (documents, interactions, ...) that were quarantined",
        ["collection", "input"],
        totals.quarantined,
    )


def _gauge(name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), float(value))
    return family


def _counter(name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), float(value))
    return family
