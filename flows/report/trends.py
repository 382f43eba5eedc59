"""How a collection's metrics went over its runs, from the records of earlier ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.publish import Publication
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import read_run, run_ids

#: Runs that are shown, and records that are read for them at most: those of other collections lie between.
SHOWN, READ = 30, 120
#: The metric that every run has.
TIME = "time, s"


@dataclass(frozen=True)
class Point:
    """A metric of one run: the run's day and time, and whether the run published what is live now."""

    day: str
    at: str
    value: float
    live: bool


@dataclass(frozen=True)
class Trend:
    """A metric over the runs that have it, oldest first."""

    title: str
    points: tuple[Point, ...]

    @property
    def summary(self) -> tuple[float, float, float]:
        """The first and the last value, and the median."""
        values = sorted(point.value for point in self.points)
        return self.points[0].value, self.points[-1].value, values[len(values) // 2]


def read_trends(store: Store, record: Mapping[str, Any], live: Iterable[Publication]) -> list[Trend]:
    """The metrics of a run that earlier completed runs of its flow and collection have too.

    In the order of the domains; the time of runs comes first. None for a run without such ones.
    """
    records = [*_earlier(store, record), record]
    if len(records) < 2:
        return []
    answering = {(move.ref, move.generation) for move in live}
    points: dict[str, list[Point]] = {}
    for one in records:
        moves = one.get("publications") or ([one["publication"]] if one.get("publication") else [])
        is_live = any((move["ref"], move["generation"]) in answering for move in moves)
        for title, value in metrics(one):
            points.setdefault(title, []).append(Point(one["day"], one["at"], value, is_live))
    shown = dict(metrics(record))
    return [Trend(title, tuple(found)) for title, found in points.items() if title in shown and len(found) > 1]


def metrics(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The metrics of a run's record by title: its time, and those of its domains."""
    found = {TIME: float(record["seconds"])}
    for domain in domains.DOMAINS:
        if domain.report is not None and domain.report.trends:
            found |= dict(named(domain.report.trends)(record))
    return list(found.items())


def _earlier(store: Store, record: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The newest completed runs of the flow and collection before this one, oldest first."""
    found: list[dict[str, Any]] = []
    for run in reversed([run for run in run_ids(store) if run < record["id"]][-READ:]):
        try:
            one = read_run(store, run)
        except (FileNotFoundError, FingerpostError) as problem:
            if isinstance(problem, FingerpostError):
                leave_out(problem)
            continue
        same = all(one.get(name) == record[name] for name in ("flow", "collection"))
        if same and one.get("state") == "completed":
            found.append(one)
        if len(found) == SHOWN - 1:
            break
    return found[::-1]
