"""Labelled images as arrays, and their splits.

A split depends on the ids, labels, given splits and seed alone, not on the order of rows: the images of a class are ordered by
a hash of their ids.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.image_params import SPLITS, ImageParams, SplitName


@dataclass(frozen=True)
class LabelledImages:
    """Images uint8 (n, height, width), or (n, height, width, 3), with ids (n,), splits (n,) and class numbers int64 (n,).

    classes: the names of the classes. masks: the class of each pixel, uint8 (n, height, width), where there are such; then
    classes are those of pixels, the first one the background, and labels are 0.
    """

    ids: NDArray[np.str_]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    masks: NDArray[np.uint8] | None = None

    def part(self, split: SplitName) -> "LabelledImages":
        """The images of a split, with all classes."""
        rows = np.flatnonzero(self.splits == split)
        masks = self.masks[rows] if self.masks is not None else None
        return LabelledImages(
            self.ids[rows], self.pixels[rows], self.labels[rows], self.splits[rows], self.classes, masks
        )


@dataclass(frozen=True)
class Splits:
    """The chosen images: positions among all (n,), in the order of their ids, and the split of each (n,).

    left_out: classes that have too few images, or none in one of the splits.
    """

    rows: NDArray[np.int64]
    names: NDArray[np.str_]
    left_out: tuple[str, ...]


def split_images(
    ids: Sequence[str],
    labels: Sequence[str],
    given: Sequence[str],
    *,
    params: ImageParams,
    contents: Sequence[bytes] | None = None,
) -> Splits:
    """Splits of images by id, label and given split (training, validation, test, or empty for none).

    contents: what images are, or digests of it; equal images of a class are not parted, since a network that was trained on
    one knows the others. By default all are distinct. ValueError if fewer than two classes have enough images.
    """
    label_of, given_of = np.array(labels, dtype=str), np.array(given, dtype=str)
    keys = np.array([_hash(key, params.seed) for key in ids], dtype=np.uint64)
    groups = keys if contents is None else _groups(labels, contents, keys)
    own = _by_class(label_of, keys, groups)
    splits = np.array(given_of, dtype="<U10")
    for rows in own.values():
        _fill(splits, rows, groups, params)
    left_out = tuple(name for name, rows in own.items() if not _is_enough(splits[rows], params))
    kept = _some_classes([name for name in own if name not in left_out], params)
    if len(kept) < 2:
        raise ValueError(
            f"images: expected at least two classes with at least {params.least_rows} images and some in every split,"
            f" found {len(kept)} of {len(own)} (too few: {', '.join(left_out[:5]) or 'none'}); add images, or lower"
            " nas.images.least_rows"
        )
    chosen: list[NDArray[np.int64]] = []
    for split in SPLITS:
        sides = [own[name][splits[own[name]] == split] for name in kept]
        counts = _counts([len(side) for side in sides], getattr(params, split))
        chosen += [side[:count] for side, count in zip(sides, counts, strict=True)]
    rows = np.concatenate(chosen)
    rows = rows[np.argsort(np.array(ids, dtype=str)[rows], kind="stable")]
    return Splits(rows, splits[rows], left_out)


def _groups(labels: Sequence[str], contents: Sequence[bytes], keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The smallest key among the equal images of each image's class."""
    found: dict[tuple[str, bytes], np.uint64] = {}
    for label, content, key in zip(labels, contents, keys, strict=True):
        found[label, content] = min(key, found.get((label, content), key))
    return np.array([found[pair] for pair in zip(labels, contents, strict=True)], dtype=np.uint64)


def _by_class(
    labels: NDArray[np.str_], keys: NDArray[np.uint64], groups: NDArray[np.uint64]
) -> dict[str, NDArray[np.int64]]:
    """The rows of each class in the order of their groups and keys, by name; rows without a class are left out."""
    order = np.lexsort((keys, groups, labels))
    names, starts = np.unique(labels[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {str(name): part for name, part in zip(names, parts, strict=True) if name}


def _fill(splits: NDArray[np.str_], rows: NDArray[np.int64], groups: NDArray[np.uint64], params: ImageParams) -> None:
    """Gives the rows of a class their splits: test and validation images first, where the input has none of them."""
    free = rows[np.isin(splits[rows], ("", "training"))]
    total = len(free)
    for split, share in (("test", params.test_share), ("validation", params.validation_share)):
        if not np.any(splits[rows] == split):
            count = max(1, round(share * total))
            while count < len(free) and groups[free[count]] == groups[free[count - 1]]:
                count += 1
            splits[free[:count]], free = split, free[count:]
    splits[free] = "training"


def _is_enough(splits: NDArray[np.str_], params: ImageParams) -> bool:
    return len(splits) >= params.least_rows and all(np.any(splits == split) for split in SPLITS)


def _some_classes(names: list[str], params: ImageParams) -> list[str]:
    """All classes, or some of them by a hash of their names."""
    if not params.classes or len(names) <= params.classes:
        return names
    return sorted(sorted(names, key=lambda name: _hash(name, params.seed))[: params.classes])


def _counts(sizes: list[int], most: int) -> list[int]:
    """How many images of each class to take so that they are ``most`` together: the same fraction of each, at least one."""
    total = sum(sizes)
    if not most or total <= most:
        return sizes
    exact = [size * most / total for size in sizes]
    counts = [max(1, int(share)) for share in exact]
    order = sorted(range(len(sizes)), key=lambda number: (counts[number] - exact[number], number))
    for number in order[: max(0, most - sum(counts))]:
        counts[number] += 1
    return counts


def _hash(text: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{text}".encode()).digest()[:8], "big")
