"""The answers of a network to ids of images, for ``replay``: classes, the most probable first. Imports no Prefect.

A query of the file is the id of an image that the network was trained, chosen or tested with; judged ids are names of
classes.
"""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.open import LiveNetwork, read_images


class NetworkAnswers:
    """A version of a network, its images, and the classes that it says of them."""

    def __init__(self, store: Store, ref: Ref) -> None:
        self.live = LiveNetwork(store, ref, str(store.manifest(ref).run.get("collection", "")))

    @cached_property
    def images(self) -> LabelledImages:
        """All images of the version; for segmentation its canvases."""
        members = self.live.members
        return read_images(self.live.store, members.get("canvases", members["images"]))

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each image by its id."""
        return {key: row for row, key in enumerate(self.images.ids.tolist())}

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The k most probable classes of each image; none for an unknown id."""
        rows = [self.row_of[text] for text in texts if text in self.row_of]
        ranked = iter(self.ranked(self.images.pixels[rows]) if rows else [])
        return [[name for name, _ in next(ranked)[:k]] if text in self.row_of else [] for text in texts]

    def ranked(self, pixels: NDArray[np.uint8]) -> list[list[tuple[str, float]]]:
        """All classes of each image (n, height, width[, channels]) with their probabilities, the most probable first.

        Of masks, the probability of a class is its mean over the pixels. Ties keep the order of the classes.
        """
        found = self.live.predict(pixels).probabilities.astype(np.float64)
        chances = found.reshape(*found.shape[:2], -1).mean(axis=2)
        names = self.live.classes
        orders = np.argsort(-chances, axis=1, kind="stable")
        return [
            [(names[one], float(values[one])) for one in order.tolist()]
            for values, order in zip(chances, orders, strict=True)
        ]

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that are names of classes."""
        return set(ids) & set(self.live.classes)


def answerer(store: Store, ref: Ref) -> NetworkAnswers:
    """The answers of a published network."""
    return NetworkAnswers(store, ref)
