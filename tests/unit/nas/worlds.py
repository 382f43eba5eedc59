"""Small images and architectures for the tests of nas."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.training_params import Examples


@cache
def digits() -> tuple[Examples, Examples]:
    """Training and validation images of scikit-learn's digits, uint8 (n, 8, 8) up to 255, and their classes."""
    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    examples = Examples(images[order], found.target[order].astype(np.int64))
    rows = np.arange(len(order))
    return examples.of(rows[:900]), examples.of(rows[900:1300])


@cache
def masked() -> tuple[Examples, Examples]:
    """Training and validation images with masks: a digit pasted on 12 × 12 pixels of noise; class 1 where it is bright."""
    sides = []
    for number, examples in enumerate(digits()):
        random = np.random.default_rng(number)
        images = random.integers(0, 90, (400, 12, 12))
        masks = np.zeros((400, 12, 12), dtype=np.uint8)
        for row, (digit, (y, x)) in enumerate(zip(examples.images[:400], random.integers(0, 5, (400, 2)), strict=True)):
            masks[row, y : y + 8, x : x + 8] = digit > 100
            images[row, y : y + 8, x : x + 8] += digit // 2
        sides.append(Examples(images.astype(np.uint8), masks))
    return sides[0], sides[1]


def small(kind: str = "ibn", *, kernel: int = 3, resolution: int = 8, output: int = 0) -> Architecture:
    """A network of three blocks; of a segmentation with an output."""
    block = Block(kind, kernel, 1 if kind == "conv" else 2)  # type: ignore[arg-type]
    stages = (NetworkStage(8, 1, (block,)), NetworkStage(16, 2, (block, block)))
    task = "segmentation" if output else "classification"
    return Architecture(resolution, 1, 2 if output else 10, 8, 1, stages, 24, task, output)  # type: ignore[arg-type]
