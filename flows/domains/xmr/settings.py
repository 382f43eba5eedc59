"""Parameters and gates of a ranker: the section ``xmr`` of the settings."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.flows.run.settings import DAYS_EXAMPLES, DAYS_PATTERN
from fingerpost.schemas.inputs import NAMES_SAMPLE, SEE_ALSO_SAMPLE
from fingerpost.schemas.inputs.interaction_rows import UnknownLabels
from fingerpost.tasks.corpus.bm25 import Bm25Params
from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.svd import SvdParams
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.xmr.baselines import DenseParams
from fingerpost.tasks.xmr.clustering import ClusterParams
from fingerpost.tasks.xmr.drift import DriftLimits
from fingerpost.tasks.xmr.ensembles import EnsembleParams
from fingerpost.tasks.xmr.evaluation import JudgeParams
from fingerpost.tasks.xmr.interactions import InteractionParams, RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.label_features import EmbeddingParams
from fingerpost.tasks.xmr.ranking import BeamParams
from fingerpost.tasks.xmr.sweep import SweepParams
from fingerpost.tasks.xmr.towers import TowerParams
from fingerpost.tasks.xmr.training import TrainingParams

#: Interactions of the built-in sample: pages' texts with "See Also" targets, and first sentences with their objects.
SAMPLE_INTERACTIONS = (SEE_ALSO_SAMPLE, NAMES_SAMPLE)


@dataclass(frozen=True)
class InteractionSettings(InteractionParams):
    """Parameters of an import, and the queries that the published ranker is trained on.

    final: all trains the weights once more after they were measured, on the queries held out to measure them too, with
        the same tree, vocabulary, pruning and probabilities; training publishes what was measured.
    """

    final: Literal["all", "training"] = "all"

    @property
    def params(self) -> InteractionParams:
        """The parameters of an import alone."""
        return InteractionParams(*(getattr(self, field.name) for field in fields(InteractionParams)))

    @property
    def trained_again(self) -> bool:
        """Whether the weights are trained once more, on all queries."""
        return self.final == "all" and self.test_share + self.calibration_share > 0


class BaselineSettings(Section):
    """The baselines that the ranker is compared with."""

    compared: bool = Field(
        default=False, description="whether the ranker is compared with frequent labels, BM25 and dense retrieval"
    )
    network: bool = Field(
        default=False,
        description="whether the ranker is also compared with a trained two-tower network (the extra neural)",
    )
    svd: SvdParams = SvdParams(rank=128)
    bm25: Bm25Params = Bm25Params()
    dense: DenseParams = DenseParams()
    towers: TowerParams = TowerParams()
    judge: JudgeParams = JudgeParams()


class RefreshSettings(Section):
    """Whether and how the live ranker is refreshed instead of fully trained."""

    mode: str = Field(
        default="off",
        pattern="^(off|live)$",
        description="off trains fully; live re-solves only what changed since the live ranker's last full training",
    )
    base_days: int = Field(
        default=31,
        ge=0,
        le=3660,
        description="maximum number of days since the last full training; an older ranker is trained fully",
    )
    limits: DriftLimits = Field(
        default=DriftLimits(),
        description="limits of the drift; beyond any of them the ranker is trained fully in the same run",
    )
    negatives: Literal["tfn", "man", "tfn+man"] = Field(
        default="tfn",
        description="training rows of a re-solved label: negatives as in xmr.training.negatives; tfn costs the least",
    )
    leaf_growth: float = Field(
        default=1.25,
        ge=1,
        description="maximum size of a grown leaf, as a multiple of the clustering's maximum leaf size",
    )
    label_gain: float = Field(
        default=0.05,
        ge=0,
        description="fraction of a label's positives that must have changed for the label to be re-solved",
    )
    node_gain: float = Field(
        default=0.2,
        ge=0,
        description="fraction of an inner node's positives that must have changed for the node to be re-solved",
    )
    warm: bool = Field(
        default=False,
        description=(
            "whether solving starts from the old weights: slower if these are pruned and eps is large, as by default"
        ),
    )


class RankerChange(Section):
    """How much worse than the live ranker a new one may be; more than that needs --accept-change."""

    labels: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum fall of the number of labels, as a fraction of the live ranker's; 1 disables the gate",
    )
    recall_at_10: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="maximum fall of recall@10, as a fraction of the live ranker's; 1 disables the gate",
    )
    vocabulary: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description=(
            "minimum fraction of words that the queries of the live and of the new ranker use equally often, rare words"
            " weighing most; 0 disables the gate"
        ),
    )


class RankerGates(Section):
    """The gates of a ranker."""

    recall_at_10: float = Field(
        default=0.0, ge=0, le=1, description="minimum recall@10 on queries held out for testing"
    )
    sample_recall_at_10: float = Field(
        default=0.15, ge=0, le=1, description="minimum recall@10 for the built-in sample's ranker"
    )
    tested: int = Field(
        default=0,
        ge=0,
        description=(
            "minimum number of queries held out for testing; with 0 a ranker whose quality was not measured may become"
            " live, which is noted"
        ),
    )
    over_frequent: float = Field(
        default=0.001,
        ge=-1,
        le=1,
        description=(
            "minimum lead in nDCG@10 over the most frequent labels, on queries held out for testing; -1 disables the"
            " gate"
        ),
    )
    labels: int = Field(default=1, ge=1, description="minimum number of labels")
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the interactions' rows that are quarantined"
    )
    change: RankerChange = RankerChange()


class XmrSettings(Section):
    """From queries and the labels chosen for them to a ranker."""

    input: Annotated[str, NamesFile(SAMPLE_INTERACTIONS, days="xmr.days")] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of interactions (query, label, weight, day, query_id), or for the built-in"
            " sample python-docs-see-also or python-docs-names; empty trains nothing in nightly"
        ),
    )
    days: str = Field(
        default="",
        pattern=rf"^$|{DAYS_PATTERN}",
        examples=DAYS_EXAMPLES,
        description=(
            "input.days for interactions; empty is input.days. Labels and negatives are those of the run's own day"
        ),
    )
    labels: Annotated[str, NamesFile()] = Field(default="", description="optional file of labels (id, name, text)")
    unknown_labels: UnknownLabels = Field(
        default="keep",
        description=(
            "treatment of interactions whose label is not in the file of labels: keep imports the label without a text,"
            " quarantine moves the row to quarantine"
        ),
    )
    negatives: Annotated[str, NamesFile()] = Field(
        default="",
        description=(
            "file of labels that were not wanted (columns query or query_id, and label), for xmr.training.negatives"
            " = user"
        ),
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="name of each column here to its name in the file, where they differ"
    )
    interactions: InteractionSettings = InteractionSettings()
    families: tuple[FamilyParams, ...] = Field(
        default=(FamilyParams("word", 1, 3, max_terms=200_000), FamilyParams("char", 3, 3, max_terms=50_000)),
        description="n-gram families of the queries' features",
    )
    tfidf: TfidfParams = TfidfParams()
    label_words: int = Field(
        default=100, ge=0, description="number of words of a label's own text that are used, its name first"
    )
    rows: RowParams = RowParams()
    embedding: EmbeddingParams = EmbeddingParams()
    clusters: ClusterParams = ClusterParams()
    training: TrainingParams = TrainingParams()
    beam: BeamParams = BeamParams()
    sweep: SweepParams = SweepParams()
    ensemble: EnsembleParams = EnsembleParams()
    blocks: BlockParams = BlockParams()
    refresh: RefreshSettings = RefreshSettings()
    predicted: int = Field(default=100, ge=1, le=10000, description="number of labels ranked for each held-out query")
    calibrated: int = Field(
        default=10,
        ge=1,
        le=10000,
        description="number of first labels of each held-out query that probabilities are fitted to",
    )
    baselines: BaselineSettings = BaselineSettings()
    gates: RankerGates = RankerGates()

    @model_validator(mode="after")
    def _combinable(self) -> "XmrSettings":
        if len(self.ensemble.clusterings(self.clusters)) > 1:
            self.ensemble.check(self.beam)
        if self.training.negatives == "user" and not self.negatives:
            raise ValueError(
                "training.negatives: expected a file in xmr.negatives for user, found none; name it, or choose tfn+man"
            )
        return self

    @property
    def ngrams(self) -> NgramParams:
        """The n-gram parameters of queries: a query is a single field."""
        return NgramParams(self.families, name_weight=0.0, first_weight=1.0, body_weight=0.0)
