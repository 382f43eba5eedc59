"""Searches of networks that take a few seconds: digits or small drawings, few candidates, the simulated accelerator."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
FLOW, PRODUCT = "search_architectures", "nas.network"
#: Two short stages of two kinds of blocks; what is measured of it is little.
SMALL: Mapping[str, Any] = {
    "nas.space.kinds": ["ibn", "fused"],
    "nas.space.kernels": [3],
    "nas.space.expansions": [2, 4],
    "nas.space.depths": [1],
    "nas.space.widths": [1.0],
    "nas.measuring.operators": 40,
    "nas.measuring.networks": 20,
    "nas.measuring.rounds": 0,
    "nas.measuring.training_networks": 8,
    "nas.measuring.test_networks": 8,
    "nas.latency.trees": 10,
    "nas.search.evaluations": 3,
    "nas.search.generation": 3,
    "nas.candidates.epochs": 1,
    "nas.training.epochs": 2,
}
#: A few hundred digits.
DIGITS: Mapping[str, Any] = {
    "nas.data": "digits",
    "nas.images.training": 240,
    "nas.images.validation": 60,
    "nas.images.test": 100,
}
CLASSES = ("bar", "cross", "dot")


@dataclass(frozen=True)
class Lab:
    """A folder with a store, and the collection that networks are searched for."""

    folder: Path
    collection: str = "digits"

    @property
    def store(self) -> Store:
        """The store."""
        return Store(str(self.folder / "store"))

    def request(self, day: str = DAYS[0], **settings: Any) -> RunRequest:
        """The tiny profile with a small search over digits, by default."""
        given = {**SMALL, **DIGITS, **settings}
        return RunRequest(
            profile="tiny", store=self.store.url, day=day, collection=self.collection, settings=dict(given)
        )

    def live(self) -> Ref:
        """The live network."""
        return Pointer(self.store, self.collection, PRODUCT).required().artifact


def write_drawings(folder: Path, *, per_class: int = 24, size: int = 10) -> Path:
    """A folder of small grey images by class: bars, crosses and dots at random places."""
    random = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = random.integers(0, 60, (size, size)).astype(np.uint8)
            row, column = random.integers(2, size - 2, 2)
            if label in ("bar", "cross"):
                pixels[row] = 255
            if label == "cross":
                pixels[:, column] = 255
            if label == "dot":
                pixels[row - 1 : row + 2, column - 1 : column + 2] = 255
            Image.fromarray(pixels).save(folder / label / f"{number:03d}.png")
    return folder
