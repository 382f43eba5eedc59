"""Removal of images from files of numpy arrays.

Where the id of an image is its position, the other images have to stay where they are: such an image becomes blank.
"""

import io
import zipfile
from pathlib import Path

import numpy as np

from fingerpost.schemas.inputs.image_archives import PACKED_NAMES, array_images, opened_arrays
from fingerpost.schemas.inputs.rewriting import replace_content
from fingerpost.schemas.inputs.suppression import Suppressed


def archive_images(path: Path, suppressed: Suppressed, *, write: bool) -> int:
    """The number of suppressed images in a file of numpy arrays that are not blank; removed, or made blank, to ``write``.

    InputError if the file cannot be read or written.
    """
    ids = array_images(str(path), headers_only=True).ids
    gone = np.array([bool(suppressed.match(key)) for key in ids], dtype=bool)
    if not gone.any():
        return 0
    with opened_arrays(path) as arrays:
        names = set(arrays.parts.namelist())
        parts = {name: arrays.read(name) for name in arrays.names if f"{name}.npy" in names}
        named = set(PACKED_NAMES) <= set(parts) and "fn" in parts
        changed, count = _without(parts, gone) if named else _blanked(parts, gone)
        content = _archive(arrays.parts, changed) if count and write else b""
    if content:
        replace_content(path.resolve(), content)
    return count


def _without(parts: dict[str, np.ndarray], gone: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """The arrays without the rows of images, whose ids do not depend on their positions."""
    rows = len(gone)
    changed = {name: array[~gone] for name, array in parts.items() if array.ndim and len(array) == rows}
    return changed, int(gone.sum())


def _blanked(parts: dict[str, np.ndarray], gone: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """The arrays with images of zeros, and the number of images that were not yet such."""
    changed, begin, count = dict[str, np.ndarray](), 0, 0
    for name in ("X_packed",) if set(PACKED_NAMES) <= set(parts) else ("train", "test"):
        if name not in parts:
            continue
        array = parts[name]
        rows = np.flatnonzero(gone[begin : begin + len(array)])
        begin += len(array)
        count += int(np.count_nonzero(array[rows].any(axis=tuple(range(1, array.ndim)))))
        changed[name] = array.copy()
        changed[name][rows] = 0
    return changed, count


def _archive(parts: zipfile.ZipFile, changed: dict[str, np.ndarray]) -> bytes:
    """The bytes of a compressed file with some arrays changed, and all else in it as it is."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in parts.namelist():
            array = changed.get(member.removesuffix(".npy")) if member.endswith(".npy") else None
            with archive.open(member, "w", force_zip64=True) as part:
                if array is None:
                    part.write(parts.read(member))
                else:
                    np.lib.format.write_array(part, array, allow_pickle=False)
    return content.getvalue()
