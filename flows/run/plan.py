"""The plan of a run: what it would compute, why and at what cost; and afterwards, expected against actual cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import PlannedStage, StageRecord


@dataclass(frozen=True)
class Cost:
    """Seconds, peak memory in MB and bytes stored, without the stages of ``unknown`` cost."""

    seconds: float
    peak_mb: float
    bytes: int
    unknown: int = 0

    def __str__(self) -> str:
        if self.unknown and not self.seconds:
            return f"the cost of {self.unknown} stage(s) is not known"
        words = f"{self.seconds:,.1f} s, {self.peak_mb:,.0f} MB at most, {self.bytes / 1e6:,.1f} MB stored"
        return f"{words}, and {self.unknown} stage(s) of unknown cost" if self.unknown else words


@dataclass(frozen=True)
class Plan:
    """The stages that a flow would compute or reuse for a day of a collection.

    beside_seconds: in which the run and its workers start and end; 0 where that was not asked.
    """

    flow: str
    collection: str
    day: str
    stages: tuple[PlannedStage, ...]
    notes: tuple[str, ...] = ()
    beside_seconds: float = 0.0

    @property
    def runs(self) -> list[PlannedStage]:
        """The stages that would be computed."""
        return [stage for stage in self.stages if stage.runs]

    @property
    def decisive(self) -> "Plan":
        """The stages that would be computed and do more than observe: they decide whether a day is stale."""
        return replace(self, stages=tuple(stage for stage in self.stages if not stage.observes))

    @property
    def cost(self) -> Cost:
        """The expected cost of the stages to compute, from its last computation or the size of the input."""
        known_costs = [stage.estimate for stage in self.runs if stage.estimate]
        return Cost(
            sum(cost.seconds for cost in known_costs),
            max((cost.peak_mb for cost in known_costs), default=0.0),
            sum(cost.bytes for cost in known_costs),
            len(self.runs) - len(known_costs),
        )

    @property
    def reason(self) -> str:
        """The first cause: the reason of the first stage that would be computed; empty if none would."""
        return self.runs[0].reason if self.runs else ""


def plan_in(flow: str, env: Environment) -> Plan:
    """The plan that a planning environment recorded."""
    return Plan(flow, env.collection, env.day, tuple(env.planned), tuple(env.notes))


def rows_of(plan: Plan) -> list[dict[str, str]]:
    """The plan as rows of a table."""
    keys = ("seconds", "peak MB", "MB stored")
    return [
        {"stage": stage.name, "would": "run" if stage.runs else "be reused", "why": stage.reason}
        | dict(zip(keys, figures(stage), strict=True))
        for stage in plan.stages
    ]


def accuracy(records: Sequence[StageRecord]) -> dict[str, float]:
    """Expected and actual cost over the computed stages that had an estimate; empty if there were none."""
    pairs = [(record, record.estimate) for record in records if record.computed and record.estimate]
    if not pairs:
        return {}
    return {
        "stages": len(pairs),
        "expected_seconds": round(sum(expected.seconds for _, expected in pairs), 2),
        "seconds": round(sum(record.seconds for record, _ in pairs), 2),
        "expected_peak_mb": max(expected.peak_mb for _, expected in pairs),
        "peak_mb": max(record.peak_mb for record, _ in pairs),
        "expected_bytes": sum(expected.bytes for _, expected in pairs),
        "bytes": sum(record.bytes for record, _ in pairs),
    }


def figures(stage: PlannedStage) -> tuple[str, str, str]:
    """Seconds, peak memory and bytes of a stage as text; empty where it is reused."""
    cost = stage.estimate
    if not stage.runs:
        return "", "", ""
    return (f"{cost.seconds:.1f}", f"{cost.peak_mb:,.0f}", f"{cost.bytes / 1e6:.1f}") if cost else ("?", "?", "?")
