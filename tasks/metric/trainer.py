"""Trains an embedder step by step, so that a long training can be stopped and taken up again to the same weights."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.determinism import one_thread, seeded
from tasks.metric.embedders import BackboneParams, BalancedBatches, Check, Embedder, TrainingParams
from tasks.metric.margins import TcmParams
from tasks.metric.networks import as_input, base_loss, network, rate_at
from tasks.metric.retrieval import retrieval
from tasks.metric.tcm import WithTcm

#: Rows that a network embeds at a time: one number, since the same row in another batch differs in its last bits.
EMBED_ROWS = 256

Arrays = dict[str, NDArray[np.generic]]


class EmbedderTrainer:
    """Rows are vectors float32 (n, d) or images uint8 (n, height, width[, channels]); labels (n,) are classes by name or number.

    Training rows and validation rows are of different classes. The result is a function of rows, parameters and seed.
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
            made = base_loss(params.loss, len(names), self._dimensions())
        self.loss = made if tcm is None else WithTcm(made, tcm)
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
            found = self.net(as_input(self._rows[:2]))
        if found.ndim != 2 or len(found) != 2:
            raise ValueError(
                f"backbone: expected embeddings (b, d) for {len(found)} inputs, got shape {tuple(found.shape)}; return"
                " one row each"
            )
        return int(found.shape[1])

    @property
    def finished(self) -> bool:
        """Whether another check is not to be reached."""
        if self.step >= self.params.steps:
            return True
        return len(self._checks) - 1 - self._best >= self.params.patience > 0 and bool(self._checks)

    def run_until_check(self) -> None:
        """Steps up to the next check, and that check."""
        last = min(self.step + self.params.check_every, self.params.steps)
        began = self.step
        with one_thread():
            self.net.train()
            while self.step < last:
                self._since += self._one_step()
                self.step += 1
        vectors, labels = embed_with(self.net, self._held[0]), self._held[1]
        found = retrieval(vectors, labels, "cosine")
        if np.isnan(found.map_at_r):
            raise ValueError("validation: expected a class with two rows, got none; give more validation classes")
        if self._best < 0 or found.map_at_r > self._checks[self._best].map_at_r:
            self._best, self._kept = len(self._checks), self._weights()
        self._checks.append(Check(self.step, self._since / (self.step - began), found.map_at_r, found.recall_at_1))
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
                f"training: expected a finite loss at step {self.step}, got {value}; lower the rate, or look for"
                " vectors that are far longer than others"
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
        """What :meth:`restore` needs beside data and parameters, as arrays by name; between checks."""
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
        """Goes on where the trainer with this state stopped; ValueError for a state of another network."""
        try:
            self.net.load_state_dict(_tensors(state, "net."))
            self.loss.load_state_dict(_tensors(state, "loss."))
        except RuntimeError as problem:
            raise ValueError(f"state: expected that of this network, got another ({problem}); start again") from problem
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
    """All steps, or until mAP@R of validation classes no longer grows; ``save`` is told the step after each check and may
    call for the state, ``state`` takes one up.
    """
    if state is not None:
        trainer.restore(state)
    while not trainer.finished:
        trainer.run_until_check()
        if save is not None:
            save(trainer.step, trainer.state)
    return trainer.result()


def embed(embedder: Embedder, rows: NDArray[np.generic]) -> NDArray[np.float32]:
    """Embeddings float32 (n, dimensions), of length one, of rows (n, *shape); ValueError for another shape.

    A row's embedding is the same whatever rows come with it, to the bit, if ``n`` is padded alike: blocks are of
    ``EMBED_ROWS`` rows, the last one filled up.
    """
    if tuple(rows.shape[1:]) != embedder.shape:
        raise ValueError(
            f"embedder: expected inputs of shape {embedder.shape}, got {tuple(rows.shape[1:])}; give what it was"
            " trained on"
        )
    net = network(embedder.backbone, embedder.shape)
    net.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in embedder.weights.items()})
    return embed_with(net, rows)


def embed_with(net: torch.nn.Module, rows: NDArray[np.generic]) -> NDArray[np.float32]:
    """Embeddings of rows by a network as it stands."""
    net.eval()
    out = []
    with one_thread(), torch.no_grad():
        for begin in range(0, len(rows), EMBED_ROWS):
            part = rows[begin : begin + EMBED_ROWS]
            # A product of another number of rows may sum in another order.
            filled = np.concatenate([part, np.repeat(part[-1:], EMBED_ROWS - len(part), axis=0)])
            out.append(net(as_input(filled)).numpy()[: len(part)])
    return np.ascontiguousarray(np.concatenate(out), dtype=np.float32)


def shifted(images: NDArray[np.generic], most: int, random: np.random.Generator) -> NDArray[np.generic]:
    """Images (b, height, width, ...) each moved by up to ``most`` pixels either way, edges repeated."""
    height, width = images.shape[1:3]
    padding = [(0, 0), (most, most), (most, most)] + [(0, 0)] * (images.ndim - 3)
    padded = np.pad(images, padding, mode="edge")
    at = random.integers(0, 2 * most + 1, (len(images), 2))
    return np.stack([one[y : y + height, x : x + width] for one, (y, x) in zip(padded, at, strict=True)])


def _some(rows: NDArray[np.generic], labels: NDArray[np.generic], most: int) -> tuple[Any, Any]:
    """About that many rows: of each class at most a twentieth of them, evenly, and of such classes as many as fit."""
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
