"""Labelled images to train networks on: a built-in sample, files of numpy arrays, and what `images` reads."""

import gzip
import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs import DIGITS_SAMPLE
from fingerpost.schemas.inputs.checks_rows import check_batches
from fingerpost.schemas.inputs.formats import RawBatch
from fingerpost.schemas.inputs.forms import DocumentBatch, Quarantine
from fingerpost.schemas.inputs.image_archives import NPZ, ImageRows, array_images, file_digest, resized
from fingerpost.schemas.inputs.images import IMAGES, ImageFiles, ImageShape
from fingerpost.schemas.inputs.keyed_files import with_digests
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

__all__ = ["COLUMNS", "LABELLED_IMAGES", "DigitImages", "FolderImages", "ImageSource", "NpzImages", "image_source"]

#: The columns of what these sources read; split is empty where the input has none.
COLUMNS = ("id", "label", "split", "pixels")
#: Columns of Parquet files of images.
LABELLED_IMAGES = replace(IMAGES, option="--set nas.columns.")
#: Pixels on a side of images of a folder or of Parquet, where nothing says another number.
DEFAULT_SIZE = 28
#: Images in memory as decoded arrays at a time.
_BATCH = 1024
_DIGITS = ("scikit-learn", "sklearn/datasets/data/digits.csv.gz")


class ImageSource(Protocol):
    """Labelled images outside the store, or in place of those; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def check(self) -> None:
        """InputError if there are no readable images; reads no more than it needs for that."""
        ...

    def identity(self) -> str:
        """A digest of contents, shape and left-out keys; InputError if it cannot be read."""
        ...

    def read(self) -> DocumentBatch:
        """The rows in ``COLUMNS``, bad ones quarantined; InputError if it cannot be read."""
        ...


@dataclass(frozen=True)
class DigitImages:
    """The built-in sample: 1,797 handwritten digits of 8 × 8 pixels, whose 17 shades become 0 to 255.

    size: pixels on a side that they are resized to, 0 for their own. suppressed: ids (``digit-0000``, …) to leave out.
    """

    size: int = 0
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return DIGITS_SAMPLE

    def check(self) -> None:
        """InputError where scikit-learn has no digits."""
        _digits_file()

    def identity(self) -> str:
        """A digest of the file, the size and all suppressed keys."""
        digests = sorted(digest for digest, _ in self.suppressed.entries) if self.suppressed is not None else []
        return with_digests(digest_of([DIGITS_SAMPLE, file_digest(_digits_file()), self.size]), digests)

    def read(self) -> DocumentBatch:
        """The digits."""
        with gzip.open(_digits_file(), "rt") as lines:
            rows = np.loadtxt(lines, delimiter=",", dtype=np.int64)
        pixels = np.round(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
        ids = [f"digit-{number:04d}" for number in range(len(rows))]
        labels = [str(label) for label in rows[:, -1].tolist()]
        arrays = ImageRows(ids, labels, [""] * len(ids), (8, 8), lambda part: pixels[part])
        return _checked(arrays, (self.size or 8,) * 2, self.suppressed)


@dataclass(frozen=True)
class NpzImages:
    """Images in a file of numpy arrays, as `image_archives.array_images` reads it.

    size: pixels on a side that they are resized to, 0 for their own. suppressed: ids to leave out.
    """

    path: str
    size: int = 0
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def check(self) -> None:
        """InputError for a file that is missing or has other arrays."""
        _square(self.path, array_images(self.path, headers_only=True), self.size)

    def identity(self) -> str:
        """sha256 over the file, the size and the suppressed ids in it."""
        contents = digest_of(["npz", file_digest(Path(self.path)), self.size])
        if self.suppressed is None:
            return contents
        ids = array_images(self.path, headers_only=True).ids
        return with_digests(contents, sorted({found for key in ids for found in self.suppressed.match(key)}))

    def read(self) -> DocumentBatch:
        """The images, blank ones quarantined."""
        arrays = array_images(self.path)
        return _checked(arrays, _square(self.path, arrays, self.size), self.suppressed)


@dataclass(frozen=True)
class FolderImages:
    """A folder with a subfolder of image files per class, or Parquet files of id, label and image."""

    files: ImageFiles

    def __str__(self) -> str:
        return str(self.files)

    def check(self) -> None:
        """InputError if there are no readable images."""
        self.files.check()

    def identity(self) -> str:
        """sha256 over contents, shape, mapping and suppressed ids."""
        return self.files.identity()

    def read(self) -> DocumentBatch:
        """The images without a split, bad ones quarantined."""
        batch = self.files.read()
        none = pa.array([""] * batch.accepted.num_rows, pa.string())
        rows = batch.accepted.add_column(2, pa.field("split", pa.string()), none)
        return DocumentBatch(rows, batch.quarantined, batch.reasons)


def image_source(
    path: str,
    *,
    size: int = 0,
    channels: int = 1,
    columns: Mapping[str, str] | None = None,
    suppressed: Suppressed | None = None,
) -> ImageSource:
    """The source of labelled images: "digits", a file of numpy arrays (.npz), a folder by class, or Parquet.

    size: pixels on a side that images are resized to; 0 keeps their own, and makes images of a folder or of Parquet 28 × 28.
    channels: 1 for grey or 3 for RGB; the sample and numpy arrays are grey. columns: our columns to those of Parquet.
    InputError for channels that an input does not have.
    """
    arrays = path == DIGITS_SAMPLE or path.lower().endswith(NPZ)
    if arrays and channels != 1:
        raise InputError(f"{path}: expected 1 channel, since its images are grey, got {channels}; set it to 1")
    if path == DIGITS_SAMPLE:
        return DigitImages(size, suppressed)
    if arrays:
        return NpzImages(path, size, suppressed)
    side = size or DEFAULT_SIZE
    shape, mapping = ImageShape(side, side, channels), tuple(sorted((columns or {}).items()))
    return FolderImages(ImageFiles(path, shape, mapping, suppressed, LABELLED_IMAGES))


def _square(path: str, arrays: ImageRows, size: int) -> tuple[int, int]:
    """The shape that images are resized to; InputError if it is not square."""
    if size:
        return size, size
    if arrays.shape[0] != arrays.shape[1]:
        raise InputError(
            f"{path}: expected square images, found {arrays.shape[0]} × {arrays.shape[1]}; give a size in"
            " nas.images.size, to which they are resized"
        )
    return arrays.shape


def _checked(arrays: ImageRows, shape: tuple[int, int], suppressed: Suppressed | None) -> DocumentBatch:
    """The rows of images in arrays, resized; blank images are quarantined."""
    batches = map(partial(_batch, arrays, shape), _chosen(arrays, suppressed))
    return check_batches(batches, quarantine=Quarantine(), columns=COLUMNS)


def _chosen(arrays: ImageRows, suppressed: Suppressed | None) -> Iterator[np.ndarray]:
    """The positions of the images that are not left out, in parts."""
    rows = np.arange(len(arrays.ids))
    if suppressed is not None:
        rows = rows[[not suppressed.match(key) for key in arrays.ids]]
    return (rows[begin : begin + _BATCH] for begin in range(0, len(rows), _BATCH))


def _batch(arrays: ImageRows, shape: tuple[int, int], rows: np.ndarray) -> RawBatch:
    values = resized(arrays.pixels(rows), shape).reshape(len(rows), -1).astype(np.float32)
    ends = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    columns = {
        name: pa.array([texts[row] for row in rows.tolist()], pa.string())
        for name, texts in (("id", arrays.ids), ("label", arrays.labels), ("split", arrays.splits))
    }
    vectors = pa.ListArray.from_arrays(pa.array(ends), pa.array(values.ravel()))
    return RawBatch({**columns, "pixels": vectors}, rows.tolist())


def _digits_file() -> Path:
    """The file of the built-in sample, found without loading scikit-learn; InputError if it is not installed."""
    name, path = _DIGITS
    try:
        file = Path(str(importlib.metadata.distribution(name).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        file = Path()
    if not file.is_file():
        raise InputError(f"{DIGITS_SAMPLE}: expected {path} of {name}, found none; install {name}")
    return file
