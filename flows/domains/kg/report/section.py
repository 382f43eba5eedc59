"""The section of an alignment on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows.domains.kg.report.alignment_plots import histogram_svg, precision_recall_svg, reliability_svg
from fingerpost.flows.domains.kg.report.curves import Histogram, Tested, read_histogram, read_tested
from fingerpost.flows.domains.kg.report.entities import (
    EVENTS,
    Clusters,
    Conflict,
    Doubtful,
    Threshold,
    read_clusters,
    read_conflicts,
    read_doubtful,
    read_thresholds,
)
from fingerpost.flows.domains.kg.report.measured import MeasuredTable, blocking_recall, read_measured
from fingerpost.flows.report import formats
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts, quality_of, stage_of
from fingerpost.schemas import kg
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_PREFIX = "kg."
#: What proposes candidates: the count's name in the quality of blocking, and words for it.
_PROPOSERS = (
    ("by_vectors", "near vectors"),
    ("by_neighbors", "shared rare neighbours"),
    ("by_rules", "equal values"),
    ("by_links", "known matches"),
    ("by_structure", "structure"),
)


@dataclass(frozen=True)
class Contents:
    """An alignment: what was compared, measured and decided. Counts are the quality of stages, empty where a run has none."""

    graphs: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, Any] = field(default_factory=dict)
    blocking: dict[str, Any] = field(default_factory=dict)
    recall: dict[str, float] = field(default_factory=dict)
    expected_seconds: float | None = None
    calibration: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    alignment: dict[str, Any] = field(default_factory=dict)
    joined: dict[str, Any] = field(default_factory=dict)
    measured: list[MeasuredTable] = field(default_factory=list)
    tested: Tested = field(default_factory=Tested)
    thresholds: list[Threshold] = field(default_factory=list)
    histogram: Histogram | None = None
    clusters: Clusters | None = None
    conflicts: list[Conflict] = field(default_factory=list)
    doubtful: tuple[int, list[Doubtful]] = (0, [])
    problems: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[tuple[str, int]]:
        """Events of ids by display name, with how many."""
        return [(EVENTS[event], count) for event, count in self.clusters.events.items()] if self.clusters else []

    @property
    def proposers(self) -> list[tuple[str, int]]:
        """What proposed candidates, by display name, with how many."""
        return [(words, self.blocking[name]) for name, words in _PROPOSERS if self.blocking.get(name)]

    @property
    def without_matches(self) -> bool:
        """Whether no match was known, so that matches were assumed."""
        return bool(self.links) and not self.links.get("positives")


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that imported graphs or aligned them; None for others."""
    if not any(Ref.parse(stage["ref"]).name.startswith(_PREFIX) for stage in record["stages"]):
        return None
    attempt = Attempts()

    def made(*contracts: Contract) -> list[Ref]:
        stages = [stage_of(record, contract.name) for contract in contracts]
        refs = [Ref.parse(stage["ref"]) for stage in stages if stage]
        return refs if len(refs) == len(contracts) else []

    def read(reader: Any, *contracts: Contract, otherwise: Any) -> Any:
        refs = made(*contracts)
        return attempt(partial(reader, store, *refs), otherwise) if refs else otherwise

    evaluated = made(kg.EVALUATION)
    return Contents(
        graphs=_graphs(record),
        links=quality_of(record, kg.LINKS.name),
        blocking=quality_of(record, kg.CANDIDATES.name),
        recall=attempt(partial(blocking_recall, store, evaluated[0]), {}) if evaluated else {},
        expected_seconds=_measured(record, kg.CANDIDATES, "expected_seconds"),
        calibration=quality_of(record, kg.CALIBRATION.name),
        evaluation=quality_of(record, kg.EVALUATION.name),
        alignment=quality_of(record, kg.ALIGNMENT.name),
        joined=quality_of(record, kg.JOINED.name),
        measured=read(read_measured, kg.EVALUATION, otherwise=[]),
        tested=read(read_tested, kg.LABELLED, kg.LINKS, kg.CALIBRATION, otherwise=Tested()),
        thresholds=read(read_thresholds, kg.CALIBRATION, otherwise=[]),
        histogram=read(read_histogram, kg.SCORES, kg.MATCHES, kg.CALIBRATION, otherwise=None),
        clusters=read(read_clusters, kg.CLUSTERS, otherwise=None),
        conflicts=read(read_conflicts, kg.JOINED, otherwise=[]),
        doubtful=read(read_doubtful, kg.REVIEW, otherwise=(0, [])),
        problems=attempt.problems,
    )


def _graphs(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The quality of each imported graph by its side."""
    found: dict[str, dict[str, Any]] = {}
    for stage in record["stages"]:
        if Ref.parse(stage["ref"]).name == kg.GRAPH.name:
            found.setdefault(stage.get("part", "").split(" ")[-1] or "left", stage["quality"])
    return found


def _measured(record: dict[str, Any], contract: Contract, name: str) -> float | None:
    stage = stage_of(record, contract.name)
    value = ((stage or {}).get("measured") or {}).get(name)
    return float(value) if value is not None else None


def plots(contents: Contents) -> dict[str, Plot]:
    """The plots that there are values for."""
    found, tested = {}, contents.tested
    if tested.curves:
        found["precision_recall"] = Plot(
            "Precision over recall",
            "Precision over recall of each method on test pairs; PRAUC is in the table",
            precision_recall_svg([(one.method, one.name, one.recall, one.precision) for one in tested.curves]),
            "Test pairs as they are given, by the score of each method.",
        )
    if tested.reliability is not None:
        one = tested.reliability
        found["reliability"] = Plot(
            "Probabilities and shares of matches",
            "Share of matches among test pairs over their mean probability, with the number of pairs",
            reliability_svg(one.predicted, one.found, one.pairs),
            "Test pairs in ten parts of the range of probabilities; on the dashed line, a probability is what it says.",
        )
    if contents.histogram is not None:
        bars = contents.histogram
        found["histogram"] = Plot(
            "Candidates by probability",
            "Number of candidates and of matches by probability, with the threshold",
            histogram_svg(bars.edges, bars.candidates, bars.matches, bars.threshold),
            "All candidates, and those that are matches. Pairs above the threshold that are none have a more probable"
            " rival; matches below it are known ones.",
        )
    return found


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Entities, candidates' recall, matches, and metrics on test pairs."""
    shown = [
        (
            f"entities, {side}" if len(contents.graphs) > 1 else "entities of the graph",
            formats.count(quality["entities"]),
        )
        for side, quality in contents.graphs.items()
        if "entities" in quality
    ]
    for name, title, form in (
        ("matches", "matches", formats.count),
        ("blocking_recall", "blocking: recall", formats.percent),
        ("prauc", "alignment: PRAUC", formats.figure),
        ("matches_f1", "matches: F1", formats.figure),
        ("matches_precision", "matches: precision", formats.figure),
    ):
        if name in contents.alignment:
            shown.append((title, form(contents.alignment[name])))
    return shown
