"""The form of a domain's declaration: data, and functions as ``"module:function"`` that are imported when called.

A declaration is light to import: it imports no Prefect, Dask, pyarrow, torch or scikit-learn. Running, gates,
publication, report, comparison, erasure and watching walk ``fingerpost.flows.domains.DOMAINS``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


def named(reference: str) -> Any:
    """The object that ``"module:name"`` names, imported now."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Endpoint:
    """A question that a published product answers over HTTP: one by one under its path, many under ``<path>/batch``."""

    #: ``"/query"``, and a line that says what it answers.
    path: str
    summary: str
    #: Models of pydantic: ``"module:Query"``, whose field ``k``, if it has one, is a number of answers, and that of the
    #: reply, without the version, which is added.
    question: str
    reply: str
    #: ``(opened, question) -> `` what the reply's model takes.
    answer: str
    #: ``(opened, questions) -> `` the replies, in their order; empty: they are answered one by one.
    batch: str = ""


@dataclass(frozen=True)
class Served:
    """How a product is served: opened once with all of its parts, and then asked by processes that share these."""

    #: ``(store, ref) -> `` an object with all parts loaded that questions need.
    opened: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Product:
    """A published product: one pointer per collection, under the name of the contract.

    The contract has a table ``members`` with the parts of a release.
    """

    #: The name of the contract, ``"xmr.ranker"``, and the contract itself, ``"fingerpost.schemas.xmr:RANKER"``.
    name: str
    contract: str
    #: Its display name, ``"ranker"``, and its key among the references of a run's record.
    title: str
    role: str
    #: ``(manifest, the domain's settings.gates) -> list[Gate]``.
    gates: str
    #: ``(collection, *, store) -> `` an object that answers.
    open: str
    #: ``(store, live ref, ref, the domain's settings.gates) -> list[Comparison]``: gates against what is live.
    compared: str = ""
    #: ``(collection, the domain's settings.gates) -> "fail" | "note"``: the consequence of a missed gate for the run.
    on_missed: str = ""
    #: Query and answers, for help texts: ``"a text, answered with documents"``.
    queries: str = ""
    #: ``(store, ref) -> `` a :class:`fingerpost.flows.run.replay.Answerer`, for ``replay``.
    answers: str = ""
    #: Whether the queries of the setting ``replay.queries`` are replayed before it is published.
    replayed: bool = False
    #: ``(store, before, after, query, *, k, method) -> Why``: one query in two versions.
    why: str = ""
    #: What ``serve`` offers of it; None where it answers no questions over HTTP.
    served: Served | None = None


@dataclass(frozen=True)
class Described:
    """What of an input's rows the report describes: columns of a table of its artifact.

    texts: columns whose lengths are shown. kinds: columns whose values are counted. same: columns that make two rows
    repetitions of each other. counted: further tables whose rows are counted.
    """

    table: str
    texts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputFile:
    """A kind of user's file that a domain reads."""

    #: Its display name, ``"interactions"``, and the dotted setting that names the file, ``"xmr.input"``.
    title: str
    setting: str
    #: The contract of its imported rows, the stage that imports them, and the part of the flow with this stage.
    artifact: str
    stage: str
    part: str = ""
    #: Names of the importing stage in earlier versions, and of further stages that read the file.
    formerly: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    #: Where several days of it are read: the contract of one day's rows, and the stages that import and merge days.
    day_artifact: str = ""
    day_stage: str = ""
    merge_stage: str = ""
    #: Values of the setting that name no file.
    builtin: frozenset[str] = frozenset()
    #: Whether its domain runs without it, so that one that is not named is none that was left out.
    optional: bool = False
    #: The dotted setting that maps its columns, and those of further files and of how it is read: what a collection
    #: remembers together with the file.
    columns: str = ""
    beside: tuple[str, ...] = ()
    #: What the report says about its rows.
    described: Described | None = None

    def has_stage(self, stage: str, part: str = "") -> bool:
        """Whether a stage of a flow's part imports or reads the file, or imports one of its days, or merges these."""
        of_days = stage != "" and stage in (self.day_stage, self.merge_stage)
        return of_days or (stage in (*self.stages, *self.readers) and part == self.part)

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of its stage, now and in earlier versions."""
        return (self.stage, *self.formerly)


@dataclass(frozen=True)
class FileUse:
    """A file, or a path with ``{day}`` in it, that a flow reads under some settings.

    The form of its rows (a key of a domain's ``forms``), the path, the file's name of each column, and the setting.
    """

    form: str
    path: str
    columns: Mapping[str, str]
    setting: str


@dataclass(frozen=True)
class Section:
    """A domain's section of the report and of the page of a run."""

    #: ``(store, record) -> contents | None``, None where the run has nothing of the domain. FingerpostError for what
    #: cannot be read; contents whose parts fail independently name the missing ones in ``contents.problems``.
    gather: str
    #: A package and a template in it, ``"fingerpost.flows.domains.xmr.report:section.html"``: it gets ``c`` (the
    #: contents) and
    #: ``plots``. Empty where the domain shows no more than cards.
    template: str = ""
    #: ``(contents) -> {name: Plot}``: the plots of both pages.
    plots: str = ""
    #: ``(contents) -> [PageTable]``: the tables of the page of a run, which are those that explain the run's results.
    tables: str = ""
    #: ``(contents) -> [(label, value)]``: the cards at the head of the report.
    cards: str = ""
    #: ``(contents) -> [Beside]``: the quality of its products beside that of simple baselines.
    beside: str = ""
    #: ``(record) -> [(title, value)]``: metrics of a run's record whose course over runs the report shows.
    trends: str = ""


@dataclass(frozen=True, eq=False)
class Domain:
    """Everything that the shared modules need of a domain."""

    #: The domain's name in settings, folders and contracts.
    word: str
    #: ``"fingerpost.flows.train_ranker:train_ranker"``: the flow that makes its products.
    flow: str
    #: Domains whose part of a nightly runs before, and which must be rerun if this one is rerun from stored artifacts.
    needs: tuple[str, ...] = ()
    #: Those of them that its flow is made of even where it has an input of its own.
    made_of: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
    inputs: tuple[InputFile, ...] = ()
    #: Stages that read a further file, which is no table of rows, such as an index -> the dotted setting that names it, and
    #: others that a collection remembers together with it.
    files_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: ``(settings) -> str``: why a nightly leaves the domain out; empty where it runs.
    skipped: str = ""
    #: ``(settings, flow) -> list[FileUse]``: the user's files that a flow reads for this domain.
    files: str = ""
    #: ``(settings, flow, suppressed) -> source``: what the domain reads from outside the store.
    source: str = ""
    #: ``(settings, flow) -> (path, suppressed) -> source``: one day's file, where several days are read.
    daily: str = ""
    #: ``(store, ref, suppressed) -> source``: the stored artifact in place of a missing input.
    stored: str = ""
    #: ``(store, ref, suppressed) -> KeyTexts``: the texts of a key in an artifact, and those of other keys, where they are in
    #: other tables than the key; empty where each row has its own.
    texts: str = ""
    #: ``(store, ref, suppressed) -> KeyTerms``: what was made of the texts of a key in an artifact, such as stems, and of those of
    #: other keys, where it is stored in columns of ``terms``.
    terms: str = ""
    #: Form of rows -> ``"module:FORM"``, which says which columns may contain a key that is to be forgotten.
    forms: Mapping[str, str] = field(default_factory=dict)
    #: Patterns of the ids of stored rows that contain a key, where they are not the key alone: ``"query {key}"``.
    written_keys: tuple[str, ...] = ()
    #: ``(text) -> text``: the form in which texts of keys that may be spelled in several ways are compared, for a domain that
    #: has such keys (``spelled`` of its forms and of its contracts' tables).
    spelled: str = ""
    #: Its contracts, whose tables say which columns contain keys; empty is ``schemas.<word>:CONTRACTS``.
    contracts: str = ""
    #: Contract -> ``"module:function"`` of ``(store, before, after) -> list[DataChange]``, for ``diff``; empty where
    #: counts of rows, files and metrics suffice, as for a release, whose members are compared one by one.
    changes: Mapping[str, str] = field(default_factory=dict)
    #: ``(inputs) -> {stage: Estimate}``: the cost of the stages of its flow, by full name, over an input of which only
    #: :class:`fingerpost.flows.run.expectations.Inputs` is known; without those that it cannot tell.
    costs: str = ""
    #: ``(inputs, stages) -> None``: raises what the stages (names) would raise over an input of that size, as they would:
    #: where there is too little memory.
    checks: str = ""
    report: Section | None = None
    #: Its commands, ``"fingerpost.flows.domains.xmr.commands:rank"``, in the order in which help lists them.
    commands: tuple[str, ...] = ()
    #: The help of ``fingerpost <word>``, whose subcommands the commands are; empty: they are commands of ``fingerpost``.
    command_group: str = ""
    #: Dotted keys of settings in earlier versions -> keys now.
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Dotted keys, or sections, of earlier versions that nothing replaces one by one -> what to do, as errors say it.
    gone: Mapping[str, str] = field(default_factory=dict)
    #: Prefix of its keys among the references of a run's record; empty where they have none.
    roles: str = ""
    #: The package whose modules hold the domain's stages; empty is ``tasks.<word>.stages``.
    stages: str = ""

    @property
    def flow_name(self) -> str:
        """The name of its flow."""
        return self.flow.partition(":")[2]

    @property
    def stage_package(self) -> str:
        """The package whose modules hold the domain's stages."""
        return self.stages or f"fingerpost.tasks.{self.word}.stages"
