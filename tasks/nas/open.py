"""What the store holds of architecture search, as usable objects."""

from math import isqrt

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.matrices import fixed_matrix, tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.image_params import SplitName
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.patterns import Pattern
from fingerpost.tasks.nas.training_params import Examples


def read_images(store: Store, ref: Ref) -> LabelledImages:
    """The images of an artifact, in its order."""
    opened = store.open(ref, contracts.IMAGES)
    rows = opened.read("images")
    classes = opened.read("classes")["name"].to_pylist()
    shape = tuple(tensors_from_arrow(opened.read("shape"))["shape"].tolist())
    pixels = np.round(fixed_matrix(rows["pixels"])).astype(np.uint8).reshape(-1, *shape)
    ids, splits = (np.array(rows[name].to_pylist(), dtype=str) for name in ("id", "split"))
    if rows["mask"].null_count == 0 and rows.num_rows:
        flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in rows["mask"].chunks])
        none = np.zeros(len(ids), dtype=np.int64)
        return LabelledImages(ids, pixels, none, splits, tuple(classes), flat.reshape(-1, *shape[:2]))
    number = {name: position for position, name in enumerate(classes)}
    labels = np.array([number[name] for name in rows["label"].to_pylist()], dtype=np.int64)
    return LabelledImages(ids, pixels, labels, splits, tuple(classes))


def image_shape(values: int, channels: int) -> tuple[int, ...]:
    """The shape of square images of so many values."""
    side = isqrt(values // channels)
    return (side, side) if channels == 1 else (side, side, channels)


def pixels_of(rows: pa.Table, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels of imported rows, rounded to whole numbers."""
    lists = rows["pixels"].combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.round(flat).astype(np.uint8).reshape(rows.num_rows, *shape)


def read_patterns(store: Store, ref: Ref) -> tuple[Pattern, ...]:
    """The patterns of an artifact."""
    rows = store.open(ref, contracts.PATTERNS).read("patterns").to_pylist()
    names = ("edit", "where", "tried", "chosen", "accuracy_change", "accuracy_spread")
    changes = ("latency_change", "memory_change", "size_change")
    return tuple(Pattern(*(row[name] for name in (*names, *changes))) for row in rows)


def read_examples(store: Store, ref: Ref, split: SplitName) -> Examples:
    """The images of a split of an artifact with their classes, or masks."""
    part = read_images(store, ref).part(split)
    return Examples(part.pixels, part.labels if part.masks is None else part.masks)
