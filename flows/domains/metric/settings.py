"""What a run uses to choose a threshold: the section ``metric`` of the settings."""

import importlib.util
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flows.run.section import NamesFile, Section
from schemas.inputs import PACKAGES_SAMPLE
from schemas.inputs.images import ImageShape
from tasks.metric.comparison import Taken
from tasks.metric.embedders import BackboneParams, TrainingParams
from tasks.metric.margin_search import MarginParams
from tasks.metric.margins import TcmParams
from tasks.metric.opis import CalibrationRange, OpisParams
from tasks.metric.scores import Measure
from tasks.metric.thresholds import Target

#: Embeddings that are those of the collection's documents: of the built-in sample alone, and of whatever collection.
OWN_EMBEDDINGS = (PACKAGES_SAMPLE, "documents")


def neural_installed() -> bool:
    """Whether embedders can be trained here; nothing is loaded for it."""
    return all(importlib.util.find_spec(name) for name in ("torch", "pytorch_metric_learning"))


class EmbedderSettings(Section):
    """An embedder trained with and without the TCM loss before the threshold is chosen (the extra neural)."""

    on: bool = Field(default=False, description="whether an embedder is trained; images need it")
    sample: bool = Field(
        default=False,
        description=(
            "whether one is trained for the built-in sample's packages, whatever 'on' says, where the extra neural is"
            " installed"
        ),
    )
    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="share of the classes that it is trained on; the others are validation and test",
    )
    seeds: int = Field(default=1, ge=1, le=100, description="embedders of either kind, each with a seed of its own")
    variants: tuple[Literal["without", "with"], ...] = Field(
        default=("without", "with"),
        min_length=1,
        description="trained without TCM, with it, or both, which the report compares",
    )
    taken: Taken = Field(
        default="auto",
        description=(
            "which makes the embeddings: with or without TCM, or auto: with it where OPIS on validation classes is"
            " lower and recall@1 kept"
        ),
    )
    backbone: BackboneParams = BackboneParams()
    params: TrainingParams = TrainingParams()
    tcm: TcmParams = TcmParams()
    margins: MarginParams = MarginParams()

    @model_validator(mode="after")
    def _trained(self) -> "EmbedderSettings":
        if self.taken != "auto" and self.taken not in self.variants:
            raise ValueError(f"expected taken among variants {list(self.variants)} or auto, got {self.taken!r}")
        return self


class ThresholdGates(Section):
    """What a threshold must reach, on the classes that it was not chosen on, before it becomes live."""

    rate: float = Field(
        default=3.0,
        ge=0,
        description="maximum rate on the test classes, as a multiple of the target rate; 0 disables the gate",
    )
    classes: int = Field(default=2, ge=2, description="minimum number of test classes")
    frr: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum FRR on the test classes of a threshold for a FAR; 1 disables the gate",
    )
    far: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="maximum FAR on the test classes of a threshold for a FRR; 1 disables the gate",
    )
    recall_at_1: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="minimum fraction of test embeddings whose nearest other one is of their class",
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the embeddings' rows that are quarantined"
    )
    missed: Literal["fail", "note"] = Field(
        default="fail",
        description="what a run does whose threshold misses a gate: fail, or note it, leave what is live and go on",
    )
    sample_missed: Literal["fail", "note"] = Field(
        default="note",
        description="what it does for the built-in sample, whose packages are classes that lie close together",
    )


class MetricSettings(Section):
    """From embeddings and their labels to one threshold for all classes."""

    input: Annotated[str, NamesFile(OWN_EMBEDDINGS)] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of embeddings (id, label, vector); or 'documents' for the vectors of the"
            " collection's documents, 'python-docs-packages' for those of the built-in sample by package; empty tunes"
            " nothing in nightly"
        ),
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="our column name to the file's, where they differ"
    )
    kind: Literal["vectors", "images"] = Field(
        default="vectors",
        description=(
            "what a file holds: vectors, or images (a folder of them by class, or Parquet with the column image), which"
            " need training"
        ),
    )
    images: ImageShape = ImageShape()
    label: Literal["package", "kind", "day"] = Field(
        default="package", description="the column of documents that is their class"
    )
    group: Literal["", "package", "kind", "day"] = Field(
        default="",
        description=(
            "the column of documents whose values are groups of these classes, which get a threshold of their own where"
            " it is worth it; a file of embeddings has them in its column group"
        ),
    )
    least_group_classes: int = Field(
        default=5, ge=3, description="classes to choose on that a group must have to get a threshold of its own"
    )
    model: str = Field(
        default="",
        description=(
            "the identity of the model that made the embeddings; empty takes the projection's where vectors are"
            " computed, else the collection's name"
        ),
    )
    measure: Measure = "cosine"
    bins: int = Field(
        default=2048,
        ge=64,
        le=32768,
        description="most bins of scores, a power of two: a bin is how finely a threshold is told",
    )
    memory_mb: float = Field(
        default=512,
        gt=0,
        description=(
            "most memory of the histograms, which take 16 bytes for each class and bin: many classes get fewer bins"
        ),
    )
    rows_per_shard: int = Field(
        default=8192, ge=4096, description="embeddings of a group; pairs of groups are counted apart"
    )
    validation_share: float = Field(
        default=0.5, gt=0, lt=1, description="share of the classes that the threshold is chosen on; the others test it"
    )
    least_rows: int = Field(default=2, ge=1, description="embeddings that a class must have to take part")
    seed: int = Field(default=0, ge=0, description="which classes are on which side")
    target: Target = Target("far", 0.01)
    over: CalibrationRange = CalibrationRange()
    opis: OpisParams = OpisParams()
    queries: int = Field(
        default=1000, ge=1, description="most test embeddings that ask for their nearest ones, evenly by class"
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="how sure intervals are")
    training: EmbedderSettings = EmbedderSettings()
    canaries: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="embeddings kept with the threshold, by which those of another model are told",
    )
    gates: ThresholdGates = ThresholdGates()

    @property
    def trains(self) -> bool:
        """Whether an embedder is trained."""
        return self.training.on or (self._sampled and neural_installed())

    @property
    def lacks_neural(self) -> bool:
        """Whether the built-in sample goes without an embedder because the extra neural is not installed."""
        return self._sampled and not self.trains

    @property
    def _sampled(self) -> bool:
        return self.training.sample and self.input == PACKAGES_SAMPLE

    @model_validator(mode="after")
    def _images_are_embedded(self) -> "MetricSettings":
        if self.kind == "images" and not self.training.on:
            raise ValueError(
                "expected metric.training.on where metric.kind is images, got false; an embedder makes their vectors"
            )
        if self.kind == "images" and self.training.backbone.kind == "head":
            raise ValueError("expected metric.training.backbone.kind conv, vit or module for images, got head")
        if self.trains and self.measure != "cosine":
            raise ValueError(
                "expected metric.measure cosine with metric.training.on, got euclidean; embeddings have length one"
            )
        return self

    @field_validator("bins")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("expected a power of two such as 2048")
        return value
