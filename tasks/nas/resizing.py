"""Resizing of images and masks by two matrix products: the same numbers in numpy, torch and an ONNX file.

A linear filter, widened where pixels become fewer so that none is left out: Pillow's and torch's bilinear with antialias.
"""

import numpy as np
from numpy.typing import NDArray


def resizing_matrix(size: int, resolution: int) -> NDArray[np.float64]:
    """The weights (resolution, size) of the pixels of a row in those of the resized row; each sums to 1.

    ValueError for a size or resolution below 1.
    """
    if size < 1 or resolution < 1:
        raise ValueError(f"resize: expected sizes of at least 1, got {size} and {resolution}; correct them")
    scale = size / resolution
    support = max(scale, 1.0)
    centers = (np.arange(resolution) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(size) - centers[:, None]) / support
    weights = np.maximum(1 - distances, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def resized(images: NDArray[np.generic], resolution: int) -> NDArray[np.float32]:
    """Square images (n, size, size) or (n, size, size, channels) as float32 (n, resolution, resolution[, channels])."""
    rows = images.astype(np.float32, copy=False)
    if images.shape[1] == images.shape[2] == resolution:
        return rows
    down, across = (resizing_matrix(size, resolution).astype(np.float32) for size in images.shape[1:3])
    if images.ndim == 3:
        return np.ascontiguousarray(down @ rows @ across.T)
    return np.ascontiguousarray(np.einsum("rh,nhwc,sw->nrsc", down, rows, across, optimize=True))


def resized_masks(masks: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    """Masks (n, size, size) as (n, resolution, resolution): the class of the nearest pixel."""
    size = masks.shape[1]
    at = np.minimum(((np.arange(resolution) + 0.5) * size / resolution).astype(np.int64), size - 1)
    return masks[:, at[:, None], at]
