"""Parameters and gates of a searched network: the section ``nas`` of the settings."""

import importlib.util
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.schemas.inputs import DIGITS_SAMPLE
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.nas.accelerator import AcceleratorParams
from fingerpost.tasks.nas.architecture import Task
from fingerpost.tasks.nas.canvas_params import CanvasParams
from fingerpost.tasks.nas.cpu_params import CpuParams
from fingerpost.tasks.nas.evaluation_params import EvaluationParams
from fingerpost.tasks.nas.image_params import ImageParams
from fingerpost.tasks.nas.landscape_params import LandscapeParams
from fingerpost.tasks.nas.latency_params import LatencyParams, MeasuringParams
from fingerpost.tasks.nas.limits import LimitParams
from fingerpost.tasks.nas.pattern_params import PatternParams
from fingerpost.tasks.nas.search_params import SearchParams
from fingerpost.tasks.nas.space_params import SpaceParams
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training_params import TrainingParams

#: Devices that are no tables of measured latencies.
BUILT_IN_DEVICES = ("accelerator", "cpu")
#: Packages of the extra nas that a search needs, and the one that compares its result.
_NEEDED = ("torch", "onnx", "onnxscript")


def missing_packages() -> list[str]:
    """The packages that a search needs and that are not installed; imports nothing."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class ImageSettings(ImageParams):
    """Which images are used, for what, and in which shape.

    size: pixels on a side that they are resized to; 0 keeps their own (28 for encoded images). channels: 1 for grey or 3 for
    RGB.
    """

    size: int = 0
    channels: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 0 or self.channels not in (1, 3):
            raise ValueError(
                f"images: expected a size of at least 0 and 1 or 3 channels, got {self.size} and {self.channels}; a size of 0"
                " keeps that of the images"
            )

    @property
    def params(self) -> ImageParams:
        """Which images are used, and for what."""
        return ImageParams(*(getattr(self, field.name) for field in fields(ImageParams)))


class NetworkChange(Section):
    """How much worse than the live network a new one may be; more than that needs --accept-change."""

    accuracy: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="maximum fall of the accuracy, as a fraction of the live network's; 1 disables the gate",
    )
    classes: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="maximum fall of the number of classes, as a fraction of the live network's; 1 disables the gate",
    )


class NetworkGates(Section):
    """The gates of a network, on images that it was neither trained nor chosen on."""

    tested: int = Field(default=1, ge=0, description="minimum number of test images")
    accuracy: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="minimum accuracy, or mean intersection over union; 0 disables the gate",
    )
    under_reference: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="maximum fall of the accuracy below that of the trained reference network; 1 disables the gate",
    )
    over_limit: float = Field(
        default=1.0,
        ge=0,
        description=(
            "maximum latency on the device, memory and number of parameters, as a multiple of the limit of each in nas.limits"
            "; 0 disables these gates"
        ),
    )
    onnx: float = Field(
        default=1e-4,
        gt=0,
        description="maximum difference between an output of the ONNX file and of the network in torch",
    )
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of the images that are quarantined"
    )
    missed: Literal["fail", "note"] = Field(
        default="fail",
        description="consequence of a missed gate: fail ends the run, note records it and leaves the live version",
    )
    sample_missed: Literal["fail", "note"] = Field(
        default="note", description="consequence of a missed gate for the collection of the built-in sample"
    )
    change: NetworkChange = NetworkChange()


class NasSettings(Section):
    """From labelled images and a device to a network that fits it."""

    data: Annotated[str, NamesFile((DIGITS_SAMPLE,))] = Field(
        default="",
        description=(
            "labelled images: a folder with a subfolder per class, Parquet (id, label, image), a NumPy archive (.npz), or"
            " 'digits', which comes with scikit-learn; empty searches nothing in nightly"
        ),
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="name of each column of Parquet here to its name in the file, where they differ",
    )
    images: ImageSettings = ImageSettings()
    quarantine_share: float = Field(
        default=0.05, ge=0, le=1, description="maximum fraction of quarantined images; an import with more fails"
    )
    rows_per_shard: int = Field(default=8192, ge=1, description="images per file")
    task: Task = Field(
        default="classification",
        description=(
            "classification: the class of an image; segmentation: the class of each pixel of canvases that are composed of"
            " the images"
        ),
    )
    canvas: CanvasParams = CanvasParams()
    space: SpaceParams = SpaceParams()
    reference: Annotated[str, NamesFile()] = Field(
        default="",
        description=(
            "TOML file of the architecture that the search begins with and limits refer to; empty: inverted bottlenecks of"
            " the search space"
        ),
    )
    device: Annotated[str, NamesFile(BUILT_IN_DEVICES, dated=False)] = Field(
        default="accelerator",
        min_length=1,
        description=(
            "the device that networks are to fit: accelerator (simulated, nas.accelerator), cpu (this one, measured), or a"
            " table of measured latencies as `fingerpost nas measure` writes it"
        ),
    )
    accelerator: AcceleratorParams = AcceleratorParams()
    cpu: CpuParams = CpuParams()
    measuring: MeasuringParams = MeasuringParams()
    latency: LatencyParams = LatencyParams()
    search: SearchParams = SearchParams()
    limits: LimitParams = LimitParams()
    candidates: TrainingParams = TrainingParams()
    supernet: SupernetParams = SupernetParams()
    landscape: LandscapeParams = LandscapeParams()
    patterns: PatternParams = PatternParams()
    earlier_searches: int = Field(
        default=3, ge=0, description="number of searches of earlier days that patterns are mined from as well"
    )
    training: TrainingParams = TrainingParams()
    evaluation: EvaluationParams = EvaluationParams()
    gates: NetworkGates = NetworkGates()

    @property
    def device_table(self) -> str:
        """The path of the device's table; empty for a built-in device."""
        return "" if self.device in BUILT_IN_DEVICES else self.device

    @property
    def imports(self) -> ImportParams:
        """The limits of an import."""
        return ImportParams(self.rows_per_shard, self.quarantine_share)

    @model_validator(mode="after")
    def _one_shape(self) -> "NasSettings":
        if self.data == DIGITS_SAMPLE and self.images.channels != 1:
            raise ValueError("expected nas.images.channels 1 for digits, which are grey, got 3; correct it")
        return self
