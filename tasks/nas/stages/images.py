"""The stages that import labelled images, and that make canvases with masks of them."""

import hashlib

import numpy as np
import pyarrow as pa

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs.labelled_images import ImageSource
from fingerpost.schemas.matrices import fixed_lists, tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.imports import write_quarantine, write_rows
from fingerpost.tasks.nas.canvas import compose_images
from fingerpost.tasks.nas.canvas_params import CanvasParams
from fingerpost.tasks.nas.image_params import SPLITS, ImageParams
from fingerpost.tasks.nas.images import LabelledImages, Splits, split_images
from fingerpost.tasks.nas.open import image_shape, pixels_of, read_images
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

#: Rows of a shard of canvases.
_CANVASES = ImportParams(rows_per_shard=4096)


@stage(contracts.IMAGES)
def import_labelled_images(
    run: StageRun, source: ImageSource, *, params: ImageParams, channels: int, imports: ImportParams
) -> None:
    """Imports the valid images of an input with their labels and splits, and quarantines the others with a reason each."""
    batch = source.read()
    figures, rows = write_quarantine(run, source, batch, imports), batch.accepted
    chosen = _splits(source, rows, params)
    kept = rows.take(pa.array(chosen.rows))
    labels, index = np.unique(np.array(kept["label"].to_pylist(), dtype=str), return_inverse=True)
    pixels = pixels_of(kept, image_shape(len(kept["pixels"][0]), channels))
    ids = np.array(kept["id"].to_pylist(), dtype=str)
    images = LabelledImages(ids, pixels, index.astype(np.int64), chosen.names, tuple(labels.tolist()))
    _write(run, images, imports)
    run.quality |= figures | {"left_out": len(chosen.left_out), "unused": rows.num_rows - kept.num_rows}


@stage(contracts.IMAGES)
def compose_canvases(run: StageRun, images: Ref, *, params: CanvasParams) -> None:
    """Makes canvases with masks for segmentation of labelled images, for each split of the images of that split."""
    try:
        canvases = compose_images(read_images(run.store, images), params=params)
    except ValueError as problem:
        raise FingerpostError(f"{images}: {problem}") from problem
    _write(run, canvases, _CANVASES)


def _splits(source: ImageSource, rows: pa.Table, params: ImageParams) -> Splits:
    """The splits of imported rows; InputError without two classes."""
    columns = [rows[name].to_pylist() for name in ("id", "label", "split")]
    try:
        return split_images(*columns, params=params, contents=_digests(rows))
    except ValueError as problem:
        raise InputError(f"{source}: {problem}") from problem


def _digests(rows: pa.Table) -> list[bytes]:
    """A digest of the pixels of each row."""
    if not rows.num_rows:
        return []
    flat = rows["pixels"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return [hashlib.sha256(pixels.tobytes()).digest() for pixels in flat.reshape(rows.num_rows, -1)]


def _write(run: StageRun, images: LabelledImages, params: ImportParams) -> None:
    """Writes images in shards, their classes and their shape, and counts them."""
    count, masks = len(images.ids), images.masks
    flat = images.pixels.reshape(count, -1).astype(np.float32)
    labels = [images.classes[label] for label in images.labels.tolist()] if masks is None else [""] * count
    rows = {
        "id": pa.array(images.ids.tolist(), pa.string()),
        "label": pa.array(labels, pa.string()),
        "split": pa.array(images.splits.tolist(), pa.string()),
        "pixels": fixed_lists(flat),
        "mask": pa.nulls(count, pa.list_(pa.uint8())) if masks is None else _lists(masks.reshape(count, -1)),
    }
    write_rows(run, "images", pa.table(rows), params)
    run.write("classes", pa.table({"name": pa.array(images.classes, pa.string())}))
    run.write("shape", tensors_to_arrow({"shape": np.array(images.pixels.shape[1:], dtype=np.int64)}))
    counts: dict[str, int] = {split: int(np.count_nonzero(images.splits == split)) for split in SPLITS}
    run.quality = {"images": count, "classes": len(images.classes), **counts} | {
        "size": int(images.pixels.shape[1]),
        "channels": 1 if images.pixels.ndim == 3 else 3,
    }


def _lists(rows: np.ndarray) -> pa.ListArray:
    """Rows uint8 (n, k) as lists."""
    ends = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(rows.ravel()))
