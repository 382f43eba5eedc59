"""What a network will cost that was never searched, for plans. Imports no Prefect."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from fingerpost.flows.domains.nas.settings import NasSettings
from fingerpost.flows.domains.nas.sources import data_path, skipped
from fingerpost.flows.run.cost_laws import Law, costs_by
from fingerpost.flows.run.expectations import Inputs
from fingerpost.schemas.inputs import DIGITS_SAMPLE
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.image_archives import NPZ, array_images
from fingerpost.schemas.inputs.outlook import row_count
from fingerpost.tasks.ledger import Estimate

#: The images of the built-in sample, and their pixels.
_IMAGES, _PIXELS = 1_797.0, 64.0
#: Pixels whose work takes as long as what an image costs whatever its size.
_OVERHEAD = 300.0
#: Pixels on a side of encoded images that no setting resizes.
_SIDE = 28
_PROCESS_MB = 640.0

_LAWS = {
    "import_labelled_images": Law("numbers", 0.02, fixed=0.04, held=10, stored=0.054),
    "compose_canvases": Law("numbers", 0.1, held=10, stored=0.2),
    "measure_operators": Law("measured", 0.55, stored=0.015),
    "fit_latency": Law("measured", 0.35, stored=0.77),
    "train_supernet": Law("shared", 11.0, held=120, stored=0.6),
    "search_networks": Law("searched", 32.0, fixed=1.5, held=120, stored=0.011, shards=True),
    "map_landscape": Law("measured", 0.42, stored=0.005),
    "mine_patterns": Law("measured", 0.02, stored=0.003),
    "train_network": Law("trained", 4.6, held=120, stored=0.12),
    "measure_network": Law("measured", 0.02),
    "evaluate_network": Law("trained", 9.0, held=120, shards=True),
    "assemble_network": Law("measured", 0.01),
}


def costs(inputs: Inputs) -> Mapping[str, Estimate]:
    """The cost of the stages from images to a network; none where they cannot be told, or none is searched."""
    settings = inputs.settings
    if skipped(settings) and inputs.flow != "search_architectures":
        return {}
    size = _size(inputs)
    if size is None:
        return {}
    own = settings.nas
    reference = NasSettings()
    reference = reference.model_copy(
        update={
            "search": replace(reference.search, method="surrogate", evaluations=16),
            "training": replace(reference.training, epochs=12),
        }
    )
    return costs_by(
        _LAWS,
        _units(own, *size),
        _units(reference, _IMAGES, _PIXELS),
        process_mb=_PROCESS_MB,
        workers=inputs.workers,
    )


def _size(inputs: Inputs) -> tuple[float, float] | None:
    """The expected images and the numbers of each; None where they cannot be told."""
    path, own = data_path(inputs.settings, inputs.flow), inputs.settings.nas.images
    if path == DIGITS_SAMPLE:
        return _IMAGES, _PIXELS
    if path.lower().endswith(NPZ):
        found = array_images(path, headers_only=True)
        pixels = own.size**2 if own.size else prod(found.shape)
        return float(len(found.ids)), float(pixels * own.channels)
    uses = [use for use in inputs.uses("nas") if use.form == "labelled images"]
    if not uses:
        return None
    files = input_files(path) if path.lower().endswith((".parquet", ".csv", ".jsonl")) else []
    images = sum(map(row_count, files)) if files else _images_in(path)
    return float(images), float((own.size or _SIDE) ** 2 * own.channels)


def _images_in(path: str) -> int:
    """The files in the subfolders of a folder."""
    from pathlib import Path

    return sum(1 for file in Path(path).rglob("*") if file.is_file())


def _units(own: NasSettings, images: float, numbers: float) -> dict[str, float]:
    per_image = numbers + _OVERHEAD
    taken = min(images, own.images.training or images)
    return {
        "numbers": images * numbers,
        "measured": 1.0,
        "shared": taken * per_image * own.supernet.epochs,
        "searched": taken * per_image * own.candidates.epochs * own.search.evaluations,
        "trained": taken * per_image * own.training.epochs,
    }
