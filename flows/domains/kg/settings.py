"""Parameters and gates of an alignment: the section ``kg`` of the settings."""

import importlib.util
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.schemas.inputs import OBJECTS_SAMPLE
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.blocking import BlockingParams
from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.calibrated_scores import CalibrationParams
from fingerpost.tasks.kg.changes import ChangeParams
from fingerpost.tasks.kg.clusters import ClusterParams
from fingerpost.tasks.kg.embeddings import EmbeddingParams
from fingerpost.tasks.kg.evaluation import AlignmentEvaluationParams
from fingerpost.tasks.kg.held_out import PropagationParams
from fingerpost.tasks.kg.joining import JoiningParams
from fingerpost.tasks.kg.labels import LabelParams
from fingerpost.tasks.kg.neighborhoods import SamplingParams
from fingerpost.tasks.kg.one_to_one import AssignmentParams
from fingerpost.tasks.kg.pair_scorer import FeatureParams
from fingerpost.tasks.kg.pair_shards import PairShards
from fingerpost.tasks.kg.review import ReviewParams
from fingerpost.tasks.kg.scorer import ScorerParams
from fingerpost.tasks.kg.search import SearchParams
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.terms import TermParams

#: Rows of a table of a graph in one file.
ROWS_PER_FILE = 2**20


def neural_installed() -> bool:
    """Whether the package for training an aligner is installed; imports nothing."""
    return importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class AlignerSettings(AlignerParams):
    """Parameters of the aligner that looks at neighbourhoods, and whether it is trained.

    on: auto trains it where a graph has relations and the extra neural is installed.
    """

    on: Literal["auto", "on", "off"] = "auto"

    @property
    def params(self) -> AlignerParams:
        """The parameters of the aligner alone."""
        return AlignerParams(*(getattr(self, field.name) for field in fields(AlignerParams)))


class AlignmentChange(Section):
    """How much worse than the live alignment a new one may be; more than that needs --accept-change."""

    prauc: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="maximum fall of the PRAUC, as a fraction of the live alignment's; 1 disables the gate",
    )
    matches: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum fall of the number of matches, as a fraction of the live ones; 1 disables the gate",
    )
    moved: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="maximum fraction of the entities of both versions whose id is another; 1 disables the gate",
    )


class AlignmentGates(Section):
    """The gates of an alignment."""

    matches: int = Field(default=1, ge=0, description="minimum number of matches")
    tested: int = Field(
        default=0,
        ge=0,
        description=(
            "minimum number of test pairs; with 0 an alignment whose quality was not measured may become live, which is"
            " noted"
        ),
    )
    prauc: float = Field(default=0.0, ge=0, le=1, description="minimum PRAUC on test pairs")
    precision: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="minimum precision at the chosen threshold on test pairs; 0 disables the gate",
    )
    over_baseline: float = Field(
        default=-0.05,
        ge=-1,
        le=1,
        description="minimum lead in PRAUC over the boosting baseline, on test pairs; -1 disables the gate",
    )
    blocking_recall: float = Field(
        default=0.8, ge=0, le=1, description="minimum fraction of the known matches that are among the candidates"
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of an input's rows that are quarantined"
    )
    change: AlignmentChange = AlignmentChange()


class AlignmentRefresh(Section):
    """Whether the live alignment is refreshed instead of made fully, and from what on it is made fully all the same."""

    mode: str = Field(
        default="off",
        pattern="^(off|live)$",
        description=(
            "off makes every alignment fully; live compares and scores only pairs of entities that are new or changed since"
            " the live alignment's last full run, with its model"
        ),
    )
    base_days: int = Field(
        default=31,
        ge=0,
        le=3660,
        description="maximum number of days since the last full run; an older alignment is made fully",
    )
    entities: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="maximum fraction of a graph's entities that are new, changed or gone since the last full run",
    )
    changes: ChangeParams = Field(
        default=ChangeParams(), description="from which share of other neighbours on an entity counts as changed"
    )
    links: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="maximum fraction of the known pairs that are new, gone or have another label since the last full run",
    )


class KgSettings(Section):
    """From two graphs, or one, to an alignment."""

    left: Annotated[str, NamesFile((OBJECTS_SAMPLE,))] = Field(
        default="",
        description=(
            "the left graph: Parquet, CSV or JSON Lines file of a table or of triples, N-Triples file or folder in the"
            " layout of DBP15K (both graphs), or for the built-in sample python-objects (both graphs); empty aligns"
            " nothing in nightly"
        ),
    )
    right: Annotated[str, NamesFile()] = Field(
        default="", description="the right graph, in the same form; empty where kg.left names both, or with kg.within"
    )
    within: bool = Field(default=False, description="look for duplicates within the left graph alone")
    form: Literal["auto", "table", "triples", "n-triples", "dbp15k"] = Field(
        default="auto",
        description=(
            "form of the graphs; auto: a folder with ent_ids_1 is dbp15k, a name that ends in .nt (or .nt.gz) n-triples, a"
            " file with columns head, relation and tail triples, any other a table"
        ),
    )
    links: Annotated[str, NamesFile()] = Field(
        default="",
        description=(
            "file of known pairs (left, right, and if they are there label and split); without it, matches are assumed"
            " from the most similar pairs, and quality is an estimate"
        ),
    )
    reviewed: Annotated[str, NamesFile()] = Field(
        default="",
        description="file of `fingerpost review` with its column label filled in; prevails over kg.links",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="name of each column of links and of triples here to its name in the file, where they differ",
    )
    right_columns: dict[str, str] = Field(
        default_factory=dict,
        description="column of the left table to the column of the right one with the same meaning, where they differ",
    )
    id: str = Field(default="", description="a table's column of ids; empty: the number of the row, from 0")
    name: str = Field(default="", description="a table's column of names; it is an attribute as well")
    type: str = Field(default="row", min_length=1, description="type of the entities that a table's rows are")
    shared: tuple[str, ...] = Field(
        default=(),
        description=(
            "a table's columns whose values are entities of their own, which rows share: COLUMN, or COLUMN:SEPARATOR"
            " for several values in a cell, or COLUMN:SEPARATOR:TYPE"
        ),
    )
    attributes: tuple[str, ...] = Field(
        default=(), description="a table's columns of attributes; empty: all that are neither id nor shared"
    )
    types: tuple[str, ...] = Field(
        default=(),
        description="types of entities that are aligned; empty: those of known matches, without any all common ones",
    )
    language: str = Field(default="en", description="language of the labels that names are taken from in N-Triples")
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of quarantined rows; an import with more fails"
    )
    rows_per_shard: int = Field(default=16_384, ge=1, description="entities per shard")
    linking: LinkParams = LinkParams()
    embedding: EmbeddingParams = EmbeddingParams()
    search: SearchParams = SearchParams()
    blocking: BlockingParams = BlockingParams()
    structure: PropagationParams = PropagationParams()
    terms: TermParams = TermParams()
    labels: LabelParams = LabelParams()
    features: FeatureParams = FeatureParams()
    baseline: BoostingParams = BoostingParams()
    sampling: SamplingParams = SamplingParams()
    aligner: AlignerSettings = AlignerSettings()
    scorer: ScorerParams = ScorerParams()
    pairs: PairShards = PairShards()
    calibration: CalibrationParams = CalibrationParams()
    assignment: AssignmentParams = AssignmentParams()
    clusters: ClusterParams = ClusterParams()
    joining: JoiningParams = JoiningParams()
    evaluation: AlignmentEvaluationParams = AlignmentEvaluationParams()
    review: ReviewParams = ReviewParams()
    refresh: AlignmentRefresh = AlignmentRefresh()
    gates: AlignmentGates = AlignmentGates()

    @property
    def imports(self) -> ImportParams:
        """The limits of an import."""
        return ImportParams(ROWS_PER_FILE, self.quarantine_share)

    @property
    def searched(self) -> SearchParams:
        """How similar entities are found: of the types that are aligned."""
        return replace(self.search, types=self.search.types or self.types)

    @property
    def blocked(self) -> BlockingParams:
        """Which pairs become candidates: of the types that are aligned."""
        return replace(self.blocking, types=self.blocking.types or self.types)

    @model_validator(mode="after")
    def _sides(self) -> "KgSettings":
        if self.within and self.right:
            raise ValueError(f"expected no right graph with within, got {self.right!r}; leave one of them out")
        return self
