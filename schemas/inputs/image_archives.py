"""Grey images in files of numpy arrays (.npz)."""

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import check_regular, readable
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.limits import limits

NPZ = ".npz"
#: What is known of such a file where images are to be forgotten.
IMAGE_ARCHIVE = Form(
    ("id",), needed=("id",), option="", rewriter="fingerpost.schemas.inputs.image_rewriting:archive_images"
)
#: The arrays of a file with one array per split, and of one with packed drawings.
SPLIT_NAMES, PACKED_NAMES = ("train", "train_labels"), ("X_packed", "shape", "cls")
#: What reading a damaged or foreign file may raise.
_FAULTS = (
    *(ValueError, OSError, EOFError, KeyError, OverflowError, MemoryError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(NotImplementedError, RuntimeError),  # ways of packing or encrypting that are not read
)
#: The arrays of the images of a split, its name in ids, and the split that they are of.
_PARTS = (("train", "training"), ("test", "test"))


@dataclass(frozen=True)
class ImageRows:
    """The ids, labels and splits ("" for none) of images, their (height, width), and their uint8 pixels.

    pixels: maps positions (k,) to images (k, height, width).
    """

    ids: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    shape: tuple[int, int]
    pixels: Callable[[np.ndarray], np.ndarray]


def array_images(path: str, *, headers_only: bool = False) -> ImageRows:
    """The images of a file in one of two forms; InputError for another one, and for arrays that do not fit together.

    With ``train`` and ``train_labels`` (and ``test`` and ``test_labels``): images (n, side²) or (n, height, width) of numbers
    from 0 to 255, whose ids are ``train-00000``, …; what is given as test stays test. With ``X_packed``, ``shape`` (height,
    width) and ``cls``: drawings as bits, eight to a byte (`numpy.packbits`), without splits; the id of a drawing is its class
    and, where there is such an array, ``fn``, else its number. headers_only: pixels cannot be read from the result.
    """
    file = Path(path)
    with opened_arrays(file) as arrays:
        names = set(arrays.names)
        if set(SPLIT_NAMES) <= names:
            return _split_images(file, arrays, headers_only=headers_only)
        if set(PACKED_NAMES) <= names:
            return _packed_images(file, arrays, headers_only=headers_only)
        raise InputError(
            f"{file}: expected arrays {' and '.join(SPLIT_NAMES)}, or {', '.join(PACKED_NAMES)}, found"
            f" {', '.join(sorted(names)[:8]) or 'none'}; write it with numpy.savez_compressed and these names"
        )


def file_digest(file: Path) -> str:
    """sha256 over a file; InputError if it cannot be read."""
    if not file.exists():
        raise InputError(f"{file}: expected a file of images, found nothing there; check the path")
    check_regular(file)
    with readable(file), open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def resized(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Grey images uint8 (n, height, width) at another (height, width); each pixel is the mean of its area."""
    if images.shape[1:] == shape:
        return images
    height, width = shape
    scaled = [Image.fromarray(image).resize((width, height), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image) for image in scaled]) if scaled else np.zeros((0, height, width), np.uint8)


@dataclass(frozen=True)
class Arrays:
    """The arrays of a file by name, none of them with Python objects, and their shapes without reading them."""

    file: Path
    archive: Any
    parts: zipfile.ZipFile

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self.archive.files)

    def read(self, name: str) -> np.ndarray:
        """An array; InputError for one of Python objects or that is damaged."""
        try:
            found: np.ndarray = self.archive[name]
        except _FAULTS as problem:
            raise InputError(f"{self.file}: expected an array {name!r}, found {problem}; write it again") from problem
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        try:
            with self.parts.open(f"{name}.npy") as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return read(stream)[0]
        except _FAULTS as problem:
            raise InputError(f"{self.file}: expected an array {name!r}, found {problem}; write it again") from problem


@contextmanager
def opened_arrays(file: Path) -> Iterator[Arrays]:
    """The arrays of a file; InputError if it is none, or unpacks to too many bytes."""
    if not file.exists():
        raise InputError(f"{file}: expected a file of images, found nothing there; check the path")
    check_regular(file)
    with readable(file):
        if not zipfile.is_zipfile(file):
            raise InputError(f"{file}: expected numpy arrays (.npz), found another format; write it again")
        with ExitStack() as stack:
            try:
                parts = stack.enter_context(zipfile.ZipFile(file))
                limits().check_unpacked(file, sum(part.file_size for part in parts.infolist()))
                archive = stack.enter_context(np.load(file, allow_pickle=False))
            except _FAULTS as problem:
                raise InputError(f"{file}: expected numpy arrays (.npz), found {problem}; write it again") from problem
            yield Arrays(file, archive, parts)


def _split_images(file: Path, arrays: Arrays, *, headers_only: bool) -> ImageRows:
    """The images of a file with one array per split."""
    ids: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    images, shapes = list[np.ndarray](), set[tuple[int, int]]()
    for name, split in _PARTS:
        if name not in arrays.names:
            continue
        count, *rest = _counted(file, name, arrays.shape(name))
        shapes.add(_image_shape(file, name, tuple(rest)))
        found = _texts(file, arrays, f"{name}_labels", count)
        ids += [f"{name}-{row:05d}" for row in range(count)]
        labels += found
        splits += [split] * count
        if not headers_only:
            images.append(_pixels(file, name, arrays.read(name)).reshape(count, *_image_shape(file, name, tuple(rest))))
    if len(shapes) != 1:
        raise InputError(f"{file}: expected images of one size, found {sorted(shapes)}; scale them to one")
    whole = np.concatenate(images) if images else None
    return ImageRows(ids, labels, splits, shapes.pop(), _Rows(whole))


def _packed_images(file: Path, arrays: Arrays, *, headers_only: bool) -> ImageRows:
    """The drawings of a file with packed bits."""
    height, width = _sides(file, arrays.read("shape"))
    count, *rest = _counted(file, "X_packed", arrays.shape("X_packed"))
    if rest != [-(-height * width // 8)]:
        raise InputError(
            f"{file}: expected {-(-height * width // 8)} bytes in each row of 'X_packed' for drawings of {height} ×"
            f" {width}, found {rest}; pack each drawing with numpy.packbits"
        )
    labels = _texts(file, arrays, "cls", count)
    ends = _texts(file, arrays, "fn", count) if "fn" in arrays.names else [f"{row:05d}" for row in range(count)]
    ids = [f"{label}/{end}" for label, end in zip(labels, ends, strict=True)]
    packed = None if headers_only else arrays.read("X_packed")
    if packed is not None and packed.dtype != np.uint8:
        raise InputError(
            f"{file}: expected uint8 in 'X_packed', found {packed.dtype}; pack each drawing with numpy.packbits"
        )
    return ImageRows(ids, labels, [""] * count, (height, width), _Bits(packed, height, width))


@dataclass(frozen=True)
class _Rows:
    """Images by position in an array."""

    images: np.ndarray | None

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        assert self.images is not None
        part: np.ndarray = self.images[rows]
        return part


@dataclass(frozen=True)
class _Bits:
    """Drawings by position in an array of packed bits; a bit that is set becomes 255."""

    packed: np.ndarray | None
    height: int
    width: int

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        assert self.packed is not None
        bits = np.unpackbits(self.packed[rows], axis=1)[:, : self.height * self.width]
        return (bits * np.uint8(255)).reshape(len(rows), self.height, self.width)


def _counted(file: Path, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an array of one row for each image; InputError for a single number."""
    if not shape:
        raise InputError(f"{file}: expected one row for each image in {name!r}, found a single value; write it again")
    return shape


def _sides(file: Path, values: np.ndarray) -> tuple[int, int]:
    """The height and width of packed drawings."""
    sides = values.ravel().tolist()
    if values.dtype.kind not in "iu" or len(sides) != 2 or min(sides) < 1:
        raise InputError(
            f"{file}: expected a height and width, whole numbers, in 'shape', found {sides}; write it again"
        )
    return int(sides[0]), int(sides[1])


def _image_shape(file: Path, name: str, rest: tuple[int, ...]) -> tuple[int, int]:
    """The (height, width) of images of an array whose further dimensions these are."""
    if len(rest) == 2 and min(rest) > 0:
        return rest[0], rest[1]
    side = isqrt(rest[0]) if len(rest) == 1 else 0
    if side < 1 or side * side != rest[0]:
        raise InputError(
            f"{file}: expected square grey images (n, side²) or (n, height, width) in {name!r}, found (n, "
            f"{', '.join(map(str, rest))}); reshape them"
        )
    return side, side


def _pixels(file: Path, name: str, values: np.ndarray) -> np.ndarray:
    """Values as uint8; InputError for others than numbers from 0 to 255."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "iuf" or not values.size:
        raise InputError(f"{file}: expected numbers in {name!r}, found {values.dtype}; write it as uint8")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and 1 < high <= 255):
        raise InputError(
            f"{file}: expected values from 0 to 255 in {name!r}, found {low:g} to {high:g}; scale them, and write them as"
            " uint8"
        )
    return np.round(values).astype(np.uint8)


def _texts(file: Path, arrays: Arrays, name: str, count: int) -> list[str]:
    """An array of texts or whole numbers as texts; InputError for another number of them or another kind."""
    if name not in arrays.names:
        raise InputError(f"{file}: expected an array {name!r}, found {', '.join(sorted(arrays.names))}; add it")
    values = arrays.read(name)
    if values.shape != (count,) or values.dtype.kind not in "iuUS":
        raise InputError(
            f"{file}: expected {count:,} texts or whole numbers in {name!r}, found {values.dtype} of shape"
            f" {values.shape}; write one for each image"
        )
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "backslashreplace")
    return [str(value).strip() for value in values.tolist()]
