"""What a ranker is made with: the section ``xmr`` of the settings."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flows.run.section import NamesFile, Section
from schemas.inputs import NAMES_SAMPLE, SEE_ALSO_SAMPLE
from schemas.inputs.interaction_rows import UnknownLabels
from tasks.corpus.bm25 import Bm25Params
from tasks.corpus.ngrams import FamilyParams, NgramParams
from tasks.corpus.svd import SvdParams
from tasks.corpus.tfidf import TfidfParams
from tasks.xmr.baselines import DenseParams
from tasks.xmr.clustering import ClusterParams
from tasks.xmr.drift import DriftLimits
from tasks.xmr.ensembles import EnsembleParams
from tasks.xmr.evaluation import JudgeParams
from tasks.xmr.interactions import InteractionParams, RowParams
from tasks.xmr.label_blocks import BlockParams
from tasks.xmr.label_features import EmbeddingParams
from tasks.xmr.ranking import BeamParams
from tasks.xmr.sweep import SweepParams
from tasks.xmr.towers import TowerParams
from tasks.xmr.training import TrainingParams

#: Interactions of the built-in sample: a page's text and its "See Also" targets, a first sentence and its object.
SAMPLE_INTERACTIONS = (SEE_ALSO_SAMPLE, NAMES_SAMPLE)


class BaselineSettings(Section):
    """What the ranker is compared with."""

    compared: bool = Field(
        default=False, description="whether the ranker is compared with frequent labels, BM25 and dense retrieval"
    )
    network: bool = Field(default=False, description="and with a trained two-tower network (the extra neural)")
    svd: SvdParams = SvdParams(rank=128)
    bm25: Bm25Params = Bm25Params()
    dense: DenseParams = DenseParams()
    towers: TowerParams = TowerParams()
    judge: JudgeParams = JudgeParams()


class RefreshSettings(Section):
    """Whether and how the live ranker is refreshed instead of trained anew."""

    mode: str = Field(
        default="off",
        pattern="^(off|live)$",
        description="off trains fully; live solves only what is new since the last full training of the live ranker",
    )
    base_days: int = Field(
        default=31,
        ge=0,
        le=3660,
        description="most days from that training to the day of the run; beyond, it is trained fully",
    )
    limits: DriftLimits = Field(
        default=DriftLimits(), description="past any of these it is trained fully in the same run"
    )
    negatives: Literal["tfn", "man", "tfn+man"] = Field(
        default="tfn", description="rows that a column which is solved again sees; tfn costs least"
    )
    leaf_growth: float = Field(default=1.25, ge=1, description="labels that a leaf may grow to, over its largest size")
    label_gain: float = Field(
        default=0.05, ge=0, description="share of its positives by which a label has changed when it is solved again"
    )
    node_gain: float = Field(default=0.2, ge=0, description="the same of a node above the labels")
    warm: bool = Field(
        default=False,
        description=(
            "whether solving starts from the old weights: slower where these are pruned and eps is large, as by default"
        ),
    )


class RankerGates(Section):
    """What a ranker must reach before it becomes live."""

    recall_at_10: float = Field(
        default=0.0, ge=0, le=1, description="minimum recall@10 on queries held out for testing"
    )
    sample_recall_at_10: float = Field(
        default=0.15, ge=0, le=1, description="minimum recall@10 of the built-in sample's ranker"
    )
    labels: int = Field(default=1, ge=1, description="minimum number of labels")
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the interactions' rows that are quarantined"
    )


class XmrSettings(Section):
    """From queries and the labels chosen for them to a ranker."""

    input: Annotated[str, NamesFile(SAMPLE_INTERACTIONS)] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of interactions (query, label, weight, day, query_id), or of the built-in"
            " sample python-docs-see-also or python-docs-names; empty trains nothing in nightly"
        ),
    )
    labels: Annotated[str, NamesFile()] = Field(
        default="", description="file of labels (id, name, text), if there is one"
    )
    unknown_labels: UnknownLabels = Field(
        default="keep",
        description=(
            "what becomes of interactions whose label that file does not have: keep takes it as a label without a text,"
            " quarantine sets the row aside"
        ),
    )
    negatives: Annotated[str, NamesFile()] = Field(
        default="",
        description=(
            "file of labels that were not wanted (query or query_id, label, in these names), for xmr.training.negatives"
            " = user"
        ),
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="our column name to the file's, where they differ"
    )
    interactions: InteractionParams = InteractionParams()
    families: tuple[FamilyParams, ...] = Field(
        default=(FamilyParams("word", 1, 3, max_terms=200_000), FamilyParams("char", 3, 3, max_terms=50_000)),
        description="the n-grams that queries are described by",
    )
    tfidf: TfidfParams = TfidfParams()
    label_words: int = Field(default=100, ge=0, description="words of a label's own text that are used, its name first")
    rows: RowParams = RowParams()
    embedding: EmbeddingParams = EmbeddingParams()
    clusters: ClusterParams = ClusterParams()
    training: TrainingParams = TrainingParams()
    beam: BeamParams = BeamParams()
    sweep: SweepParams = SweepParams()
    ensemble: EnsembleParams = EnsembleParams()
    blocks: BlockParams = BlockParams()
    refresh: RefreshSettings = RefreshSettings()
    predicted: int = Field(default=100, ge=1, le=10000, description="labels ranked for each query that is held out")
    calibrated: int = Field(default=10, ge=1, le=10000, description="of these, the first that chances are fitted to")
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
        """How the n-grams of queries are counted: a query is one field."""
        return NgramParams(self.families, name_weight=0.0, first_weight=1.0, body_weight=0.0)
