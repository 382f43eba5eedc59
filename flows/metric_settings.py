"""What a run uses to choose a threshold: the section ``metric`` of the settings."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.inputs import PACKAGES_SAMPLE
from tasks.metric.opis import CalibrationRange, OpisParams
from tasks.metric.scores import Measure
from tasks.metric.thresholds import Target

#: Embeddings that are those of the collection's documents: of the built-in sample alone, and of whatever collection.
OWN_EMBEDDINGS = (PACKAGES_SAMPLE, "documents")


class MetricSettings(BaseModel):
    """From embeddings and their labels to one threshold for all classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(
        default="",
        description="Parquet, CSV or JSON Lines file of embeddings (id, label, vector); or 'documents' for the vectors of the collection's documents, 'python-docs-packages' for those of the built-in sample by package; empty tunes nothing in nightly",
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="our column name to the file's, where they differ"
    )
    label: Literal["package", "kind", "day"] = Field(
        default="package", description="the column of documents that is their class"
    )
    model: str = Field(
        default="",
        description="the identity of the model that made the embeddings; empty takes the projection's where vectors are computed, else the collection's name",
    )
    measure: Measure = "cosine"
    bins: int = Field(
        default=2048, ge=64, le=32768, description="most bins of scores, a power of two: a bin is how finely a threshold is told"
    )  # fmt: skip
    memory_mb: float = Field(
        default=512,
        gt=0,
        description="most memory of the histograms, which take 16 bytes for each class and bin: many classes get fewer bins",
    )
    rows_per_shard: int = Field(
        default=8192, ge=4096, description="embeddings of a group; pairs of groups are counted apart"
    )
    validation_share: float = Field(
        default=0.5, gt=0, lt=1, description="share of the classes that the threshold is chosen on; the others test it"
    )  # fmt: skip
    least_rows: int = Field(default=2, ge=1, description="embeddings that a class must have to take part")
    seed: int = Field(default=0, ge=0, description="which classes are on which side")
    target: Target = Target("far", 0.01)
    over: CalibrationRange = CalibrationRange()
    opis: OpisParams = OpisParams()
    queries: int = Field(
        default=1000, ge=1, description="most test embeddings that ask for their nearest ones, evenly by class"
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="how sure intervals are")
    canaries: int = Field(
        default=8, ge=1, le=1000, description="embeddings kept with the threshold, by which those of another model are told"
    )  # fmt: skip

    @field_validator("bins")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("expected a power of two such as 2048")
        return value
