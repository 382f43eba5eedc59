"""The `nas predict` command: classes of images, or of their pixels, by the live network. Imports no Prefect."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs import DIGITS_SAMPLE
from fingerpost.schemas.inputs.forms import DocumentBatch
from fingerpost.schemas.inputs.image_archives import NPZ
from fingerpost.schemas.inputs.images import ENDINGS, IMAGES, ImageFiles, ImageShape
from fingerpost.schemas.inputs.labelled_images import image_source
from fingerpost.schemas.inputs.rankings import RowWriter
from fingerpost.tasks.nas.open import LiveNetwork, live, pixels_of

CLASSES = pa.schema([("id", pa.string()), ("class", pa.string()), ("probability", pa.float32())])
MASKS = pa.schema([("id", pa.string()), ("height", pa.int32()), ("width", pa.int32()), ("mask", pa.list_(pa.uint8()))])
#: Predictions that are shown where no file is written, and images that are predicted together.
_SHOWN, _TOGETHER = 20, 1024
#: A label is not needed for a prediction.
_UNLABELLED = replace(IMAGES, option="--map ", needed=("id", "image"))


def predict(
    source: str,
    *,
    output: Path | None,
    mapping: Mapping[str, str],
    as_json: bool,
    collection: str | None,
    store: str | None,
) -> None:
    """Writes the predictions of images to a file, or prints the first of them; images that cannot be read are left out."""
    network = live(collection, store=store)
    masks = network.architecture.task == "segmentation"
    writer = RowWriter(output, MASKS if masks else CLASSES) if output else None
    batch = _read(source, mapping, network)
    if not batch.accepted.num_rows:
        raise InputError(
            f"{source}: expected images that can be read, found {_left_out(batch) or 'none'}; check the path"
        )
    rows = _predicted(network, batch.accepted)
    if writer is not None:
        with writer:
            for row in rows:
                writer.add(*row)
    if as_json:
        first = [] if output else [dict(zip((MASKS if masks else CLASSES).names, row, strict=True)) for row in rows]
        echo_json({"network": str(network.ref), "output": str(output or ""), "predictions": first})
        return
    _show(network, rows, batch, output)


def _read(source: str, mapping: Mapping[str, str], network: LiveNetwork) -> DocumentBatch:
    """The images of an input in the shape that the network was trained with."""
    side, channels = network.size, network.architecture.inputs
    if source == DIGITS_SAMPLE or source.lower().endswith(NPZ):
        return image_source(source, size=side, channels=channels).read()
    shape = ImageShape(side, side, channels)
    if (files := _single_files(source)) is not None:
        return _decoded(files, shape)
    return ImageFiles(source, shape, tuple(sorted(mapping.items())), form=_UNLABELLED).read()


def _single_files(source: str) -> list[Path] | None:
    """One image file, or those that lie in a folder without folders in it; None for another input."""
    path = Path(source)
    if path.is_file() and path.suffix.lower() in ENDINGS:
        return [path]
    if not path.is_dir() or any(entry.is_dir() for entry in path.iterdir()):
        return None
    return sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS) or None


def _decoded(files: list[Path], shape: ImageShape) -> DocumentBatch:
    """Image files as rows of id and pixels; those that cannot be decoded are quarantined."""
    found, bad = dict[str, NDArray[np.float32]](), dict[str, str]()
    for file in files:
        try:
            found[file.name] = shape.pixels(file.read_bytes())
        except (ValueError, OSError) as problem:
            bad[file.name] = str(problem)
    pixels = pa.array(list(found.values()), pa.list_(pa.float32()))
    quarantined = pa.table({"id": list(bad), "detail": list(bad.values())})
    reasons = {"not an image": len(bad)} if bad else {}
    return DocumentBatch(pa.table({"id": pa.array(list(found), pa.string()), "pixels": pixels}), quarantined, reasons)


def _predicted(network: LiveNetwork, accepted: pa.Table) -> list[tuple[Any, ...]]:
    side, channels = network.size, network.architecture.inputs
    shape = (side, side) if channels == 1 else (side, side, channels)
    ids, pixels = accepted["id"].to_pylist(), pixels_of(accepted, shape)
    starts = range(0, len(ids), _TOGETHER)
    return [
        row
        for start in starts
        for row in _rows(network, ids[start : start + _TOGETHER], pixels[start : start + _TOGETHER])
    ]


def _rows(network: LiveNetwork, ids: list[str], pixels: NDArray[np.uint8]) -> Iterator[tuple[Any, ...]]:
    """One row for each image, in the columns of ``CLASSES`` or ``MASKS``."""
    found = network.predict(pixels)
    if found.masks is not None:
        for key, mask in zip(ids, found.masks, strict=True):
            yield key, *mask.shape, mask.ravel().tolist()
        return
    for key, name, probability in zip(ids, found.names, found.probabilities.max(axis=1).tolist(), strict=True):
        yield key, name, probability


def _show(network: LiveNetwork, rows: list[tuple[Any, ...]], batch: DocumentBatch, output: Path | None) -> None:
    console = wide_console()
    if output is not None:
        console.tell(f"{output}: {len(rows):,} predictions")
    elif network.architecture.task == "segmentation":
        table = table_of(f"{len(rows):,} images", "image", "classes of its pixels")
        for key, _, _, mask in rows[:_SHOWN]:
            names = [network.classes[number] for number in np.unique(mask).tolist()]
            table.add_row(key, ", ".join(names))
        console.print(table)
    else:
        table = table_of(f"{len(rows):,} images", "image", "class", "probability>")
        for key, name, probability in rows[:_SHOWN]:
            table.add_row(key, name, f"{probability:.3f}")
        console.print(table)
    if output is None and len(rows) > _SHOWN:
        console.tell(f"{len(rows) - _SHOWN:,} more; write all of them to a file with --output")
    if said := _left_out(batch):
        console.tell(f"left out: {said}")
    console.tell(str(network.ref), style="dim")


def _left_out(batch: DocumentBatch) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in batch.reasons.items())
