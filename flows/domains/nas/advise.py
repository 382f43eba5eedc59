"""The `nas advise` command: edits of an architecture by the patterns of earlier searches. Imports no Prefect."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fingerpost.flows.domains.nas.front import check_output
from fingerpost.flows.domains.nas.measure import measured, settings_with
from fingerpost.flows.domains.nas.sources import read_architecture
from fingerpost.flows.run.collections import asked_profile
from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.lineage import run_with
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.errors import MissingArtifactError, UsageError
from fingerpost.schemas.exchanged_files import write_parts
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.nas.advice import Advice, AdviceParams, Costing, advise, applied, plan
from fingerpost.tasks.nas.advice_text import advice_records, advice_rows, effect_text
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.architecture_toml import architecture_toml
from fingerpost.tasks.nas.costing import estimated_costs
from fingerpost.tasks.nas.latency import LatencyEstimator
from fingerpost.tasks.nas.limits import Limits
from fingerpost.tasks.nas.open import LiveNetwork, live, read_patterns
from fingerpost.tasks.nas.patterns import Pattern, built_in_patterns


@dataclass(frozen=True)
class Goal:
    """What an architecture is to get under; None for no such limit."""

    latency_ms: float | None = None
    memory_bytes: int | None = None
    parameters: int | None = None

    @property
    def limits(self) -> Limits:
        """The limits by name."""
        return Limits({name: float(value) for name, value in vars(self).items() if value is not None}, spreads=0.0)


@dataclass(frozen=True)
class Knowledge:
    """What advice is made of: the estimator, patterns, and where they are from."""

    estimator: LatencyEstimator
    patterns: Sequence[Pattern]
    source: str


def advise_on(
    network: Path | None,
    goal: Goal,
    *,
    apply: str,
    output: Path | None,
    accuracy: float,
    device: str,
    settings: tuple[str, ...],
    profile: str,
    as_json: bool,
    collection: str | None,
    store: str | None,
) -> None:
    """Prints the edits that save something, or the planned ones, and writes the edited architecture where that is asked."""
    check_output(output, ".toml")
    if output is not None and not apply:
        raise UsageError("advise: expected --apply with --output, found none; name the edits, as in --apply all")
    published = _live(collection, store, needed=network is None)
    architecture = read_architecture(str(network)) if network is not None else _architecture_of(published)
    name = published.collection if published is not None else collection or ""
    asked = asked_profile(profile, store=store or "", flow="search_architectures", collection=name)
    known = _knowledge(published, architecture, device, settings, asked)
    costs = estimated_costs(known.estimator)
    params = AdviceParams(parallelism=known.estimator.parallelism, accuracy=accuracy)
    try:
        if apply == "all":
            found = plan(architecture, costs, known.patterns, params=params, limits=goal.limits)
            edited = found[-1].architecture if found else architecture
        else:
            found = advise(architecture, costs, known.patterns, params=params)
            edited = applied(architecture, [one.edit for one in _numbered(found, apply)])
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
    if output is not None:
        write_parts(output, [architecture_toml(edited).encode()])
    told = _Told(architecture, edited, costs, goal.limits, known.source, output)
    if as_json:
        echo_json(told.record() | {"edits": advice_records(found), "applied": apply})
    else:
        _show(found, told, apply)


def _live(collection: str | None, store: str | None, *, needed: bool) -> LiveNetwork | None:
    """The live network; None where there is none and it is not needed."""
    try:
        return live(collection, store=store)
    except MissingArtifactError:
        if needed:
            raise
        return None


def _architecture_of(network: LiveNetwork | None) -> Architecture:
    assert network is not None
    return network.architecture


def _knowledge(
    network: LiveNetwork | None, architecture: Architecture, device: str, settings: tuple[str, ...], profile: str
) -> Knowledge:
    """The estimator of the live network and the patterns of its search; a named device is measured for the architecture.

    Without a live network the device is that of the profile, and patterns are the built-in ones.
    """
    patterns, words = _patterns(network)
    if network is not None and not device:
        return Knowledge(network.estimator, patterns, f"{words}; latencies of {network.ref}")
    own = settings_with(profile, (*settings, f"nas.images.channels={architecture.inputs}"), device=device)
    own = own.model_copy(update={"task": architecture.task})
    found = measured(own, architecture.resolution, architecture.classes, given=[architecture])
    return Knowledge(found.estimator, patterns, f"{words}; latencies of {found.name}")


def _patterns(network: LiveNetwork | None) -> tuple[Sequence[Pattern], str]:
    """The patterns mined in the run of a network, and where they are from; the built-in ones where there are none."""
    if network is not None:
        record = run_with(network.store, network.ref) or {}
        if ref := record.get("refs", {}).get("network_patterns"):
            try:
                return read_patterns(network.store, Ref.parse(ref)), f"patterns of {ref}"
            except MissingArtifactError:
                pass
    return built_in_patterns(), "built-in patterns, not measured here"


def _numbered(found: Sequence[Advice], apply: str) -> list[Advice]:
    """The edits with these numbers, as in "1,3"; FingerpostError for a number that no edit has."""
    chosen = []
    for text in filter(None, (part.strip() for part in apply.split(","))):
        if not text.isdecimal() or not 1 <= int(text) <= len(found):
            raise UsageError(
                f"--apply: expected all, or numbers from 1 to {len(found)} as in 1,3, got {text!r}; choose from the list"
            )
        chosen.append(found[int(text) - 1])
    return chosen


@dataclass(frozen=True)
class _Told:
    """What is said beside the edits."""

    before: Architecture
    after: Architecture
    costs: Costing
    limits: Limits
    source: str
    output: Path | None

    def effect(self) -> str:
        """The effect of the applied edits."""
        before, after = self.costs([self.before, self.after])
        return effect_text(before, after)

    def missed(self) -> list[str]:
        """The limits that the edited architecture misses."""
        bounds = self.limits.bounds(self.costs([self.after])[0])
        return [name for name, value in bounds.items() if value > self.limits.largest[name]]

    def record(self) -> dict[str, object]:
        """The same as values."""
        before, after = self.costs([self.before, self.after])
        return {
            "architecture": self.before.id,
            "edited": self.after.id,
            "before": vars(before),
            "after": vars(after),
            "missed": self.missed(),
            "source": self.source,
            "output": str(self.output or ""),
        }


def _show(found: Sequence[Advice], told: _Told, apply: str) -> None:
    console = wide_console()
    heading = "planned edits, one after the other" if apply == "all" else "edits, each by itself"
    table = table_of(
        f"{heading}: what each saves", ">", "edit", "latency>", "memory>", "size>", "accuracy, points>", "from"
    )
    for row in advice_rows(found):
        table.add_row(*row)
    if found:
        console.print(table)
    else:
        console.tell("no edit saves latency, memory or size" if apply != "all" else "no edit is needed, or none helps")
    if apply:
        console.tell(f"applied: {told.effect()}")
    if missed := told.missed():
        console.tell(f"limits that are missed: {', '.join(missed)}")
    if told.output is not None:
        console.tell(f"{told.output}: give it with nas.reference, or to `fingerpost nas advise`")
    console.tell(told.source, style="dim")
