"""Epoch-by-epoch training of an aligner; an interrupted training resumes to the same weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.determinism import one_thread
from fingerpost.tasks.kg.aligner import Aligner, features_row
from fingerpost.tasks.kg.aligner_graphs import NONE, AlignerGraph
from fingerpost.tasks.kg.aligner_net import AlignerNet, Arrays, batch_of
from fingerpost.tasks.kg.aligner_params import AlignerParams
from fingerpost.tasks.kg.decisions import average_precision
from fingerpost.tasks.kg.labelled_pairs import LabelledPairs
from fingerpost.tasks.kg.negatives import Pairs, PairSpace, hard_negatives, random_negatives

#: Steps that an epoch has at least, as long as they have so many pairs.
_STEPS, _LEAST = 10, 16
#: The similarities (m, f) of pairs (m, 2), NaN for unknown.
Features = Callable[[NDArray[np.integer]], NDArray[np.floating]]


@dataclass(frozen=True)
class Epoch:
    """The mean loss of an epoch's batches, and the PRAUC of the validation pairs after it."""

    loss: float
    validation: float


class AlignerTrainer:
    """Training of one aligner; the result is a function of graphs, pairs, parameters and seed.

    matrices: number of matrices of the graphs. space: what negatives are drawn from. features: of pairs, if similarities of
    attributes are to stand beside what is learned. ValueError without matches to train on or without pairs to stop by.
    """

    def __init__(
        self,
        left: AlignerGraph,
        right: AlignerGraph,
        labelled: LabelledPairs,
        params: AlignerParams,
        *,
        matrices: int,
        space: PairSpace,
        features: Features | None = None,
    ) -> None:
        self.params, self._space = params, space
        self._sides = (left.embedded(),) * 2 if space.within else (left.embedded(), right.embedded())
        self._graph, self._offset = (self._sides[0], 0) if space.within else (joined(*self._sides), left.entities)
        self._known, self._features = labelled.pairs[labelled.labels == 1], features
        self._pairs, self._labels = _part(labelled, labelled.training, "training")
        self._held = _part(labelled, labelled.validation, "validation")
        self._held = self._completed(*self._held, logits=None, seed=(params.seed, 3))
        self._middle, self._spread = self._scales()
        self.net = AlignerNet(left.vectors.shape[1], matrices, len(self._middle), params)
        self._optimizer = torch.optim.AdamW(
            self.net.groups(params.rate), lr=params.rate, weight_decay=params.decay, fused=True
        )
        self.epochs: list[Epoch] = []
        self._best, self._kept = -1, self.net.arrays()

    def _scales(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of each feature over the training pairs."""
        if self._features is None:
            return np.zeros(0), np.ones(0)
        values = np.asarray(self._features(self._pairs), np.float64)
        known = ~np.isnan(values)
        counts = np.maximum(known.sum(axis=0), 1)
        middle = np.where(known, values, 0.0).sum(axis=0) / counts
        spread = np.sqrt((np.where(known, values - middle, 0.0) ** 2).sum(axis=0) / counts)
        return middle, np.where(spread > 0, spread, 1.0)

    def _completed(
        self, pairs: Pairs, labels: NDArray[np.integer], *, logits: Any, seed: tuple[int, ...]
    ) -> tuple[Pairs, NDArray[np.integer]]:
        """Pairs with drawn negatives where there are fewer of label 0 than matches."""
        matches = pairs[labels == 1]
        if np.sum(labels == 0) >= len(matches):
            return pairs, labels
        hard = round(self.params.hard * self.params.negatives) if logits is not None else 0
        rng = np.random.default_rng(seed)
        drawn = random_negatives(matches, self._known, self._space, each=self.params.negatives - hard, rng=rng)
        if hard:
            found = hard_negatives(matches, self._known, self._space, each=hard, logits=logits)
            drawn = np.concatenate([drawn, found])
        drawn = drawn[~np.isin(self._space.keys(drawn), self._space.keys(pairs))]
        return np.concatenate([pairs, drawn]), np.concatenate([labels, np.zeros(len(drawn), labels.dtype)])

    @property
    def finished(self) -> bool:
        """Whether training is over: all epochs done, or no improvement for ``patience`` of them."""
        done = len(self.epochs)
        return done >= self.params.epochs or (done - 1 - self._best >= self.params.patience > 0 and done > 0)

    def run_epoch(self) -> None:
        """One pass over the training pairs, then the PRAUC of the validation pairs."""
        epoch, params = len(self.epochs), self.params
        hard = epoch >= params.burn_in and len(self._space.candidates) > 0
        pairs, labels = self._completed(
            self._pairs, self._labels, logits=self._logits if hard else None, seed=(params.seed, 4, epoch)
        )
        rng, losses = np.random.default_rng([params.seed, 2, epoch]), []
        with one_thread():
            for chosen in _batches(labels, params.batch, rng):
                losses.append(self._step(pairs[chosen], labels[chosen]))
        held, truth = self._held
        found = average_precision(truth, self._logits(held))
        if self._best < 0 or found > self.epochs[self._best].validation:
            self._best, self._kept = epoch, self.net.arrays()
        self.epochs.append(Epoch(float(np.mean(losses)), found))

    def _step(self, pairs: Pairs, labels: NDArray[np.integer]) -> float:
        batch = batch_of(self._graph, pairs + np.array([0, self._offset]), self._rows(pairs))
        logits, truth = self.net(batch), torch.from_numpy(labels.astype(np.float32))
        if self.params.score == "distance":
            loss = _margin_loss(-logits, truth > 0, self.params.margin)
        else:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise ValueError(f"training: expected a finite loss, got {value}; lower the rate, or check the vectors")
        return value

    def _rows(self, pairs: Pairs) -> NDArray[np.float64]:
        if self._features is None:
            return np.zeros((len(pairs), 0))
        return features_row(np.asarray(self._features(pairs), np.float64), self._middle, self._spread)

    def _weights(self, arrays: Arrays) -> Arrays:
        return arrays | {"features.middle": self._middle, "features.spread": self._spread}

    def _logits(self, pairs: NDArray[np.integer]) -> NDArray[np.float64]:
        aligner = Aligner(self._weights(self.net.arrays()), *self._sides)
        return aligner.logits(pairs, None if self._features is None else self._features(pairs))

    def result(self) -> Aligner:
        """The aligner of the best epoch so far."""
        return Aligner(self._weights(self._kept), *self._sides)

    def state(self) -> Arrays:
        """The state for :meth:`restore`, besides data and parameters, as arrays by name; valid between epochs."""
        out: Arrays = {f"net.{name}": tensor.numpy().copy() for name, tensor in self.net.state_dict().items()}
        out |= {f"kept.{name}": values for name, values in self._kept.items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            out |= {f"optimizer.{number}.{name}": tensor.numpy().copy() for name, tensor in moments.items()}
        epochs = [[epoch.loss, epoch.validation] for epoch in self.epochs]
        return out | {"epochs": np.array(epochs, np.float64).reshape(-1, 2), "best": np.array([self._best])}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Resumes from a state; ValueError for a state of another network."""
        try:
            self.net.load({name[4:]: values for name, values in state.items() if name.startswith("net.")})
        except RuntimeError as problem:
            raise ValueError(
                f"state: expected that of this network, got another ({problem}); start the training again"
            ) from problem
        moments: dict[int, dict[str, Any]] = {}
        for name, values in state.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".", 2)
                moments.setdefault(int(number), {})[key] = torch.from_numpy(np.array(values))
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._kept = {name[5:]: np.array(values) for name, values in state.items() if name.startswith("kept.")}
        self.epochs = [Epoch(*row) for row in np.asarray(state["epochs"], np.float64).tolist()]
        self._best = int(state["best"][0])


def train_aligner(
    trainer: AlignerTrainer,
    *,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, Callable[[], Arrays]], None] | None = None,
) -> Aligner:
    """Trains until the trainer is finished.

    state: a state to resume from. save: called after each epoch with its number and a function that returns the state.
    """
    if state is not None:
        trainer.restore(state)
    while not trainer.finished:
        trainer.run_epoch()
        if save is not None:
            save(len(trainer.epochs), trainer.state)
    return trainer.result()


def _part(labelled: LabelledPairs, chosen: NDArray[np.bool_], what: str) -> tuple[Pairs, NDArray[np.integer]]:
    pairs, labels = labelled.pairs[chosen].astype(np.int64), np.asarray(labelled.labels)[chosen]
    if not np.any(labels == 1):
        raise ValueError(f"links: expected at least one match of split {what}, got none; give some")
    return pairs, labels


def _batches(labels: NDArray[np.integer], size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Shuffled rows in batches of about ``size``, or in a few smaller ones; matches spread evenly over them."""
    count = max(len(labels) // size, min(len(labels) // _LEAST, _STEPS), 1)
    parts = [np.array_split(rng.permutation(np.flatnonzero(labels == label)), count) for label in (1, 0)]
    # Shorter parts of one label go with longer ones of the other.
    return [np.concatenate(both) for both in zip(parts[0], parts[1][::-1], strict=True)]


def _margin_loss(distances: torch.Tensor, is_match: torch.Tensor, margin: float) -> torch.Tensor:
    """Mean over matches of the excess over the margin, of their distance and against each negative of the batch."""
    near, far = distances[is_match], distances[~is_match]
    between = torch.relu(near[:, None] - far[None] + margin)
    parts = [
        between.mean() if between.numel() else far.new_zeros(()),
        torch.relu(near - margin).sum() / max(len(near), 1),
    ]
    return parts[0] + parts[1]


def joined(left: AlignerGraph, right: AlignerGraph) -> AlignerGraph:
    """Both graphs as one: entities of the left and the right one, then texts of the left and the right one."""
    n, m = left.entities, right.entities
    neighbors = [_moved(left.neighbors, n, 0, m), _moved(right.neighbors, m, n, n + left.texts)]
    texts = np.concatenate([side.embed(np.arange(side.texts)) for side in (left, right)])
    return AlignerGraph(
        np.concatenate([left.vectors, right.vectors]),
        np.concatenate(neighbors),
        np.concatenate([left.matrices, right.matrices]),
        len(texts),
        lambda numbers: texts[numbers],
    )


def _moved(neighbors: NDArray[np.int32], entities: int, by: int, texts_by: int) -> NDArray[np.int32]:
    moved = np.where(neighbors < entities, neighbors + by, neighbors + texts_by)
    return np.where(neighbors == NONE, NONE, moved).astype(np.int32)
