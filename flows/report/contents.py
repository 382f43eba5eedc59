"""The contents of a report, read from a run's record and its artifacts: plain values, without layout or domains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import Product, Section, named
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.described import InputData, read_data
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts
from fingerpost.flows.report.tables import PageTable
from fingerpost.flows.report.trends import Trend, read_trends
from fingerpost.schemas import corpus
from fingerpost.schemas.publish import Pointer, Publication
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import full_name, stages_by_name
from fingerpost.tasks.refused_rows import refused_rows


@dataclass(frozen=True)
class Quarantine:
    """Quarantined rows of an input: how many by reason, and the first of each reason as (row, id, detail).

    ``title`` is the display name of the input, ``share`` the quarantined fraction of its rows, None if the input
    was refused and so not counted.
    """

    title: str
    ref: str
    share: float | None
    reasons: dict[str, int]
    examples: dict[str, tuple[int, str, str]]

    @property
    def rows(self) -> int:
        """The number of quarantined rows."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class Live:
    """A live product of the collection, and the move by which the run published a version of it, if it did."""

    title: str
    move: Publication
    published: dict[str, Any] | None

    @property
    def is_published(self) -> bool:
        """Whether the version that the run published is still live."""
        mine = self.published
        return mine is not None and (mine["ref"], mine["generation"]) == (self.move.ref, self.move.generation)


@dataclass(frozen=True)
class DomainSection:
    """A domain's section: its declaration, and its contents for the run."""

    declared: Section
    contents: Any

    @cached_property
    def plots(self) -> dict[str, Plot]:
        """The plots by name, for the report and the page of the run."""
        drawn: dict[str, Plot] = named(self.declared.plots)(self.contents) if self.declared.plots else {}
        return drawn

    @property
    def tables(self) -> list[PageTable]:
        """The tables for the page of the run."""
        return list(named(self.declared.tables)(self.contents)) if self.declared.tables else []

    @property
    def cards(self) -> list[tuple[str, str]]:
        """The cards of the section: label, value."""
        return list(named(self.declared.cards)(self.contents)) if self.declared.cards else []

    @property
    def beside(self) -> list[Beside]:
        """Products beside simple baselines."""
        return list(named(self.declared.beside)(self.contents)) if self.declared.beside else []


@dataclass(frozen=True)
class Contents:
    """Everything on the page; ``sections`` of the domains that took part in the run, in the order of the domains.

    ``data``: what the imported rows are like. ``trends``: metrics over runs. ``problems`` are the parts that could not be
    read.
    """

    record: dict[str, Any]
    live: list[Live]
    moves: list[Publication]
    quarantines: list[Quarantine]
    sections: list[DomainSection]
    inputs: dict[str, list[str]]
    data: list[InputData] = field(default_factory=list)
    trends: list[Trend] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @cached_property
    def below(self) -> list[Beside]:
        """The products that are worse than a simple baseline."""
        return [one for section in self.sections for one in section.beside if one.below]


def gather(store: Store, record: dict[str, Any]) -> Contents:
    """The contents of a run's report; parts that cannot be read any more are left out and named."""
    attempt = Attempts()
    stages = stages_by_name(record)
    makers = {Ref.parse(stage["ref"]).identity: name for name, stage in stages.items()}
    pointers = [(product, Pointer(store, record["collection"], name)) for name, product in domains.products().items()]
    live = [attempt(partial(_live, product, pointer, record), None) for product, pointer in pointers]
    moves = [move for _, pointer in pointers for move in attempt(pointer.history, list[Publication]())]
    shown = [product for product in live if product is not None]
    moved = [product.move for product in shown]
    data = [attempt(read, None) for _, read in read_data(store, record, _input_title)]
    return Contents(
        record=record,
        live=shown,
        moves=sorted(moves, key=lambda move: (move.at, move.generation)),
        quarantines=_quarantines(store, record, attempt),
        sections=_sections(store, record, attempt),
        inputs={name: attempt(partial(_inputs, store, stage, makers), []) for name, stage in stages.items()},
        data=[one for one in data if one is not None],
        trends=attempt(partial(read_trends, store, record, moved), []),
        problems=attempt.problems,
    )


def _sections(store: Store, record: dict[str, Any], attempt: Attempts) -> list[DomainSection]:
    """The sections of the domains; each names in ``problems`` its parts that could not be read."""
    sections = []
    for domain in domains.DOMAINS:
        if domain.report is None:
            continue
        contents = attempt(partial(named(domain.report.gather), store, record), None)
        if contents is not None:
            attempt.note(*getattr(contents, "problems", ()))
            sections.append(DomainSection(domain.report, contents))
    return sections


def _live(product: Product, pointer: Pointer, record: dict[str, Any]) -> Live | None:
    """The live version of each product, and the version that the run published."""
    move = pointer.live()
    published = record.get("publications") or ([record["publication"]] if record["publication"] else [])
    mine = next((move for move in published if Ref.parse(move["ref"]).name == pointer.product), None)
    return Live(product.title, move, mine) if move else None


def _quarantines(store: Store, record: dict[str, Any], attempt: Attempts) -> list[Quarantine]:
    """The quarantines of the run's inputs, including a refused input, whose quarantine the error names."""
    quarantines = []
    for stage in record["stages"]:
        # Of the days that a run reads too, only those with bad rows.
        other = Ref.parse(stage["ref"]).day != record["day"] and not stage["quality"].get("quarantined")
        if (ref := stage["companions"].get(corpus.QUARANTINE.name)) and not other:
            title, share = _input_title(stage["stage"], stage.get("part", "")), stage["quality"].get("quarantine_share")
            quarantines.append(attempt(partial(_quarantine, store, ref, title, share), None))
    if (refused := refused_rows(record)) is not None:
        title = _refused_title(record.get("failed_stage", ""))
        quarantines.append(attempt(partial(_quarantine, store, str(refused), title, None), None))
    known: dict[str, Quarantine] = {}
    for quarantine in quarantines:
        if quarantine is not None:
            known.setdefault(quarantine.ref, quarantine)
    return list(known.values())


def _input_title(stage: str, part: str) -> str:
    """The display name of the input that a stage imports; the stage's name where no domain declares it."""
    file = domains.imported_by(stage, part)
    if file is None:
        return full_name(stage, part)
    return file.title if part in ("", file.part) else f"{file.title} of {part.removeprefix(file.part).strip()}"


def _refused_title(failed_stage: str) -> str:
    """The display name of the input of the stage that a record names as failed, with its part if it has one."""
    titles = {full_name(stage, file.part): file.title for _, file in domains.inputs() for stage in file.stages}
    name, _, part = failed_stage.partition(" (")
    daily = [file for _, file in domains.inputs() if file.day_stage == name and part]
    return _input_title(name, part.rstrip(")")) if daily else titles.get(failed_stage, failed_stage or "input")


def _quarantine(store: Store, ref: str, title: str, share: float | None) -> Quarantine:
    reasons: dict[str, int] = {}
    examples: dict[str, tuple[int, str, str]] = {}
    for row in store.open(Ref.parse(ref), corpus.QUARANTINE).read("rows").to_pylist():
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        examples.setdefault(row["reason"], (row["row"], row["id"], row["detail"]))
    by_count = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    return Quarantine(title, ref, share, by_count, examples)


def _inputs(store: Store, stage: Mapping[str, Any], makers: Mapping[str, str]) -> list[str]:
    """The stages that made a stage's inputs; "the input" for one from outside the store."""
    inputs = store.manifest(Ref.parse(stage["ref"])).identity["inputs"].values()
    refs = [Ref.parse(entry["ref"]) if "ref" in entry else None for entry in inputs]
    return [makers.get(ref.identity, str(ref)) if ref else "the input" for ref in refs]
