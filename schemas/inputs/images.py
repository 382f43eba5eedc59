"""Labelled images from users' folders and files."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, UnidentifiedImageError

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.checks_rows import check_batches
from fingerpost.schemas.inputs.files import check_regular, input_files, input_fingerprint, kind_of
from fingerpost.schemas.inputs.formats import RawBatch, Reading, read_file
from fingerpost.schemas.inputs.forms import DocumentBatch, Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.keyed_files import read_files
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

IMAGES = Form(("id", "label", "image"), needed=("id", "label", "image"), option="--set metric.columns.", keys=("id",))
#: The columns of rows of images.
COLUMNS = ("id", "label", "pixels")
#: A file that is one image, whose id is its path.
IMAGE_FILE = Form(("id",), needed=("id",), is_row=True)
#: Suffixes of image files.
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
#: Images decoded at a time.
_BATCH = 1024


@dataclass(frozen=True)
class ImageShape:
    """The shape that images are resized to: ``height`` × ``width`` pixels, grey (1 channel) or RGB (3).

    height: pixels that images are resized to, from top to bottom.
    width: pixels that images are resized to, from left to right.
    channels: 1 for grey or 3 for RGB.
    """

    height: int = 28
    width: int = 28
    channels: int = 1

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or self.channels not in (1, 3):
            raise ValueError(
                f"images: expected a height and width of at least 1 and 1 or 3 channels, got {self.height},"
                f" {self.width}, {self.channels}; correct them"
            )

    @property
    def array(self) -> tuple[int, ...]:
        """The shape of one image as an array."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    def pixels(self, data: bytes) -> np.ndarray:
        """The pixels of an encoded image, float32 of 0 to 255, row by row; ValueError if it cannot be decoded."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                resized = image.convert("L" if self.channels == 1 else "RGB").resize(
                    (self.width, self.height), Image.Resampling.BOX
                )
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError) as problem:
            raise ValueError(str(problem) or type(problem).__name__) from problem
        return np.asarray(resized, dtype=np.float32).ravel()


@dataclass(frozen=True)
class ImageFiles:
    """Labelled images: a folder with a subfolder of image files per class, or Parquet files of id, label and image.

    An image in Parquet is encoded bytes, or a struct with them in ``bytes``. The id of a file is its path within the
    folder. shape: the shape that images are resized to. mapping: pairs (our column, the file's) where they differ.
    suppressed: ids to leave out.
    """

    path: str
    shape: ImageShape
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None
    form: Form = IMAGES

    def __str__(self) -> str:
        return self.path

    def check(self) -> None:
        """InputError if there are no readable images."""
        if _is_tree(self.path):
            self._files()
        else:
            input_files(self.path)

    def identity(self) -> str:
        """sha256 over contents, shape and mapping, without suppressed ids; InputError if it cannot be read."""
        if _is_tree(self.path):
            digest = hashlib.sha256()
            for key, file in self._files():
                digest.update(f"{key}\0".encode() + hashlib.sha256(_content(file)).digest())
            contents = digest.hexdigest()
        else:
            contents = input_fingerprint(self.path, dict(self.mapping))
            reading = Reading(dict(self.mapping), suppressed=self.suppressed, keys_only=True, form=self.form)
            if self.suppressed is not None:
                for file in input_files(self.path):
                    for _ in read_file(file, reading):
                        pass
            if reading.dropped:
                contents = digest_of([contents, sorted(reading.dropped)])
        return digest_of(["images", contents, list(self.shape.array)])

    def read(self) -> DocumentBatch:
        """The rows, bad ones quarantined; InputError if it cannot be read."""
        reading = Reading(checked_mapping(dict(self.mapping), self.form), suppressed=self.suppressed, form=self.form)
        if _is_tree(self.path):
            batches: Iterator[RawBatch] = self._tree_batches()
        else:
            batches = read_files(self.path, reading)
        decoded = (self._decoded(part, reading.quarantine) for batch in batches for part in _smaller(batch))
        return check_batches(decoded, quarantine=reading.quarantine, columns=COLUMNS)

    def _files(self) -> list[tuple[str, Path]]:
        """Ids and image files of all classes, sorted by id; InputError without any."""
        files = files_by_class(self.path) or []
        if not files:
            raise InputError(
                f"{self.path}: expected a subfolder of images ({', '.join(ENDINGS[:3])}, …) for each class, found"
                " none; check the path"
            )
        return [(key, file) for key, file in files if self.suppressed is None or not self.suppressed.match(key)]

    def _tree_batches(self) -> Iterator[RawBatch]:
        files = self._files()
        for begin in range(0, len(files), _BATCH):
            part = files[begin : begin + _BATCH]
            columns: Mapping[str, Any] = {
                "id": [key for key, _ in part],
                "label": [key.partition("/")[0] for key, _ in part],
                "image": [_content(file) for _, file in part],
            }
            yield RawBatch(columns, range(begin, begin + len(part)))

    def _decoded(self, batch: RawBatch, quarantine: Quarantine) -> RawBatch:
        """The batch with pixels instead of encoded images; images that cannot be decoded are quarantined."""
        keys: Any = batch.columns["id"]

        def report(i: int, reason: str, detail: str) -> None:
            key = keys[i].as_py() if isinstance(keys[i], pa.Scalar) else keys[i]
            quarantine.add(batch.rows[i], key, reason, detail)

        labels = text_cells("label", batch.columns.get("label", pa.nulls(len(batch.rows))), report)
        pixels: list[np.ndarray | None] = []
        for i, cell in enumerate(batch.columns["image"]):
            value = cell.as_py() if isinstance(cell, pa.Scalar) else cell
            value = value.get("bytes") if isinstance(value, dict) else value
            if not isinstance(value, bytes):
                report(i, "no image", f"the image is {'missing' if value is None else type(value).__name__}")
                pixels.append(None)
                continue
            try:
                pixels.append(self.shape.pixels(value))
            except ValueError as problem:
                report(i, "not an image", str(problem))
                pixels.append(None)
        vectors = pa.array(pixels, pa.list_(pa.float32()))
        return RawBatch({"id": keys, "label": pc.utf8_trim_whitespace(labels), "pixels": vectors}, batch.rows)


def files_by_class(path: str) -> list[tuple[str, Path]] | None:
    """Ids and image files of a folder with a subfolder per class, sorted by id; None for Parquet."""
    if not _is_tree(path):
        return None
    root = Path(path)
    return [
        (file.relative_to(root).as_posix(), file)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "_"))
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".")
    ]


def _is_tree(path: str) -> bool:
    """Whether a path is a folder of folders, not of Parquet files; InputError if it does not exist."""
    root = Path(path)
    if not root.exists():
        raise InputError(f"{path}: expected a folder or file of images, found nothing there; check the path")
    if not root.is_dir():
        check_regular(root)
        if kind_of(root) != "Parquet":
            raise InputError(f"{path}: expected Parquet or a folder of images, found {kind_of(root)}; convert it")
        return False
    return any(entry.is_dir() for entry in root.iterdir())


def _smaller(batch: RawBatch) -> Iterator[RawBatch]:
    for begin in range(0, len(batch.rows), _BATCH):
        part = slice(begin, begin + _BATCH)
        yield RawBatch({name: column[part] for name, column in batch.columns.items()}, batch.rows[part])


def _content(file: Path) -> bytes:
    check_regular(file)
    try:
        return file.read_bytes()
    except OSError as problem:
        raise InputError(
            f"{file}: expected a file that can be read, found {problem.strerror or problem}; check its permissions and"
            " disk"
        ) from problem
