"""Weights and training step of a two-tower network; the only module of the domain that imports torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.xmr.towers import Batch

_LAYERS = ("query_layer", "label_layer")


class _Bag(torch.autograd.Function):
    """Weighted sums of embedding rows as a sparse matrix product; each row's gradient is computed once per batch."""

    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, rows: sparse.csr_array) -> torch.Tensor:
        ctx.rows = rows
        return torch.from_numpy(rows @ part.detach().numpy())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.from_numpy(ctx.rows.T.tocsr() @ gradient.numpy()), None


class TowerNet:
    """An embedding per n-gram, a dense layer per tower and, with ``own``, a vector per label."""

    def __init__(self, features: int, labels: int, size: int, *, own: bool, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        table = torch.randn(features, size, generator=random) * size**-0.5
        self._net = {"table": table, "query_layer": torch.eye(size), "label_layer": torch.eye(size)}
        if own:
            self._net["label_vectors"] = 0.1 * torch.randn(labels, size, generator=random) * size**-0.5
        # Adagrad state, sums of squared gradients: the mean per embedding row, each entry of a dense layer.
        self._squares = {
            name: torch.zeros(tensor.shape if name in _LAYERS else tensor.shape[:1])
            for name, tensor in self._net.items()
        }
        self.keep()

    def keep(self) -> None:
        """Keeps a copy of the current weights as the best."""
        self._best = {name: tensor.clone() for name, tensor in self._net.items()}

    def weights(self, *, best: bool) -> dict[str, NDArray[np.float32]]:
        """The best or the current weights by name."""
        return {name: tensor.numpy() for name, tensor in (self._best if best else self._net).items()}

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays by name."""
        parts = {"net": self._net, "best": self._best, "squares": self._squares}
        return {f"{part}_{name}": tensor.numpy().copy() for part, of in parts.items() for name, tensor in of.items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restores a state; raises ValueError for the state of another network."""
        for part in (self._net, self._best, self._squares):
            prefix = "net" if part is self._net else "best" if part is self._best else "squares"
            for name, tensor in part.items():
                array = state.get(f"{prefix}_{name}")
                if array is None or array.shape != tuple(tensor.shape):
                    raise ValueError(
                        f"state: expected {name} of shape {tuple(tensor.shape)}, got another; train from the start"
                    )
                part[name] = torch.from_numpy(np.array(array))

    def logits(self, batch: Batch, temperature: float) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, Any]]:
        """Logits of a batch, the weights that they depend on, and the row indices of the embeddings among these.

        Logits (b, b) are cosines over the temperature with the logQ correction; a query's other true labels are masked.
        """
        both = sparse.vstack([batch.queries, batch.labels], format="csr")
        used, columns = np.unique(both.indices, return_inverse=True)
        both = sparse.csr_array((both.data, columns.astype(np.int32), both.indptr), shape=(both.shape[0], len(used)))
        distinct, own = np.unique(batch.numbers, return_inverse=True)
        looked_up = {"table": used, "label_vectors": distinct}
        rows = {name: torch.from_numpy(looked_up[name].astype(np.int64)) for name in self._net if name in looked_up}
        leaves = {
            name: (tensor[rows[name]] if name in rows else tensor.clone()).requires_grad_(True)
            for name, tensor in self._net.items()
        }
        bags, count = _Bag.apply(leaves["table"], both), len(batch.numbers)
        query, label = bags[:count] @ leaves["query_layer"], bags[count:] @ leaves["label_layer"]
        if "label_vectors" in leaves:
            label = label + leaves["label_vectors"][torch.from_numpy(own.astype(np.int64))]
        unit = torch.nn.functional.normalize
        cosines = unit(query, dim=1) @ unit(label, dim=1).T / temperature - torch.from_numpy(batch.log_shares)
        return cosines.masked_fill(torch.from_numpy(batch.also), -torch.inf), leaves, rows

    def step(self, batch: Batch, *, temperature: float, rate: float) -> float:
        """One gradient step on the softmax loss of a batch; returns the loss before the step."""
        logits, leaves, rows = self.logits(batch, temperature)
        losses = torch.nn.functional.cross_entropy(logits, torch.arange(len(batch.numbers)), reduction="none")
        loss = (losses * torch.from_numpy(batch.weights)).mean()
        loss.backward()
        with torch.no_grad():
            for name, leaf in leaves.items():
                assert leaf.grad is not None
                self._descend(name, leaf.grad, rows.get(name), rate)
        return float(loss.detach())

    def _descend(self, name: str, gradient: torch.Tensor, rows: torch.Tensor | None, rate: float) -> None:
        """Adagrad; embeddings have one learning rate per row."""
        squares = self._squares[name]
        if rows is None:
            squares += gradient.square()
            self._net[name] -= rate / 10 * gradient / (squares.sqrt() + 1e-10)
        else:
            squares[rows] += gradient.square().mean(dim=1)
            self._net[name].index_add_(0, rows, gradient * (-rate / (squares[rows].sqrt() + 1e-10))[:, None])
