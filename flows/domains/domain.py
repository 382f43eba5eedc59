"""The form of a domain's declaration: data, and functions named as ``"module:function"`` that are imported when they are called.

A declaration is light to import: no Prefect, Dask, pyarrow, torch or scikit-learn comes with it. What runs, is gated,
published, shown, compared, forgotten and watched is found by walking ``flows.domains.DOMAINS``.
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
class Product:
    """What a domain publishes: one pointer per collection, under the name of the contract.

    The contract has a table ``members`` of what a release consists of.
    """

    #: The name of the contract, ``"xmr.ranker"``, and where the contract is, ``"schemas.xmr:RANKER"``.
    name: str
    contract: str
    #: What people call it, ``"ranker"``, and its key among the references of a run's record.
    title: str
    role: str
    #: ``(manifest, the domain's settings.gates) -> list[Gate]``.
    gates: str
    #: ``(collection, *, store) -> `` an object that answers.
    open: str
    #: ``(collection, the domain's settings.gates) -> "fail" | "note"``: what a run does whose product misses a gate.
    on_missed: str = ""
    #: What a query is and what it is answered with, for people: ``"a text, answered with documents"``.
    queries: str = ""
    #: ``(store, ref) -> `` a :class:`flows.run.replay.Answerer`, for ``replay``.
    answers: str = ""
    #: Whether the queries of the setting ``replay.queries`` are answered with it before it is published.
    replayed: bool = False
    #: ``(store, before, after, query, *, k, method) -> Why``: one query in two versions.
    why: str = ""


@dataclass(frozen=True)
class InputFile:
    """A kind of file of the user's that a domain reads."""

    #: What people call it, ``"interactions"``; and the dotted setting that names the file, ``"xmr.input"``.
    title: str
    setting: str
    #: The contract that its rows become, the stage that imports them, and the part of the flow that this stage is in.
    artifact: str
    stage: str
    part: str = ""
    #: What stages were called that imported it in earlier versions.
    formerly: tuple[str, ...] = ()
    #: Values of the setting that name no file.
    builtin: frozenset[str] = frozenset()

    @property
    def stages(self) -> tuple[str, ...]:
        """What its stage is called, now and in earlier versions."""
        return (self.stage, *self.formerly)


@dataclass(frozen=True)
class FileUse:
    """A file, or a path with ``{day}`` in it, that a flow reads under some settings: the form of its rows (a key of a domain's
    ``forms``), the path, our column name to the file's, and the setting that names it.
    """

    form: str
    path: str
    columns: Mapping[str, str]
    setting: str


@dataclass(frozen=True)
class Section:
    """A domain's section of the report and of the page of a run."""

    #: ``(store, record) -> contents | None``, None where the run has nothing of the domain. Raises FingerpostError for what
    #: cannot be read; contents whose parts fail independently name what they lack in ``contents.problems``.
    gather: str
    #: A package and a template in it, ``"flows.domains.xmr.report:section.html"``: it gets ``c`` (the contents) and
    #: ``plots``. Empty where the domain shows no more than cards.
    template: str = ""
    #: ``(contents) -> {name: Plot}``: the plots of both pages.
    plots: str = ""
    #: ``(contents) -> [(label, value)]``: what stands at the head of the report.
    cards: str = ""


@dataclass(frozen=True, eq=False)
class Domain:
    """Everything that the shared modules need to know of a domain."""

    #: The domain's name in settings, folders and contracts.
    word: str
    #: ``"flows.train_ranker:train_ranker"``: the flow that makes its products.
    flow: str
    #: Domains whose part of a nightly comes before, and must be rerun where this one's is from what the store holds.
    needs: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
    inputs: tuple[InputFile, ...] = ()
    #: ``(settings) -> str``: why a nightly leaves the domain out; empty where it runs.
    skipped: str = ""
    #: ``(settings, flow) -> list[FileUse]``: the user's files that a flow reads for this domain.
    files: str = ""
    #: ``(settings, flow, suppressed) -> source``: what the domain reads from outside the store.
    source: str = ""
    #: ``(store, ref, suppressed) -> source``: what the store still holds of an input that is gone.
    stored: str = ""
    #: What the rows of its files are -> ``"module:FORM"``, which says in which columns a key to be forgotten stands.
    forms: Mapping[str, str] = field(default_factory=dict)
    #: How the ids of stored rows are made of a key, where they are not the key alone: ``"query {key}"``.
    written_keys: tuple[str, ...] = ()
    #: Where its contracts are, whose tables say in which columns keys stand; empty is ``schemas.<word>:CONTRACTS``.
    contracts: str = ""
    #: Contract -> ``"module:function"`` of ``(store, before, after) -> list[DataChange]``, for ``diff``; empty where the
    #: numbers of rows, files and quality figures say enough, as of a release, whose members are compared one by one.
    changes: Mapping[str, str] = field(default_factory=dict)
    report: Section | None = None
    #: ``"flows.domains.xmr.commands:rank"``: commands of its own, in the order in which help lists them.
    commands: tuple[str, ...] = ()
    #: Settings by the dotted keys of earlier versions, and what they are called now.
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: How its keys among the references of a run's record begin; empty where they have no beginning of their own.
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
        return self.stages or f"tasks.{self.word}.stages"
