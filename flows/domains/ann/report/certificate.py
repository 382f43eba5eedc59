"""The certificate of an index for the report: what its search delivers, and which ways of searching were tried."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains.ann.report.search_plots import SearchPoint
from fingerpost.flows.report import formats
from fingerpost.schemas import ann
from fingerpost.schemas.chosen_settings import settings_from_arrow
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.certificate import Certificate, CertifiedWidth

_ASKED = {
    "documents": "documents that were held out of the index for it",
    "queries": "queries of users",
}


@dataclass(frozen=True)
class Way:
    """A way to search that was tried: whether it is in use, why, and its memory, None where it was not measured."""

    plan: str
    on: bool
    reason: str
    bytes_per_vector: float | None


@dataclass(frozen=True)
class Certified:
    """A certificate, the ways that were tried, and their recall and speed by search width on other queries."""

    certificate: Certificate
    ways: list[Way]
    curves: dict[str, list[SearchPoint]]
    measured_at: str

    @property
    def in_use(self) -> Way | None:
        """The way that is in use."""
        return next((way for way in self.ways if way.on), None)

    @property
    def timed(self) -> bool:
        """Whether times of several ways were measured."""
        return any(point.speed is not None for points in self.curves.values() for point in points)

    @property
    def marked(self) -> bool:
        """Whether the certified width is one of those whose speed was measured."""
        points = self.curves.get(self.certificate.plan.name, [])
        return any(point.ef == self.certificate.ef and point.speed is not None for point in points)

    @property
    def recall_words(self) -> str:
        """The certified recall with its interval."""
        at = self.certificate.at
        return f"{formats.figure(at.recall)} ({at.low:.4f}–{at.high:.4f})"

    @property
    def words(self) -> str:
        """What the certificate says, in two sentences."""
        known = self.certificate
        asked = _ASKED[known.population]
        if known.reached:
            verdict = f"The lower bound reaches the wanted {significant(known.target, 6)}"
        else:
            verdict = f"No width that was tried has a lower bound of the wanted {significant(known.target, 6)}; this one comes closest"
        return (
            f"With search width {known.ef}, recall@{known.k} is {self.recall_words}, measured on"
            f" {formats.count(known.queries)} {asked}, which nothing was chosen on. {verdict}."
        )


def read_certified(store: Store, stage: Mapping[str, Any], speeds: Mapping[str, Any] | None) -> Certified:
    """The certificate of a stage's artifact; speeds: the stage that measured the ways, None where a run has none."""
    artifact = store.open(Ref.parse(stage["ref"]), ann.CERTIFICATE)
    points = [CertifiedWidth(**row) for row in artifact.read("curve").to_pylist()]
    certificate = Certificate.of(settings_from_arrow(artifact.read("settings")), points)
    curves, memory = _measured(store, speeds) if speeds else ({}, {})
    ways = [
        Way(row["plan"], row["on"], row["reason"], memory.get(row["plan"]))
        for row in artifact.read("tried").to_pylist()
    ]
    return Certified(certificate, ways, curves, str(artifact.manifest.run.get("at", "")))


def _measured(store: Store, stage: Mapping[str, Any]) -> tuple[dict[str, list[SearchPoint]], dict[str, float]]:
    """By plan: recall, work and speed by search width, and bytes per vector."""
    artifact = store.open(Ref.parse(stage["ref"]), ann.SPEEDS)
    seconds = stage["measured"].get("seconds", {})
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in artifact.read("figures").to_pylist():
        values.setdefault(row["method"], {}).setdefault(row["setting"], {})[row["metric"]] = row["value"]
    curves: dict[str, list[SearchPoint]] = {}
    memory: dict[str, float] = {}
    for plan, settings in values.items():
        for setting, found in settings.items():
            if setting == "index":
                memory[plan] = found["bytes_per_vector"]
                continue
            each = seconds.get(plan, {}).get(setting)
            point = SearchPoint(
                int(setting.removeprefix("ef=")),
                found["recall"],
                found["distances"],
                found["estimates"],
                1 / each if each else None,
            )
            curves.setdefault(plan, []).append(point)
    return {plan: sorted(points, key=lambda point: point.ef) for plan, points in curves.items()}, memory
