"""Parameters and gates of a threshold: the section ``metric`` of the settings."""

import importlib.util
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.flows.run.settings import DAYS_EXAMPLES, DAYS_PATTERN
from fingerpost.schemas.inputs import PACKAGES_SAMPLE
from fingerpost.schemas.inputs.images import ImageShape
from fingerpost.tasks.metric.comparison import Taken
from fingerpost.tasks.metric.embedders import BackboneParams, TrainingParams
from fingerpost.tasks.metric.margin_search import MarginParams
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.opis import CalibrationRange, OpisParams
from fingerpost.tasks.metric.scores import Measure
from fingerpost.tasks.metric.thresholds import Target

#: Values of ``input`` for the vectors of documents: of the built-in sample alone, and of any collection.
OWN_EMBEDDINGS = (PACKAGES_SAMPLE, "documents")


def neural_installed() -> bool:
    """Whether the packages for training embedders are installed; imports nothing."""
    return all(importlib.util.find_spec(name) for name in ("torch", "pytorch_metric_learning"))


class EmbedderSettings(Section):
    """An embedder trained with and without the TCM loss before the threshold is chosen (the extra neural)."""

    on: bool = Field(
        default=False, description="whether an embedder is trained before the threshold is chosen; required for images"
    )
    sample: bool = Field(
        default=False,
        description=(
            "whether an embedder is trained for the built-in sample, independently of 'on', if the extra neural is"
            " installed"
        ),
    )
    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="fraction of the classes that the embedder is trained on; the others validate and test",
    )
    seeds: int = Field(
        default=1, ge=1, le=100, description="number of embedders of each variant, each with its own seed"
    )
    variants: tuple[Literal["without", "with"], ...] = Field(
        default=("without", "with"),
        min_length=1,
        description="variants to train: without TCM, with it, or both; the report compares them",
    )
    taken: Taken = Field(
        default="auto",
        description=(
            "variant that makes the embeddings: with or without TCM, or auto: with it if OPIS on validation classes is"
            " lower and recall@1 does not fall"
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


class ThresholdChange(Section):
    """How much worse than the live threshold a new one may be; more than that needs --accept-change."""

    classes: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum fall of the number of classes, as a fraction of the live threshold's; 1 disables the gate",
    )
    recall_at_1: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="maximum fall of recall@1, as a fraction of the live threshold's; 1 disables the gate",
    )
    dimension: Literal["same", "any"] = Field(
        default="same", description="whether vectors that the input gives must keep their dimension: same, or any"
    )


class ThresholdGates(Section):
    """The gates of a threshold, measured on the classes that it was not chosen on."""

    rate: float = Field(
        default=3.0,
        ge=0,
        description="maximum target rate on the test classes, as a multiple of the target; 0 disables the gate",
    )
    classes: int = Field(default=2, ge=2, description="minimum number of test classes")
    frr: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="maximum FRR on the test classes, for a threshold with a target FAR; 1 disables the gate",
    )
    far: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="maximum FAR on the test classes, for a threshold with a target FRR; 1 disables the gate",
    )
    recall_at_1: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="minimum recall@1: fraction of test embeddings whose nearest other embedding is of the same class",
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the embeddings' rows that are quarantined"
    )
    missed: Literal["fail", "note"] = Field(
        default="fail",
        description="consequence of a missed gate: fail ends the run, note records it and leaves the live version",
    )
    sample_missed: Literal["fail", "note"] = Field(
        default="note",
        description="consequence of a missed gate for the built-in sample, whose classes (packages) lie close together",
    )
    change: ThresholdChange = ThresholdChange()


class MetricSettings(Section):
    """From embeddings and their labels to one threshold for all classes."""

    input: Annotated[str, NamesFile(OWN_EMBEDDINGS, days="metric.days")] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of embeddings (id, label, vector), 'documents' for the vectors of the"
            " collection's documents, or 'python-docs-packages' for the built-in sample's by package; empty tunes"
            " nothing in nightly"
        ),
    )
    days: str = Field(
        default="",
        pattern=rf"^$|{DAYS_PATTERN}",
        examples=DAYS_EXAMPLES,
        description="input.days for embeddings; empty is input.days",
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="name of each column here to its name in the file, where they differ"
    )
    kind: Literal["vectors", "images"] = Field(
        default="vectors",
        description=(
            "content of the file: vectors, or images (a folder by class, or Parquet with the column image), which"
            " require training"
        ),
    )
    images: ImageShape = ImageShape()
    label: Literal["package", "kind", "day"] = Field(
        default="package", description="column of documents that is their class"
    )
    group: Literal["", "package", "kind", "day"] = Field(
        default="",
        description=(
            "column of documents with groups of classes, which get their own threshold where it differs significantly"
            "; a file of embeddings has groups in its column group"
        ),
    )
    least_group_classes: int = Field(
        default=5, ge=3, description="minimum number of classes to choose on for a group's own threshold"
    )
    model: str = Field(
        default="",
        description=(
            "identity of the model that made the embeddings; empty is that of the projection where vectors are"
            " computed, otherwise the collection's name"
        ),
    )
    measure: Measure = Field(
        default="cosine", description="how embeddings are compared: cosine similarity or Euclidean distance"
    )
    bins: int = Field(
        default=2048,
        ge=64,
        le=32768,
        description="maximum number of bins of scores, a power of two: the resolution of a threshold",
    )
    memory_mb: float = Field(
        default=512,
        gt=0,
        description=(
            "maximum memory of the histograms in MB, at 16 bytes per class and bin: many classes get fewer bins"
        ),
    )
    rows_per_shard: int = Field(
        default=8192, ge=4096, description="number of embeddings per shard; pairs of shards are counted separately"
    )
    validation_share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="fraction of the classes that the threshold is chosen on; the others test it",
    )
    least_rows: int = Field(
        default=2, ge=1, description="minimum number of embeddings of a class; smaller classes are left out"
    )
    seed: int = Field(default=0, ge=0, description="seed of the split of the classes")
    target: Target = Target("far", 0.01)
    over: CalibrationRange = CalibrationRange()
    opis: OpisParams = OpisParams()
    queries: int = Field(
        default=1000,
        ge=1,
        description="maximum number of test embeddings whose nearest neighbours are searched, evenly by class",
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="confidence level of intervals")
    training: EmbedderSettings = EmbedderSettings()
    canaries: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="number of embeddings stored with the threshold to detect vectors of another model",
    )
    gates: ThresholdGates = ThresholdGates()

    @property
    def trains(self) -> bool:
        """Whether an embedder is trained."""
        return self.training.on or (self._sampled and neural_installed())

    @property
    def lacks_neural(self) -> bool:
        """Whether the built-in sample has no embedder because the extra neural is not installed."""
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
