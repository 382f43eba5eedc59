"""Step-by-step training of an embedder; an interrupted training resumes to the same weights."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.determinism import one_thread, seeded
from fingerpost.tasks.metric.embedders import BackboneParams, BalancedBatches, Check, Embedder, TrainingParams
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.networks import as_input, base_loss, network, rate_at
from fingerpost.tasks.metric.retrieval import retrieval
from fingerpost.tasks.metric.tcm import WithTcm

#: Rows per forward pass when embedding: fixed, since a row's last bits depend on the size of its batch.
EMBED_ROWS = 256

Arrays = dict[str, NDArray[np.generic]]


class EmbedderTrainer:
    """Training of one embedder; the result is a function of rows, parameters and seed.

    rows, held_rows: training and validation rows, of different classes; vectors float32 (n, d) or images uint8 (n,
    height, width[, channels]). labels, held_labels: their classes (n,) by name or number. ValueError for classes that
    are too small, for a network of another output shape and for a loss that is not finite.
    """

    def __init__(
        self,
        rows: NDArray[np.generic],
        labels: NDArray[np.generic],
        held_rows: NDArray[np.generic],
        held_labels: NDArray[np.generic],
        backbone: BackboneParams,
        params: TrainingParams,
        tcm: TcmParams | None = None,
    ) -> None:
        self.backbone, self.params, self.tcm = backbone, params, tcm
        names, self._classes = np.unique(labels, return_inverse=True)
        self._rows, self._shape = rows, tuple(rows.shape[1:])
        self._held = _some(held_rows, held_labels, params.validation_rows)
        self._batches = BalancedBatches(self._classes, params)
        with seeded(params.seed, 1):
            self.net = network(backbone, self._shape)
            base = base_loss(params.loss, len(names), self._dimensions())
        self.loss = base if tcm is None else WithTcm(base, tcm)
        groups = [{"params": list(self.net.parameters()), "rate": params.rate}]
        if proxies := list(self.loss.parameters()):
            groups.append({"params": proxies, "rate": params.proxy_rate})
        self._optimizer = torch.optim.AdamW(groups, lr=params.rate, weight_decay=params.weight_decay)
        self.step, self._since, self._best = 0, 0.0, -1
        self._checks: list[Check] = []
        self._kept = self._weights()

    def _dimensions(self) -> int:
        self.net.eval()
        with torch.no_grad():
            output = self.net(as_input(self._rows[:2]))
        if output.ndim != 2 or len(output) != 2:
            raise ValueError(
                f"backbone: expected embeddings (b, d) for {len(output)} inputs, got shape {tuple(output.shape)};"
                " return one row per input"
            )
        return int(output.shape[1])

    @property
    def finished(self) -> bool:
        """Whether training is over: all steps done, or no improvement for ``patience`` checks."""
        if self.step >= self.params.steps:
            return True
        return len(self._checks) - 1 - self._best >= self.params.patience > 0 and bool(self._checks)

    def run_until_check(self) -> None:
        """Trains up to the next check and performs it."""
        last = min(self.step + self.params.check_every, self.params.steps)
        began = self.step
        with one_thread():
            self.net.train()
            while self.step < last:
                self._since += self._one_step()
                self.step += 1
        vectors, labels = embed_with(self.net, self._held[0]), self._held[1]
        metrics = retrieval(vectors, labels, "cosine")
        if np.isnan(metrics.map_at_r):
            raise ValueError("validation: expected a class with two rows, got none; provide more validation classes")
        if self._best < 0 or metrics.map_at_r > self._checks[self._best].map_at_r:
            self._best, self._kept = len(self._checks), self._weights()
        loss = self._since / (self.step - began)
        self._checks.append(Check(self.step, loss, metrics.map_at_r, metrics.recall_at_1))
        self._since = 0.0

    def _one_step(self) -> float:
        chosen, params = self._batches.rows(self.step), self.params
        rows = self._rows[chosen]
        if params.shift and rows.ndim > 2:
            rows = shifted(rows, params.shift, np.random.default_rng([params.seed, 5, self.step]))
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self.step, params.steps, group["rate"], params.warmup)
        with seeded(params.seed, 2, self.step):
            loss = self.loss(self.net(as_input(rows)), torch.from_numpy(self._classes[chosen].astype(np.int64)))
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise ValueError(
                f"training: expected a finite loss at step {self.step}, got {value}; lower the rate, or check for"
                " vectors of extreme length"
            )
        return value

    def _weights(self) -> Arrays:
        return {name: tensor.detach().numpy().copy() for name, tensor in self.net.state_dict().items()}

    def result(self) -> Embedder:
        """The network of the best check so far."""
        return Embedder(
            self.backbone, self._shape, dict(self._kept), list(self._checks), self._best, self.params, self.tcm
        )

    def state(self) -> Arrays:
        """The state for :meth:`restore`, besides data and parameters, as arrays by name; valid between checks."""
        out: Arrays = {f"net.{name}": values for name, values in self._weights().items()}
        out |= {f"kept.{name}": values for name, values in self._kept.items()}
        out |= {f"loss.{name}": tensor.detach().numpy().copy() for name, tensor in self.loss.state_dict().items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            out |= {f"optimizer.{number}.{name}": tensor.numpy().copy() for name, tensor in moments.items()}
        checks = [[c.step, c.loss, c.map_at_r, c.recall_at_1] for c in self._checks]
        out["checks"] = np.array(checks, dtype=np.float64).reshape(-1, 4)
        out["position"] = np.array([self.step, self._best], dtype=np.int64)
        return out

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Resumes from a state; ValueError for a state of another network."""
        try:
            self.net.load_state_dict(_tensors(state, "net."))
            self.loss.load_state_dict(_tensors(state, "loss."))
        except RuntimeError as problem:
            raise ValueError(
                f"state: expected that of this network, got another ({problem}); start the training again"
            ) from problem
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in _tensors(state, "optimizer.").items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._kept = {name[5:]: np.array(values) for name, values in state.items() if name.startswith("kept.")}
        self._checks = [Check(int(row[0]), *(float(value) for value in row[1:])) for row in state["checks"].tolist()]
        self.step, self._best = (int(value) for value in state["position"])


def train_embedder(
    trainer: EmbedderTrainer,
    *,
    state: Mapping[str, NDArray[np.generic]] | None = None,
    save: Callable[[int, Callable[[], Arrays]], None] | None = None,
) -> Embedder:
    """Trains until the trainer is finished.

    state: a state to resume from. save: called after each check with the step and a function that returns the state.
    """
    if state is not None:
        trainer.restore(state)
    while not trainer.finished:
        trainer.run_until_check()
        if save is not None:
            save(trainer.step, trainer.state)
    return trainer.result()


def embed(embedder: Embedder, rows: NDArray[np.generic]) -> NDArray[np.float32]:
    """Unit-length embeddings float32 (n, dimensions) of rows (n, *shape); ValueError for another shape.

    A row's embedding does not depend, to the bit, on the other rows: rows are embedded in blocks of ``EMBED_ROWS``, the
    last one padded. That needs linear layers of 12 outputs or more, or of inputs in multiples of 4: of others MKL sums a row
    by its place in memory (findings/torch_linear_rows_by_alignment.sh). So it does with the heads of a transformer whose
    width over their number is no multiple of 4; and a user's module keeps it only where its parts do.
    """
    if tuple(rows.shape[1:]) != embedder.shape:
        raise ValueError(
            f"embedder: expected inputs of shape {embedder.shape}, got {tuple(rows.shape[1:])}; provide inputs like the"
            " training data"
        )
    net = network(embedder.backbone, embedder.shape)
    net.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in embedder.weights.items()})
    return embed_with(net, rows)


def embed_with(net: torch.nn.Module, rows: NDArray[np.generic]) -> NDArray[np.float32]:
    """Embeddings float32 (n, dimensions) of rows by a network with its current weights."""
    net.eval()
    out = []
    with one_thread(), torch.no_grad():
        for begin in range(0, len(rows), EMBED_ROWS):
            part = rows[begin : begin + EMBED_ROWS]
            # A matrix product with another number of rows may sum in another order.
            filled = np.concatenate([part, np.repeat(part[-1:], EMBED_ROWS - len(part), axis=0)])
            out.append(net(as_input(filled)).numpy()[: len(part)])
    return np.ascontiguousarray(np.concatenate(out), dtype=np.float32)


def shifted(images: NDArray[np.generic], most: int, random: np.random.Generator) -> NDArray[np.generic]:
    """Images (b, height, width, ...), each shifted by up to ``most`` pixels in either direction, edges repeated."""
    height, width = images.shape[1:3]
    padding = [(0, 0), (most, most), (most, most)] + [(0, 0)] * (images.ndim - 3)
    padded = np.pad(images, padding, mode="edge")
    at = random.integers(0, 2 * most + 1, (len(images), 2))
    return np.stack([image[y : y + height, x : x + width] for image, (y, x) in zip(padded, at, strict=True)])


def _some(rows: NDArray[np.generic], labels: NDArray[np.generic], most: int) -> tuple[Any, Any]:
    """About ``most`` rows and their labels: at most a twentieth of that per class, of as many classes as fit."""
    _, classes = np.unique(labels, return_inverse=True)
    own = [np.flatnonzero(classes == number) for number in range(int(classes.max(initial=-1)) + 1)]
    each = max(2, most // 20)
    own = [at[np.linspace(0, len(at) - 1, min(each, len(at))).round().astype(np.int64)] for at in own]
    order = np.random.default_rng(len(own)).permutation(len(own))
    fitting = int(np.searchsorted(np.cumsum([len(own[number]) for number in order]), most, side="right"))
    chosen = np.sort(np.concatenate([own[number] for number in order[: max(2, fitting)]]))
    return rows[chosen], labels[chosen]


def _tensors(state: Mapping[str, NDArray[np.generic]], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name[len(prefix) :]: torch.from_numpy(np.array(values))
        for name, values in state.items()
        if name.startswith(prefix)
    }
