"""The candidates of a search as a report shows them: the front, the chosen one, and the best so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fingerpost.schemas import nas
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.chosen import best_row
from fingerpost.tasks.nas.differences import stage_text

#: Networks of a front that a table shows.
_ROWS = 20


@dataclass(frozen=True)
class Candidate:
    """An evaluated network; ``number`` is in the order of evaluations, 0 the given reference."""

    number: int
    architecture: Architecture
    accuracy: float | None
    latency_ms: float | None
    latency_spread_ms: float | None
    memory_bytes: int
    parameters: int
    macs: int
    feasible: bool
    trained: bool
    front: bool
    origin: str

    @property
    def stages(self) -> list[str]:
        """Its stages in short, from the stem."""
        return [f"stem {self.architecture.stem}", *map(stage_text, self.architecture.stages)]


@dataclass(frozen=True)
class Candidates:
    """All evaluated networks in their order, and the one that the search chose."""

    every: list[Candidate] = field(default_factory=list)
    chosen: Candidate | None = None

    @property
    def front(self) -> list[Candidate]:
        """The trained networks of the Pareto front that keep the limits, the most accurate first."""
        found = [one for one in self.every if one.front and one.trained and one.accuracy is not None]
        return sorted(found, key=lambda one: (-(one.accuracy or 0.0), one.latency_ms or 0.0, one.number))

    @property
    def shown(self) -> list[Candidate]:
        """The first networks of the front."""
        return self.front[:_ROWS]

    @property
    def reference(self) -> Candidate | None:
        """The network that the search began with."""
        return next((one for one in self.every if one.number == 0), None)

    @property
    def progress(self) -> list[tuple[int, float]]:
        """The best accuracy so far of trained networks that keep the limits, by the number of evaluations."""
        found: list[tuple[int, float]] = []
        for one in self.every:
            if one.trained and one.feasible and one.accuracy is not None:
                found.append((one.number + 1, max(one.accuracy, found[-1][1] if found else one.accuracy)))
        return found


def read_candidates(store: Store, search: Ref) -> Candidates:
    """The candidates of a search."""
    rows = sorted(store.open(search, nas.SEARCH).read("evaluated").to_pylist(), key=lambda row: row["number"])
    every = [_candidate(row) for row in rows]
    chosen = any(row["trained"] and row["feasible"] for row in rows)
    return Candidates(every, every[best_row(rows)] if chosen else None)


def _candidate(row: Mapping[str, Any]) -> Candidate:
    same = ("number", "accuracy", "latency_ms", "latency_spread_ms", "memory_bytes", "parameters", "macs")
    return Candidate(
        architecture=Architecture.parse(row["description"]),
        front=row["front"] == 0,
        **{name: row[name] for name in (*same, "feasible", "trained", "origin")},
    )
