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
        parts = {name: arrays.read(name) for name in arrays.names}
        named = set(PACKED_NAMES) <= set(parts) and "fn" in parts
        changed, count = _without(parts, gone) if named else _blanked(parts, gone)
    if count and write:
        replace_content(path.resolve(), _archive(changed))
    return count


def _without(parts: dict[str, np.ndarray], gone: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """The arrays without the rows of images, whose ids do not depend on their positions."""
    rows = len(gone)
    return {name: array[~gone] if array.ndim and len(array) == rows else array for name, array in parts.items()}, int(
        gone.sum()
    )


def _blanked(parts: dict[str, np.ndarray], gone: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """The arrays with images of zeros, and the number of images that were not yet such."""
    changed, begin, count = dict(parts), 0, 0
    for name in ("X_packed",) if set(PACKED_NAMES) <= set(parts) else ("train", "test"):
        if name not in parts:
            continue
        array = parts[name]
        rows = np.flatnonzero(gone[begin : begin + len(array)])
        begin += len(array)
        count += int(np.count_nonzero(array[rows].reshape(len(rows), -1).any(axis=1)))
        changed[name] = array.copy()
        changed[name][rows] = 0
    return changed, count


def _archive(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of a compressed file of arrays."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()
