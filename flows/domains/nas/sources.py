"""The sources of a search outside the store, by the settings alone: images, a device's table, an architecture.

Imports no Prefect.
"""

from dataclasses import dataclass
from pathlib import Path

from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.domains.nas.settings import NasSettings, missing_packages
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs import DIGITS_SAMPLE, SAMPLE
from fingerpost.schemas.inputs.forms import DocumentBatch
from fingerpost.schemas.inputs.image_archives import NPZ
from fingerpost.schemas.inputs.labelled_images import ImageSource, image_source
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.architecture_toml import parse_architecture
from fingerpost.tasks.nas.stages.devices import DeviceSource, device_source

FLOW = "search_architectures"


@dataclass(frozen=True)
class NetworkSources:
    """What a search reads: labelled images, and beside them a device and a given architecture ("" for none)."""

    images: ImageSource
    device: DeviceSource
    reference: str = ""

    def __str__(self) -> str:
        return str(self.images)

    def identity(self) -> str:
        """That of the images; InputError if they cannot be read."""
        return self.images.identity()

    def read(self) -> DocumentBatch:
        """The images, bad ones quarantined."""
        return self.images.read()

    def check(self) -> None:
        """FingerpostError for images, a device or an architecture that is missing or of no known form."""
        self.images.check()
        self.device.check()
        if self.reference:
            read_architecture(self.reference)


def skipped(settings: Settings) -> str:
    """Why a nightly searches no network; empty if it does."""
    own, source = settings.nas, settings.input.source
    if not own.data:
        return "No network is searched: nas.data names no images"
    if own.data == DIGITS_SAMPLE and source != SAMPLE:
        return (
            f"No network is searched: nas.data is {own.data}, which requires the built-in sample; name labelled images of"
            f" {settings.input.collection} there to search a network for them"
        )
    if missing := missing_packages():
        return (
            f"No network is searched: the extra nas ({', '.join(missing)}) is not installed; pip install"
            " 'fingerpost[nas]'"
        )
    return ""


def data_path(settings: Settings, flow: str) -> str:
    """The path of the images, or the name of the built-in sample; empty where none are named.

    Run alone, ``search_architectures`` reads the requested input where nas.data names no file.
    """
    own, requested = settings.nas.data, settings.input.source
    if own and own != DIGITS_SAMPLE:
        return own
    if flow == FLOW and requested not in ("", SAMPLE):
        return requested
    return DIGITS_SAMPLE if own or requested == SAMPLE else ""


def files_of(settings: Settings, flow: str) -> list[FileUse]:
    """The files that a flow's search reads; no images for the built-in sample."""
    own, path, uses = settings.nas, data_path(settings, flow), list[FileUse]()
    if path not in ("", DIGITS_SAMPLE):
        setting = "nas.data" if path == own.data else "input.source"
        columns = own.columns if setting == "nas.data" else settings.input.columns or own.columns
        archive = path.lower().endswith(NPZ)
        uses.append(
            FileUse("image archive" if archive else "labelled images", path, {} if archive else columns, setting)
        )
    if own.device_table:
        uses.append(FileUse("device table", own.device_table, {}, "nas.device"))
    if own.reference:
        uses.append(FileUse("architecture", own.reference, {}, "nas.reference"))
    return uses


def suppressed_source(settings: Settings, flow: str, suppressed: Suppressed | None) -> NetworkSources:
    """The sources of a search outside the store, without suppressed images; SettingsError where no images are named."""
    own, path = settings.nas, data_path(settings, flow)
    if not path:
        raise SettingsError(
            f"nas: expected labelled images for collection {settings.input.collection}, found none named and none"
            " remembered; name a folder by class, a Parquet or an .npz file with --input or in nas.data"
        )
    columns = own.columns if path == own.data else settings.input.columns or own.columns
    shape = {"size": own.images.size, "channels": own.images.channels}
    images = image_source(path, **shape, columns=columns, suppressed=suppressed)
    return NetworkSources(images, device_of(own), own.reference)


def device_of(own: NasSettings) -> DeviceSource:
    """The device that networks are to fit."""
    return device_source(own.device, accelerator=own.accelerator, cpu=own.cpu)


def read_architecture(path: str) -> Architecture:
    """The architecture that a TOML file describes; InputError if it cannot be read or describes none."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        said = getattr(problem, "strerror", None) or problem
        raise InputError(f"{path}: expected a TOML file of an architecture, found {said}; check the path") from problem
    try:
        return parse_architecture(text)
    except ValueError as problem:
        raise InputError(f"{path}: {problem}") from problem


def reference_of(own: NasSettings) -> str:
    """The canonical text of the given architecture; empty where none is given."""
    return read_architecture(own.reference).text if own.reference else ""
