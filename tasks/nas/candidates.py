"""The evaluation of one candidate of a search: training, a supernet's weights, or scores. Imports torch when it is used."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.history import Evaluation, Measure
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.resizing import resized_masks
from fingerpost.tasks.nas.score_params import ScoreParams
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.training_params import Examples, TrainingParams

#: Training images that zero-shot scores look at.
SCORED_IMAGES = 32


@dataclass(frozen=True)
class Protocol:
    """How candidates are evaluated: equal for all candidates of a search, and for searches that share evaluations."""

    training: TrainingParams
    scores: ScoreParams
    seed: int = 0


def evaluate_candidate(
    architecture: Architecture,
    measure: Measure,
    images: LabelledImages,
    protocol: Protocol,
    *,
    space: SearchSpace | None = None,
    supernet: Mapping[str, NDArray[np.generic]] | None = None,
) -> Evaluation:
    """What an evaluation finds; a function of its arguments, of the library that computes it, and of nothing else.

    space, supernet: the space and the shared weights of its networks, for the measure "supernet". ValueError for images
    that do not fit the architecture; ImportError without torch.
    """
    training, validation = (_examples(images.part(split)) for split in ("training", "validation"))
    if measure == "scores":
        return Evaluation(None, _scores(architecture, training, protocol.scores))
    if measure == "training":
        from fingerpost.tasks.nas.training import train

        return Evaluation(train(architecture, training, validation, protocol.training, seed=protocol.seed).validation)
    from fingerpost.tasks.nas.supernet import supernet_accuracy

    assert space is not None
    assert supernet is not None
    return Evaluation(supernet_accuracy(space, supernet, architecture, training, validation))


def _examples(images: LabelledImages) -> Examples:
    return Examples(images.pixels, images.labels if images.masks is None else images.masks)


def _scores(architecture: Architecture, training: Examples, params: ScoreParams) -> dict[str, float]:
    """The scores that are finite numbers."""
    from fingerpost.tasks.nas.networks import as_input, network
    from fingerpost.tasks.nas.zero_shot import scores

    # Images are often in the order of their classes, and the first ones of one class.
    order = np.random.default_rng([params.seed, 4]).permutation(len(training))
    batch = training.of(order[:SCORED_IMAGES])
    targets = batch.targets
    if architecture.task == "segmentation":
        targets = resized_masks(targets, architecture.output)
    module = network(architecture, size=batch.images.shape[1])
    found = scores(module, as_input(batch.images).numpy(), targets.astype(np.int64), params)
    return {name: value for name, value in found.items() if math.isfinite(value)}
