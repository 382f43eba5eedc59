"""The training, export and evaluation of networks to be published. Imports torch where it is used."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.accuracy import bootstrapped, by_class, figure, softmax, wilson
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.evaluation_params import EvaluationParams
from fingerpost.tasks.nas.image_params import SplitName
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.runtime import probabilities, session
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training_params import Arrays, Epoch, Examples, TrainedNetwork, TrainingParams


def examples_of(images: LabelledImages, split: SplitName) -> Examples:
    """The images of a split with their classes or masks."""
    part = images.part(split)
    return Examples(part.pixels, part.labels if part.masks is None else part.masks)


def trained_network(
    architecture: Architecture,
    images: LabelledImages,
    params: TrainingParams,
    *,
    seed: int,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, Callable[[], Arrays]], None] | None = None,
) -> TrainedNetwork:
    """A network trained on training images, judged on validation images after each epoch.

    ValueError for images that do not fit the architecture.
    """
    from fingerpost.tasks.nas.training import train

    sides = examples_of(images, "training"), examples_of(images, "validation")
    return train(architecture, *sides, params, seed=seed, state=state, save=save)


def trained_supernet(
    space: SearchSpace,
    training: Examples,
    validation: Examples,
    params: SupernetParams,
    *,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, Callable[[], Arrays]], None] | None = None,
) -> tuple[Arrays, tuple[Epoch, ...]]:
    """See :func:`fingerpost.tasks.nas.supernet.train_supernet`."""
    from fingerpost.tasks.nas.supernet import train_supernet

    return train_supernet(space, training, validation, params, state=state, save=save)


def onnx_of(trained: TrainedNetwork, size: int, classes: tuple[str, ...]) -> bytes:
    """The ONNX file of a trained network for images of ``size`` pixels on a side."""
    from fingerpost.tasks.nas.exported import onnx_bytes
    from fingerpost.tasks.nas.networks import loaded, network

    return onnx_bytes(loaded(network(trained.architecture, size=size), trained.weights), classes)


@dataclass(frozen=True)
class Tested:
    """A network on test images: accuracy or mean intersection over union, its 95 % interval, and by class (NaN: none)."""

    accuracy: float
    low: float
    high: float
    by_class: tuple[float, ...]


def tested_network(
    architecture: Architecture, weights: Mapping[str, NDArray[np.generic]], tests: Examples, params: EvaluationParams
) -> Tested:
    """The evaluation of a network with these weights on test images."""
    from fingerpost.tasks.nas.networks import loaded, network
    from fingerpost.tasks.nas.training import counted, summed

    net = loaded(network(architecture, size=tests.images.shape[1]), weights)
    if architecture.task == "classification":
        counts = summed(net, tests)
        low, high = wilson(figure(counts, architecture.task), len(tests))
    else:
        each = counted(net, tests)
        counts, (low, high) = each.sum(axis=0), bootstrapped(each, resamples=params.resamples)
    found = by_class(counts, architecture.task)
    return Tested(figure(counts, architecture.task), low, high, tuple(found.tolist()))


def onnx_difference(
    architecture: Architecture,
    weights: Mapping[str, NDArray[np.generic]],
    model: bytes,
    images: NDArray[np.uint8],
) -> float | None:
    """The largest difference between the probabilities of torch and of onnxruntime; None without onnxruntime.

    ValueError where one of them is not finite.
    """
    from fingerpost.tasks.nas.networks import loaded, network
    from fingerpost.tasks.nas.training import logits_of

    try:
        opened = session(model)
    except ImportError:
        return None
    net = loaded(network(architecture, size=images.shape[1]), weights)
    difference = float(np.abs(softmax(logits_of(net, images)) - probabilities(opened, images)).max())
    if not math.isfinite(difference):
        raise ValueError("expected finite probabilities, got others: the training diverged; lower nas.training.rate")
    return difference
