"""The section of a searched network on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows.domains.nas.report.candidates import Candidate, Candidates, read_candidates
from fingerpost.flows.domains.nas.report.guidance import Advised, read_advice, read_frequent
from fingerpost.flows.domains.nas.report.latencies import (
    Errors,
    Landscape,
    Measured,
    Predicted,
    read_errors,
    read_landscape,
    read_measured,
    read_predicted,
)
from fingerpost.flows.domains.nas.report.network_picture import network_svg
from fingerpost.flows.domains.nas.report.search_plots import (
    front_svg,
    landscape_svg,
    predicted_svg,
    progress_svg,
    training_svg,
    ways_svg,
)
from fingerpost.flows.report import formats
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts, quality_of, stage_of
from fingerpost.schemas import nas
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.figures import percent, significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.patterns import Pattern

_PREFIX = "nas."
#: Panels of the landscape.
_AXES = 6
METHODS = {
    "multishot": "multishot evolution: every candidate is trained",
    "single-shot": "single-shot: candidates share the weights of a supernet",
    "zero-shot": "zero-shot: candidates are scored without training",
    "surrogate": "a surrogate: a model of the trained candidates chooses the next ones",
    "random": "chance: candidates are drawn at random and trained",
}


@dataclass(frozen=True)
class Contents:
    """A search: what it found, measured and trained. Dictionaries are the quality of stages, empty where a run has none."""

    images: dict[str, Any] = field(default_factory=dict)
    measurements: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    landscape_quality: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    candidates: Candidates = field(default_factory=Candidates)
    architecture: Architecture | None = None
    training: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    errors: list[Errors] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    predicted: Predicted = field(default_factory=Predicted)
    landscape: Landscape = field(default_factory=Landscape)
    advised: Advised | None = None
    patterns: list[Pattern] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The method of search, for people."""
        name = str(self.search.get("method", ""))
        return METHODS.get(name, name)

    @property
    def accuracy_name(self) -> str:
        """What the accuracy is of this task."""
        segments = self.architecture is not None and self.architecture.task == "segmentation"
        return "mean intersection over union" if segments else "accuracy"

    def change(self, name: str) -> float | None:
        """How much more the chosen network costs than the reference, as a fraction of that; None where it is not known."""
        chosen, reference = self.candidates.chosen, self.candidates.reference
        values = [getattr(one, name) if one is not None else None for one in (chosen, reference)]
        return values[0] / values[1] - 1 if values[0] is not None and values[1] else None

    @property
    def latency_change(self) -> float | None:
        """That of the latency as measured on the device; as estimated where the device measures no networks."""
        by_role = {one.role: one.measured_ms for one in reversed(self.measured)}
        chosen, reference = by_role.get("chosen"), by_role.get("reference")
        return chosen / reference - 1 if chosen and reference else self.change("latency_ms")


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that imported images for a search or searched; None for others."""
    if not any(Ref.parse(stage["ref"]).name.startswith(_PREFIX) for stage in record["stages"]):
        return None
    attempt = Attempts()

    def read(reader: Any, *contracts: Contract, otherwise: Any) -> Any:
        stages = [stage_of(record, contract.name) for contract in contracts]
        refs = [Ref.parse(stage["ref"]) for stage in stages if stage]
        return attempt(partial(reader, store, *refs), otherwise) if len(refs) == len(contracts) else otherwise

    return Contents(
        images=quality_of(record, nas.IMAGES.name),
        measurements=quality_of(record, nas.MEASUREMENTS.name),
        search=quality_of(record, nas.SEARCH.name),
        landscape_quality=quality_of(record, nas.LANDSCAPE.name),
        evaluation=quality_of(record, nas.EVALUATION.name),
        network=quality_of(record, nas.NETWORK.name),
        candidates=read(read_candidates, nas.SEARCH, otherwise=Candidates()),
        architecture=read(_read_architecture, nas.TRAINED, otherwise=None),
        training=read(_read_training, nas.TRAINED, otherwise=([], [])),
        errors=read(read_errors, nas.LATENCY, otherwise=[]),
        measured=read(read_measured, nas.MEASURED, otherwise=[]),
        predicted=read(read_predicted, nas.MEASUREMENTS, nas.LATENCY, otherwise=Predicted()),
        landscape=read(read_landscape, nas.LANDSCAPE, otherwise=Landscape()),
        advised=read(read_advice, nas.TRAINED, nas.LATENCY, nas.PATTERNS, otherwise=None),
        patterns=read(read_frequent, nas.PATTERNS, otherwise=[]),
        problems=attempt.problems,
    )


def _read_architecture(store: Store, trained: Ref) -> Architecture:
    return Architecture.parse(store.open(trained, nas.TRAINED).read("architecture")["description"][0].as_py())


def _read_training(store: Store, trained: Ref) -> tuple[list[float], list[float]]:
    """Loss and accuracy on validation images by epoch."""
    rows = sorted(store.open(trained, nas.TRAINED).read("epochs").to_pylist(), key=lambda row: row["epoch"])
    return [row["loss"] for row in rows], [row["validation"] for row in rows]


def plots(contents: Contents) -> dict[str, Plot]:
    """The plots that there are values for."""
    found = _search_plots(contents) | _latency_plots(contents)
    if contents.architecture is not None:
        found["network"] = Plot(
            "The chosen network",
            f"The stages, blocks and operators of network {contents.architecture.id} with the shapes of their outputs",
            network_svg(contents.architecture),
            "From the input to the output, stage by stage. Each operator with the channels, height and width of its"
            " output; a bracket with + marks a block whose input is added to its output. Kernel and expansion are in the"
            " title of a block: 3×3 e4 expands its input four times.",
        )
    if contents.training[0]:
        found["training"] = Plot(
            "Training of the chosen network",
            "Accuracy on validation images and loss by epoch",
            training_svg(*contents.training, measure=contents.accuracy_name),
            "The full training of the chosen network.",
        )
    return found


def _point(one: Candidate | None) -> tuple[float, float] | None:
    if one is None or one.accuracy is None or one.latency_ms is None:
        return None
    return one.latency_ms, one.accuracy


def _search_plots(contents: Contents) -> dict[str, Plot]:
    candidates, found = contents.candidates, dict[str, Plot]()
    known = [(one, point) for one in candidates.every if (point := _point(one)) is not None and one.trained]
    if known:
        front = [point for one in candidates.front if (point := _point(one)) is not None]
        found["front"] = Plot(
            "Pareto front",
            "Accuracy on validation images over latency: evaluated networks, the Pareto front, the chosen one, the reference",
            front_svg(
                [(*point, one.feasible) for one, point in known],
                front,
                _point(candidates.chosen),
                _point(candidates.reference),
                contents.search.get("latency_limit_ms"),
                measure=contents.accuracy_name,
            ),
            "Trained networks. The front is of latency, memory and accuracy together: it may hold networks that need less"
            " memory alone.",
        )
    if candidates.progress:
        found["progress"] = Plot(
            "Progress of the search",
            "The best accuracy so far by the number of evaluated networks",
            progress_svg(
                candidates.progress,
                [(one.number + 1, point[1], one.feasible) for one, point in known],
                measure=contents.accuracy_name,
            ),
            "Networks in the order in which they were chosen; the first is the reference.",
        )
    return found


def _latency_plots(contents: Contents) -> dict[str, Plot]:
    found, ground = dict[str, Plot](), contents.landscape
    if contents.predicted.measured:
        tested = contents.predicted
        found["predicted"] = Plot(
            "Predicted and measured latency",
            "Predicted over measured latency of networks, by the estimator and by a linear control",
            predicted_svg(tested.measured, tested.forest, tested.linear),
            "Whole networks that the estimator has not seen.",
        )
    if ground.axes:
        found["landscape"] = Plot(
            "The landscape of latency",
            "Latency over the number of channels, curated and uncurated, beside multiply-accumulates",
            landscape_svg([(axis.name, axis.curated, axis.uncurated, axis.macs) for axis in ground.axes[:_AXES]]),
            "The chosen network with other numbers of channels. Multiply-accumulates are scaled to meet the latency of the"
            " most channels. The curated space has the points alone.",
        )
    if ground.ways:
        found["ways"] = Plot(
            "Ways down",
            "Latency by steps of a way down in the curated and in the uncurated space",
            ways_svg(sorted(ground.ways.items())),
            "From the most channels on; each step is the one to fewer channels after which latency is lowest.",
        )
    return found


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Accuracy, latency, what it saves, memory, size, and the networks of the front."""
    if not contents.network:
        return [("images for the search", formats.count(contents.images["images"]))] if contents.images else []
    quality, shown = contents.network, list[tuple[str, str]]()
    shown.append((f"network: {_short(contents.accuracy_name)}", formats.figure(quality["accuracy"])))
    shown.append(("network: latency on the device", milliseconds(quality["latency_ms"])))
    if (change := contents.latency_change) is not None:
        shown.append(("network: latency beside the reference", percent(change, signed=True)))
    shown.append(("network: activation memory", kilobytes(quality["memory_bytes"])))
    shown.append(("network: parameters", formats.count(quality["parameters"])))
    shown.append(("networks evaluated", formats.count(quality["evaluated"])))
    return shown


def _short(name: str) -> str:
    return "mean IoU" if name != "accuracy" else name


def milliseconds(value: float | None) -> str:
    """A latency with four significant digits."""
    return "–" if value is None else f"{significant(value)} ms"


def kilobytes(value: float) -> str:
    """An amount of memory in units of 1,024 bytes."""
    return f"{value / 1024:,.1f} KiB"
