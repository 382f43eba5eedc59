"""A supernet: the shared weights of a search space, trained by fair paths, and its networks judged by them; needs torch."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.determinism import one_thread, seeded
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.networks import Network, as_input, loaded, network, weights_of
from fingerpost.tasks.nas.paths import largest_beside, paths, some_networks
from fingerpost.tasks.nas.resizing import resized, resized_masks
from fingerpost.tasks.nas.shared_forward import shared_logits
from fingerpost.tasks.nas.shared_weights import own_weights, shapes_of
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training import (
    BETAS,
    PART,
    class_weights,
    decay_groups,
    judged,
    moments_of,
    rate_at,
    restore_moments,
    shifted,
    steps_per_epoch,
)
from fingerpost.tasks.nas.training_params import Arrays, Epoch, Examples

#: Training images that the batch norms of a network are calibrated with before it is judged, and images a pass.
CALIBRATION, CALIBRATED = 1024, 128


class SupernetTrainer:
    """Training of a supernet; the result is a function of space, examples and parameters.

    ValueError for examples that do not fit the space, for fewer than two training images, and for a loss that is not finite.
    """

    def __init__(self, space: SearchSpace, training: Examples, validation: Examples, params: SupernetParams) -> None:
        for examples in (training, validation):
            examples.check(space.smallest())
        if len(training) < 2:
            raise ValueError(f"supernet: expected at least 2 training images, got {len(training)}; provide more")
        self.space, self.params = space, params
        self._training, self._validation = training, validation
        self._images = {size: resized(training.images, size) for size in space.resolutions}
        self._targets: dict[int, NDArray[Any]] = {
            size: training.targets if training.targets.ndim == 1 else resized_masks(training.targets, size)
            for size in space.resolutions
        }
        self._class_weights = class_weights(training.targets, space.classes, params.balance)
        self.weights = _initial(space, params.seed)
        groups = decay_groups(self.weights.values(), params.weight_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=params.rate, betas=BETAS, fused=True)
        self._judged = some_networks(space, params.judged, seed=params.seed)
        self.step, self._sum = 0, 0.0
        self.epochs: list[Epoch] = []

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch."""
        return steps_per_epoch(len(self._training), self.params.batch)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.epochs) >= self.params.epochs

    def run_part(self) -> None:
        """Trains for ``PART`` steps or to the end of the epoch, after which some networks are judged."""
        epoch, each = len(self.epochs), self.steps_per_epoch
        order = np.random.default_rng([self.params.seed, 2, epoch]).permutation(len(self._training))
        last = min(self.step + PART, (epoch + 1) * each)
        with one_thread():
            while self.step < last:
                begin = (self.step - epoch * each) * self.params.batch
                self._sum += self._one_step(order[begin : begin + self.params.batch])
                self.step += 1
        if self.step == (epoch + 1) * each:
            found = [
                supernet_accuracy(self.space, self.arrays(), one, self._training, self._validation)
                for one in self._judged
            ]
            self.epochs.append(Epoch(self._sum / each, float(np.mean(found))))
            self._sum = 0.0

    def _one_step(self, chosen: NDArray[np.integer]) -> float:
        """One update by the gradients of all paths on the same images; the mean loss."""
        params, random = self.params, np.random.default_rng([self.params.seed, 3, self.step])
        steps = params.epochs * self.steps_per_epoch
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self.step, steps, params.rate, params.warmup)
        ways = paths(self.space, random)
        at = random.integers(0, 2 * params.shift + 1, (len(chosen), 2))
        images, targets = self._batch(chosen, ways[0], at)
        self._optimizer.zero_grad()
        teacher, losses = None, []
        if params.distillation:
            logits = shared_logits(self.space, self.weights, largest_beside(self.space, ways[0], random), images)
            losses.append(self._backward(logits, targets, None))
            teacher = logits.detach()
        for way in ways:
            logits = shared_logits(self.space, self.weights, way, images)
            losses.append(self._backward(logits, targets, teacher))
        self._optimizer.step()
        return float(np.mean(losses))

    def _batch(
        self, chosen: NDArray[np.integer], way: Architecture, at: NDArray[np.integer]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and targets of a step in the resolution and output of its paths."""
        images, targets = self._images[way.resolution][chosen], self._targets[way.resolution][chosen]
        if self.params.shift:
            images = shifted(images, at, self.params.shift)
            targets = shifted(targets, at, self.params.shift) if targets.ndim > 1 else targets
        if targets.ndim > 1:
            targets = resized_masks(targets, way.output)
        pictures = as_input(images).contiguous(memory_format=torch.channels_last)
        return pictures, torch.from_numpy(targets.astype(np.int64))

    def _backward(self, logits: torch.Tensor, targets: torch.Tensor, teacher: torch.Tensor | None) -> float:
        """Adds the gradients of a path's loss; the loss."""
        smoothing = self.params.label_smoothing if logits.ndim == 2 else 0.0
        loss = torch.nn.functional.cross_entropy(logits, targets, self._class_weights, label_smoothing=smoothing)
        if teacher is not None:
            soft = torch.nn.functional.cross_entropy(logits, torch.softmax(teacher, dim=1))
            loss = (1 - self.params.distillation) * loss + self.params.distillation * soft
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(
                f"supernet: expected a finite loss at step {self.step}, got {value}; lower the rate of nas.supernet"
            )
        loss.backward()
        return value

    def arrays(self) -> Arrays:
        """The shared weights by name."""
        return {name: weight.detach().numpy().copy() for name, weight in self.weights.items()}

    def state(self) -> Arrays:
        """The state for :meth:`restore`, besides data and parameters, as arrays by name; valid between parts."""
        out: Arrays = {f"shared.{name}": values for name, values in self.arrays().items()}
        out |= moments_of(self._optimizer)
        epochs = [[epoch.loss, epoch.validation] for epoch in self.epochs]
        out["epochs"] = np.array(epochs, dtype=np.float64).reshape(-1, 2)
        out["position"] = np.array([self.step], dtype=np.int64)
        out["sum"] = np.array([self._sum], dtype=np.float64)
        return out

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Resumes from a state; ValueError for a state of another space."""
        shapes = {name[7:]: values.shape for name, values in state.items() if name.startswith("shared.")}
        if shapes != shapes_of(self.space):
            raise ValueError("state: expected that of this search space, got another; start the training again")
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(torch.from_numpy(np.array(state[f"shared.{name}"])))
        restore_moments(self._optimizer, state)
        self.epochs = [Epoch(loss, found) for loss, found in state["epochs"].tolist()]
        self.step, self._sum = int(state["position"][0]), float(state["sum"][0])


def train_supernet(
    space: SearchSpace,
    training: Examples,
    validation: Examples,
    params: SupernetParams,
    *,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, Callable[[], Arrays]], None] | None = None,
) -> tuple[Arrays, tuple[Epoch, ...]]:
    """The shared weights of a space, and the epochs of their training; state and save as in `fingerpost.tasks.nas.training`."""
    trainer = SupernetTrainer(space, training, validation, params)
    if state is not None:
        trainer.restore(state)
    while not trainer.finished:
        trainer.run_part()
        if save is not None:
            save(trainer.step, trainer.state)
    return trainer.arrays(), tuple(trainer.epochs)


def supernet_accuracy(
    space: SearchSpace,
    weights: Mapping[str, NDArray[np.generic]],
    architecture: Architecture,
    training: Examples,
    validation: Examples,
) -> float:
    """Accuracy, or mean intersection over union, of a network of a space with the shared weights on validation images.

    Its batch norms get the statistics of up to ``CALIBRATION`` training images first. ValueError for an architecture or
    weights of another space.
    """
    return judged(supernet_network(space, weights, architecture, training), validation)


def supernet_network(
    space: SearchSpace,
    weights: Mapping[str, NDArray[np.generic]],
    architecture: Architecture,
    training: Examples,
) -> Network:
    """A network of a space with the shared weights and statistics of training images."""
    net = network(architecture)
    own = own_weights(space, weights, architecture)
    return calibrated(loaded(net, weights_of(net) | own), training.images)


def calibrated(net: Network, images: NDArray[np.generic]) -> Network:
    """The network in eval mode; its batch norms have the mean statistics of batches of some images, always the same."""
    norms = [part.norm for _, part in net.convolutions()]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    # Images are often in the order of their classes, and the first ones of some classes.
    order = np.random.default_rng(4).permutation(len(images))
    chosen = resized(images[order[:CALIBRATION]], net.size)
    with one_thread(), torch.no_grad():
        net.train()
        for begin in range(0, max(len(chosen) - 1, 1), CALIBRATED):
            net(as_input(chosen[begin : begin + CALIBRATED]).contiguous(memory_format=torch.channels_last))
    return net.eval()


def _initial(space: SearchSpace, seed: int) -> dict[str, torch.Tensor]:
    """Shared weights before training: those of batch norms 1 and 0, kernels normal as He et al. (ICCV 2015)."""
    found = {}
    with seeded(seed, 1):
        for name, shape in shapes_of(space).items():
            if name.endswith(".kernel"):
                weight = torch.empty(shape)
                torch.nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
            else:
                weight = torch.ones(shape) if name.endswith(".scale") else torch.zeros(shape)
            found[name] = weight.requires_grad_()
    return found
