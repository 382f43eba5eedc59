"""Parameters of the training of a network, its examples and its result; needs no torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class TrainingParams:
    """How a network is trained; its weights depend on every one of these values, on the examples and on the seed.

    epochs: passes over the training images.
    batch: images a step.
    rate: peak learning rate of AdamW; it follows a cosine down to a hundredth of it at the last step.
    weight_decay: decay of the weights per step.
    warmup: fraction of the steps over which the learning rate rises.
    label_smoothing: label smoothing of the cross-entropy, for classification.
    balance: for segmentation, a pixel weighs the fraction of its class to the power of minus this; 0 weighs all the
        same.
    shift: maximum random shift of training images, in pixels of the network's resolution.
    """

    epochs: int = 5
    batch: int = 64
    rate: float = 3e-2
    weight_decay: float = 0.05
    warmup: float = 0.15
    label_smoothing: float = 0.05
    balance: float = 0.5
    shift: int = 1

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or self.rate <= 0 or self.shift < 0 or self.weight_decay < 0:
            raise ValueError(
                f"training: expected epochs, batch and rate above 0 and no negative value, got {self}; correct it"
            )
        if not 0 <= self.balance <= 1:
            raise ValueError(f"training: expected a balance from 0 to 1, got {self.balance}; correct it")
        if not 0 <= self.warmup < 1 or not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"training: expected warmup and label_smoothing from 0 to below 1, got {self}; correct them"
            )


@dataclass(frozen=True)
class Examples:
    """Images with what a network is to say of them.

    images: uint8, or float32 from 0 to 255, (n, size, size) or (n, size, size, channels). targets: classes int64 (n,), or
    masks uint8 (n, size, size) with the class of each pixel. ValueError for other shapes.
    """

    images: NDArray[np.generic]
    targets: NDArray[Any]

    def __post_init__(self) -> None:
        if self.images.ndim not in (3, 4) or self.images.shape[1] != self.images.shape[2] or not len(self.images):
            raise ValueError(
                f"images: expected square ones, (n, size, size[, channels]), got shape {self.images.shape}; provide such"
            )
        if self.targets.shape not in (self.images.shape[:1], self.images.shape[:3]):
            raise ValueError(
                f"images: expected a class for each of {len(self.images)}, or a mask, got targets of shape"
                f" {self.targets.shape}; provide such"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.images.shape[3]) if self.images.ndim == 4 else 1

    def of(self, rows: NDArray[np.integer]) -> "Examples":
        """Some of them."""
        return Examples(self.images[rows], self.targets[rows])

    def check(self, architecture: Architecture) -> None:
        """ValueError where they do not fit an architecture: other channels, more classes, masks for classes."""
        if self.channels != architecture.inputs:
            raise ValueError(
                f"architecture {architecture.id}: expected images of {architecture.inputs} channels, got {self.channels};"
                " correct its inputs"
            )
        if (self.targets.ndim == 3) != (architecture.task == "segmentation"):
            raise ValueError(
                f"architecture {architecture.id}: expected {'masks' if self.targets.ndim == 1 else 'a class each'} for"
                f" {architecture.task}, got targets of shape {self.targets.shape}; choose the other task"
            )
        if int(self.targets.max()) >= architecture.classes or int(self.targets.min()) < 0:
            raise ValueError(
                f"architecture {architecture.id}: expected classes from 0 to {architecture.classes - 1}, got"
                f" {int(self.targets.max())}; correct its classes"
            )


@dataclass(frozen=True)
class Epoch:
    """The mean loss of an epoch's steps, and the accuracy or mean intersection over union on validation images after it."""

    loss: float
    validation: float


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network: weights and running statistics by name, and its epochs.

    diverged: whether training stopped at a loss that is not finite; its validation is then 0, its weights those before.
    """

    architecture: Architecture
    weights: Arrays
    epochs: tuple[Epoch, ...]
    diverged: bool = False

    @property
    def validation(self) -> float:
        """Accuracy or mean intersection over union on validation images after the last epoch; 0 without any."""
        return self.epochs[-1].validation if self.epochs else 0.0
