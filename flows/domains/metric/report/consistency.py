"""A threshold and its consistency across classes for the report, read from the assessment."""

import math
from dataclasses import dataclass, field
from typing import Any

from fingerpost.schemas import metric
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Maximum number of classes that are listed, and that are drawn.
LISTED, DRAWN = 10, 200


@dataclass(frozen=True)
class ClassPoint:
    """The rates of a test class at the threshold; None where it has no such pairs. role: worst, few or empty."""

    name: str
    far: float | None
    frr: float | None
    utility: float | None
    positives: int
    negatives: int
    role: str


@dataclass(frozen=True)
class Consistency:
    """A threshold chosen on validation classes, and test classes at it and along the calibration range.

    ``figures``: values by (method, setting, metric). ``thresholds``: the range; ``drawn``: (name, role, utilities along
    it) of classes, and ``mean`` over all classes that count. ``groups``: rows of the assessment's table of groups.
    ``cautions``: warnings why the target is not safely met.
    """

    measure: str
    rate: str
    share: float
    level: float
    figures: dict[tuple[str, str, str], float]
    classes: list[ClassPoint]
    thresholds: list[float]
    drawn: list[tuple[str, str, list[float]]]
    mean: list[float]
    retrieval: dict[str, Any]
    groups: list[dict[str, Any]] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """The threshold as users know it: a minimum similarity, or a maximum distance."""
        return self.figures["threshold", "validation", "value"]

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the threshold."""
        return self.figures["threshold", "validation", "low"], self.figures["threshold", "validation", "high"]

    @property
    def rows(self) -> list[tuple[str, list[float | None]]]:
        """Rows of (classes, FAR and FRR of these); for classes left out while choosing only the target's rate."""
        held = self.figures.get(("threshold", "validation", f"held_out_{self.rate}"))
        sides = [
            (words, [self.figures.get(("threshold", side, name)) for name in ("far", "frr")])
            for words, side in (("where it was chosen", "validation"), ("other classes", "test"))
        ]
        sides.insert(
            1, ("where it was chosen, each class left out", [held, None] if self.rate == "far" else [None, held])
        )
        return sides

    @property
    def worst(self) -> list[ClassPoint]:
        """The classes with the highest rate of the target's kind."""
        known = [point for point in self.classes if getattr(point, self.rate) is not None]
        return sorted(known, key=lambda point: -getattr(point, self.rate))[:LISTED]

    @property
    def few(self) -> int:
        """Classes with too few pairs to count."""
        return sum(point.role == "few" for point in self.classes)

    def interval_of(self, name: str) -> tuple[float, float] | None:
        """The interval of OPIS (``opis``) or of its worst classes (``worst opis``), if classes were resampled."""
        ends = [self.figures.get((name, "test", end)) for end in ("low", "high")]
        return (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None else None


def read_consistency(store: Store, record: dict[str, Any]) -> Consistency | None:
    """The assessment of a run that tuned a threshold, with its retrieval metrics; None where there is none."""
    stages = {Ref.parse(stage["ref"]).name: stage for stage in record["stages"]}
    if metric.ASSESSMENT.name not in stages:
        return None
    artifact = store.open(Ref.parse(stages[metric.ASSESSMENT.name]["ref"]), metric.ASSESSMENT)
    params = artifact.manifest.identity["parameters"]["params"]
    figures = {(r["method"], r["setting"], r["metric"]): r["value"] for r in artifact.read("figures").to_pylist()}
    classes = [ClassPoint(**row) for row in artifact.read("classes").to_pylist()]
    curves = tensors_from_arrow(artifact.read("curves"))
    counted = [row for row, point in enumerate(classes) if point.role != "few"]
    # From the lowest mean utility to the highest; evenly sampled if there are too many.
    order = sorted(counted, key=lambda row: (classes[row].utility or 0.0, classes[row].name))
    sampled = [order[round(index * (len(order) - 1) / max(DRAWN - 1, 1))] for index in range(DRAWN)]
    some = order if len(order) <= DRAWN else list(dict.fromkeys(sampled))
    drawn = [(classes[row].name, classes[row].role, curves["utility"][row].tolist()) for row in some]
    return Consistency(
        str(artifact.quality["measure"]),
        params["target"]["rate"],
        params["target"]["share"],
        params["level"],
        figures,
        classes,
        curves["thresholds"].tolist(),
        drawn,
        curves["utility"][counted].mean(axis=0).tolist(),
        dict(stages.get(metric.RETRIEVAL.name, {}).get("quality", {})),
        artifact.read("groups").to_pylist() if artifact.entries("groups") else [],
        list(artifact.quality.get("cautions", [])),
    )


def operating_points(found: Consistency) -> list[tuple[float, float, str]]:
    """FAR, FRR and role of the classes with both kinds of pairs, at most ``DRAWN`` of those that are not the worst."""
    points = [(p.far, p.frr, p.role) for p in found.classes if p.far is not None and p.frr is not None]
    worst, others = [p for p in points if p[2] == "worst"], [p for p in points if p[2] != "worst"]
    step = max(1, math.ceil(len(others) / DRAWN))
    return [(float(far), float(frr), role) for far, frr, role in others[::step] + worst[:DRAWN]]
