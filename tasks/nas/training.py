"""Step-by-step training of networks; an interrupted training resumes to the same weights. Needs torch.

AdamW (Loshchilov and Hutter, ICLR 2019) with one cycle of the learning rate (Smith and Topin, 2018).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.determinism import one_thread
from fingerpost.tasks.nas.accuracy import confusion, figure, predicted, softmax, summed_confusion
from fingerpost.tasks.nas.aligned_rows import aligned_rows
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.networks import Network, as_input, loaded, network, weights_of
from fingerpost.tasks.nas.resizing import resized, resized_masks
from fingerpost.tasks.nas.training_params import Arrays, Epoch, Examples, TrainedNetwork, TrainingParams

#: Images of a forward pass without gradients: fixed, since a row's last bits depend on the size of its batch.
PREDICTED_IMAGES = 256
#: Of AdamW: shorter memories than its defaults, for trainings of a few hundred steps.
BETAS = (0.8, 0.99)
#: Steps after which a training may be interrupted, besides the ends of epochs.
PART = 50


class NetworkTrainer:
    """Training of one network; the result is a function of examples, parameters and seed.

    validation: examples that each epoch ends with; without any, its validation is 0. ValueError for examples that do not
    fit the architecture, and for fewer than two training images.
    """

    def __init__(
        self,
        architecture: Architecture,
        training: Examples,
        validation: Examples | None,
        params: TrainingParams,
        *,
        seed: int = 0,
    ) -> None:
        for examples in (training, validation):
            if examples is not None:
                examples.check(architecture)
        if len(training) < 2:
            raise ValueError(f"training: expected at least 2 images, got {len(training)}; provide more")
        self.architecture, self.params, self.seed = architecture, params, seed
        self._images = resized(training.images, architecture.resolution)
        self._targets: NDArray[Any] = training.targets.astype(np.int64)
        if architecture.task == "segmentation":
            self._targets = resized_masks(training.targets, architecture.resolution)
        self._validation = validation
        self._weights = class_weights(self._targets, architecture.classes, params.balance)
        self.net = network(architecture, seed=seed)
        self._optimizer = torch.optim.AdamW(
            decay_groups(self.net.parameters(), params.weight_decay), lr=params.rate, betas=BETAS, fused=True
        )
        self.step, self._sum, self.diverged = 0, 0.0, False
        self.epochs: list[Epoch] = []
        self._kept = weights_of(self.net)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch."""
        return steps_per_epoch(len(self._images), self.params.batch)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the loss was not finite."""
        return self.diverged or len(self.epochs) >= self.params.epochs

    def run_part(self) -> None:
        """Trains for ``PART`` steps or to the end of the epoch, which is then judged."""
        epoch, each = len(self.epochs), self.steps_per_epoch
        order = np.random.default_rng([self.seed, 2, epoch]).permutation(len(self._images))
        last = min(self.step + PART, (epoch + 1) * each)
        with one_thread():
            self.net.train()
            while self.step < last:
                begin = (self.step - epoch * each) * self.params.batch
                if not self._one_step(order[begin : begin + self.params.batch]):
                    return self._stop(self.step - epoch * each)
                self.step += 1
        if self.step == (epoch + 1) * each:
            found = judged(self.net, self._validation) if self._validation is not None else 0.0
            self.epochs.append(Epoch(self._sum / each, found))
            self._kept, self._sum = weights_of(self.net), 0.0

    def _one_step(self, chosen: NDArray[np.integer]) -> bool:
        """One step; whether its loss was finite."""
        params, random = self.params, np.random.default_rng([self.seed, 3, self.step])
        images, targets = self._images[chosen], self._targets[chosen]
        if params.shift:
            at = random.integers(0, 2 * params.shift + 1, (len(chosen), 2))
            images = shifted(images, at, params.shift)
            targets = shifted(targets, at, params.shift) if targets.ndim > 1 else targets
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self.step, params.epochs * self.steps_per_epoch, params.rate, params.warmup)
        loss = self._loss(images, targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            return False
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._sum += value
        return True

    def _loss(self, images: NDArray[Any], targets: NDArray[Any]) -> torch.Tensor:
        logits = self.net(as_input(images).contiguous(memory_format=torch.channels_last))
        if self.architecture.task == "segmentation":
            truth = torch.from_numpy(resized_masks(targets, self.architecture.output).astype(np.int64))
            return torch.nn.functional.cross_entropy(logits, truth, weight=self._weights)
        return torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(targets), label_smoothing=self.params.label_smoothing
        )

    def _stop(self, steps: int) -> None:
        """Ends the training at a loss that is not finite, with the weights of the epoch before."""
        self.diverged = True
        self.epochs.append(Epoch(self._sum / max(steps, 1), 0.0))

    def result(self) -> TrainedNetwork:
        """The network after the last epoch so far."""
        return TrainedNetwork(self.architecture, dict(self._kept), tuple(self.epochs), self.diverged)

    def state(self) -> Arrays:
        """The state for :meth:`restore`, besides data and parameters, as arrays by name; valid between parts."""
        out: Arrays = {f"net.{name}": values for name, values in weights_of(self.net).items()}
        out |= {f"kept.{name}": values for name, values in self._kept.items()}
        out |= moments_of(self._optimizer)
        epochs = [[epoch.loss, epoch.validation] for epoch in self.epochs]
        out["epochs"] = np.array(epochs, dtype=np.float64).reshape(-1, 2)
        out["position"] = np.array([self.step, self.diverged], dtype=np.int64)
        out["sum"] = np.array([self._sum], dtype=np.float64)
        return out

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Resumes from a state; ValueError for a state of another network."""
        loaded(self.net, _named(state, "net."))
        restore_moments(self._optimizer, state)
        self._kept = _named(state, "kept.")
        self.epochs = [Epoch(loss, found) for loss, found in state["epochs"].tolist()]
        self.step, self.diverged = int(state["position"][0]), bool(state["position"][1])
        self._sum = float(state["sum"][0])


def train(
    architecture: Architecture,
    training: Examples,
    validation: Examples | None,
    params: TrainingParams,
    *,
    seed: int = 0,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, Callable[[], Arrays]], None] | None = None,
) -> TrainedNetwork:
    """Trains a network; the result is a function of architecture, examples, parameters and seed.

    A training whose loss is not finite ends there, with a validation of 0. state: a state to resume from. save: called
    after each part with the step and a function that returns the state. ValueError as :class:`NetworkTrainer`.
    """
    trainer = NetworkTrainer(architecture, training, validation, params, seed=seed)
    if state is not None:
        trainer.restore(state)
    while not trainer.finished:
        trainer.run_part()
        if save is not None:
            save(trainer.step, trainer.state)
    return trainer.result()


def steps_per_epoch(images: int, batch: int) -> int:
    """Batches of an epoch, at least one: a last batch of a single image, which batch norm cannot do, is left out."""
    whole, rest = divmod(images, batch)
    return max(whole + (rest > 1), 1)


def class_weights(targets: NDArray[Any], classes: int, balance: float) -> torch.Tensor | None:
    """The weights of the classes of masks (n, size, size), see ``TrainingParams.balance``; None for classes of images."""
    if targets.ndim == 1 or not balance:
        return None
    counts = np.maximum(np.bincount(targets.ravel(), minlength=classes), 1)
    return torch.from_numpy(((targets.size / counts) ** balance).astype(np.float32))


def rate_at(step: int, steps: int, rate: float, warmup: float) -> float:
    """The learning rate at a step of ``steps``: it rises over the fraction ``warmup`` to ``rate``, then falls as a cosine."""
    rise = max(warmup * steps, 1.0)
    if step < rise:
        return rate * (step + 1) / (rise + 1)
    part = (step - rise) / max(steps - rise, 1.0)
    return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


def moments_of(optimizer: torch.optim.Optimizer) -> Arrays:
    """The state of an optimizer as arrays by name, for :func:`restore_moments`."""
    return {
        f"optimizer.{number}.{name}": tensor.numpy().copy()
        for number, moments in optimizer.state_dict()["state"].items()
        for name, tensor in moments.items()
    }


def restore_moments(optimizer: torch.optim.Optimizer, state: Mapping[str, NDArray[np.generic]]) -> None:
    """Gives an optimizer the state that :func:`moments_of` returned."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, Any]] = {}
    for name, values in _named(state, "optimizer.").items():
        number, _, key = name.partition(".")
        tensor = torch.from_numpy(values)
        if tensor.ndim:
            # The fused update pairs values by their place in memory: moments need the memory format of their weights.
            tensor = torch.empty_like(weights[int(number)]).detach().copy_(tensor)
        moments.setdefault(int(number), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def logits_of(net: Network, images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Logits float32 (n, classes[, output, output]) of images (n, size, size[, channels]) of any size, in eval mode.

    A row does not depend, to the bit, on the other rows: a pass has ``PREDICTED_IMAGES`` images, the last one padded.
    """
    net.eval()
    pixels = (net.architecture.output,) * 2 if net.architecture.task == "segmentation" else ()
    out = [np.zeros((0, net.architecture.classes, *pixels), dtype=np.float32)]
    with one_thread(), aligned_rows(net), torch.no_grad():
        for begin in range(0, len(images), PREDICTED_IMAGES):
            part = resized(images[begin : begin + PREDICTED_IMAGES], net.size)
            # A product with another number of rows may sum in another order.
            rows = np.concatenate([part, np.repeat(part[-1:], PREDICTED_IMAGES - len(part), axis=0)])
            pictures = as_input(rows).contiguous(memory_format=torch.channels_last)
            out.append(net(pictures)[: len(part)].contiguous().numpy())
    return np.concatenate(out)


def counted(net: Network, examples: Examples) -> NDArray[np.int64]:
    """Counts (n, classes, classes + 1) of each image, see :func:`fingerpost.tasks.nas.accuracy.confusion`."""
    classes = net.architecture.classes
    return np.concatenate([confusion(said, truth, classes) for said, truth in _judgements(net, examples)])


def summed(net: Network, examples: Examples) -> NDArray[np.int64]:
    """Counts (classes, classes + 1) of all images."""
    classes = net.architecture.classes
    found = np.zeros((classes, classes + 1), dtype=np.int64)
    for said, truth in _judgements(net, examples):
        found += summed_confusion(said, truth, classes)
    return found


def _judgements(net: Network, examples: Examples) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Predicted and true classes of images or pixels, some images at a time."""
    for begin in range(0, len(examples), PREDICTED_IMAGES):
        images = examples.images[begin : begin + PREDICTED_IMAGES]
        said = predicted(softmax(logits_of(net, images)), images.shape[1])
        yield said, examples.targets[begin : begin + PREDICTED_IMAGES]


def judged(net: Network, examples: Examples) -> float:
    """Accuracy, or the mean intersection over union of masks in the size of the images."""
    return figure(summed(net, examples), net.architecture.task)


def decay_groups(weights: Iterable[torch.Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: kernels, which decay, and biases and batch norms, which do not."""
    given = list(weights)
    kernels, others = ([one for one in given if (one.ndim > 1) is kernel] for kernel in (True, False))
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def shifted(images: NDArray[Any], at: NDArray[np.integer], most: int) -> NDArray[Any]:
    """Images (b, size, size, ...), each shifted by ``at`` (b, 2) minus ``most`` pixels, edges repeated."""
    size = images.shape[1]
    steps = np.arange(size) - most
    down, across = (np.clip(at[:, side, None] + steps, 0, size - 1) for side in (0, 1))
    return images[np.arange(len(images))[:, None, None], down[:, :, None], across[:, None, :]]


def _named(state: Mapping[str, NDArray[np.generic]], prefix: str) -> Arrays:
    return {name[len(prefix) :]: np.array(values) for name, values in state.items() if name.startswith(prefix)}
