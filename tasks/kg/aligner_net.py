"""The weights of an aligner as it trains, and its forward pass with gradients; see `fingerpost.tasks.kg.aligner`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.determinism import seeded
from fingerpost.tasks.kg.aligner import SLOPE
from fingerpost.tasks.kg.aligner_graphs import NONE, AlignerGraph
from fingerpost.tasks.kg.aligner_hops import Hop, hop
from fingerpost.tasks.kg.aligner_params import AlignerParams

Arrays = dict[str, NDArray[np.generic]]


class _Means(torch.autograd.Function):
    """Products with a sparse matrix that has no gradient."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, means: sparse.csr_array) -> torch.Tensor:
        ctx.means = means
        return torch.from_numpy(means @ rows.detach().numpy())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.from_numpy(ctx.means.T.tocsr() @ gradient.numpy()), None


@dataclass(frozen=True)
class Batch:
    """Pairs of nodes of one graph that holds both sides.

    vectors: float32 (b, d), the rows that the inner hop begins with. places: int64 (n, 2), the pairs among the nodes of the
    outer hop. features: float32 (n, 2 f), see `fingerpost.tasks.kg.aligner.features_row`.
    """

    vectors: NDArray[np.float32]
    inner: Hop
    outer: Hop
    places: NDArray[np.int64]
    features: NDArray[np.float32]


def batch_of(graph: AlignerGraph, pairs: NDArray[np.integer], features: NDArray[np.floating]) -> Batch:
    """The batch of some pairs (n, 2) of a graph's entities."""
    entities, places = np.unique(pairs, return_inverse=True)
    outer = hop(graph, entities).packed()
    inner = hop(graph, outer.before)
    return Batch(graph.rows(inner.before), inner, outer, places.reshape(-1, 2), np.asarray(features, np.float32))


class _Layer(torch.nn.Module):
    """A matrix for a node itself, one in common for its neighbours, and what each relation adds to this."""

    def __init__(self, inputs: int, hidden: int, matrices: int, gain: float) -> None:
        super().__init__()
        self.own = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(inputs, hidden), gain))
        self.own_bias = torch.nn.Parameter(torch.zeros(hidden))
        self.common = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(inputs, hidden), gain))
        self.added = torch.nn.Parameter(torch.zeros(matrices, inputs, hidden))
        self.biases = torch.nn.Parameter(torch.zeros(matrices, hidden))

    def forward(self, step: Hop, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the nodes themselves and of their neighbours."""
        own = vectors[torch.from_numpy(step.own)] @ self.own + self.own_bias
        # Taken apart at once: the gradient of one taken alone would be as large as all.
        matrices, biases = (self.common + self.added).unbind(), self.biases.unbind()
        rows = [
            vectors[torch.from_numpy(step.rows[begin:end])] @ matrices[matrix] + biases[matrix]
            for matrix, begin, end in step.groups
        ]
        return own, torch.cat(rows) if rows else torch.zeros(0, own.shape[1])

    def arrays(self, name: str) -> Arrays:
        """The weights without what they have in common."""
        return {
            f"{name}.self": self.own.detach().numpy().copy(),
            f"{name}.self_bias": self.own_bias.detach().numpy().copy(),
            f"{name}.matrices": (self.common + self.added).detach().numpy().copy(),
            f"{name}.biases": self.biases.detach().numpy().copy(),
        }


class AlignerNet(torch.nn.Module):
    """Weights for vectors of ``inputs`` values, ``matrices`` relations and ``features`` similarities of a pair."""

    def __init__(self, inputs: int, matrices: int, features: int, params: AlignerParams) -> None:
        super().__init__()
        self.params = params
        hidden = params.hidden
        with seeded(params.seed, 1):
            self.inner = _Layer(inputs, hidden, matrices, params.gain)
            self.outer = _Layer(2 * hidden, hidden, matrices, 1.0)
            self.attention = torch.nn.Parameter(torch.zeros(2 * hidden))
            self.attention_added = torch.nn.Parameter(torch.zeros(matrices, 2 * hidden))
            self.head = torch.nn.Parameter(torch.ones(2 * hidden) * hidden**-0.5)
        self.bias = torch.nn.Parameter(torch.zeros(1))
        self.priority = torch.nn.Parameter(torch.zeros(matrices))
        self.sharpness = torch.nn.Parameter(torch.ones(1))
        self.beside = torch.nn.Parameter(torch.zeros(2 * features))

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """The weights with their learning rates: what attention has is few and begins at nothing."""
        quick = [self.attention, self.attention_added, self.priority, self.sharpness]
        others = [p for p in self.parameters() if not any(p is q for q in quick)]
        return [{"params": others, "lr": rate}, {"params": quick, "lr": rate * self.params.quicker}]

    def vectors_of_attention(self) -> torch.Tensor:
        """(matrices, 2 hidden): the vector of self-attention for each matrix."""
        own = self.attention_added if self.params.own_vectors else 0 * self.attention_added
        return self.attention + own

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (n,) of the pairs of a batch."""
        own, rows = self.inner(batch.inner, torch.from_numpy(batch.vectors))
        hidden = torch.relu(torch.cat([own, _Means.apply(rows, batch.inner.means)], dim=1))
        own, rows = self.outer(batch.outer, hidden)
        slots = torch.from_numpy(batch.outer.slots)
        known = slots != NONE
        rows = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        neighbors = rows[torch.where(known, slots, len(rows) - 1)]
        importance = self._importance(own, neighbors, batch.outer)
        places = torch.from_numpy(batch.places)
        sides = [(own[at], neighbors[at], known[at], importance[at]) for at in places.T]
        mixed = [torch.einsum("bk,bkh->bh", w, s[1]) for w, s in zip(self._weights(*sides), sides, strict=True)]
        ends = [torch.relu(torch.cat([s[0], m], dim=1)) for s, m in zip(sides, mixed, strict=True)]
        if self.params.score == "distance":
            logits = -(torch.square(ends[0] - ends[1]).sum(dim=1) + 1e-12).sqrt()
        else:
            logits = (ends[0] * ends[1]) @ self.head + self.bias
        return logits + torch.from_numpy(batch.features) @ self.beside

    def _importance(self, own: torch.Tensor, neighbors: torch.Tensor, step: Hop) -> torch.Tensor:
        """(n, slots): the logits of self-attention; zeros without it."""
        if self.params.attention not in ("self", "both"):
            return torch.zeros(neighbors.shape[:2])
        hidden, matrices = own.shape[1], torch.from_numpy(step.matrices.astype(np.int64))
        vectors = self.vectors_of_attention()[matrices]
        raw = (neighbors * vectors[:, :, :hidden]).sum(dim=2) + (own[:, None] * vectors[:, :, hidden:]).sum(dim=2)
        raw = raw + self.priority[matrices]
        return torch.nn.functional.leaky_relu(raw, float(SLOPE)) - torch.from_numpy(step.crowds)

    def _weights(self, left: tuple[torch.Tensor, ...], right: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """The weights of both sides' neighbours; zeros without any."""
        logits = [left[3], right[3]]
        if self.params.attention in ("cross", "both"):
            near = -self.sharpness * _distances(left[1], right[1])
            for side, (axis, other) in enumerate(((2, right[2]), (1, left[2]))):
                kept = torch.where(other[:, None, :] if axis == 2 else other[:, :, None], near, near.new_tensor(-1e9))
                sums = torch.logsumexp(kept, dim=axis)
                logits[side] = logits[side] + torch.where(other.any(dim=1)[:, None], sums, torch.zeros_like(sums))
        return [_softmax(values, known) for values, known in zip(logits, (left[2], right[2]), strict=True)]

    def arrays(self) -> Arrays:
        """The weights as `fingerpost.tasks.kg.aligner.Aligner` takes them, but for those of the features' scales."""
        attention, score = self.params.attention, self.params.score
        switches = [attention in ("cross", "both"), attention in ("self", "both"), score == "distance"]
        found: Arrays = {"switches": np.array(switches, np.uint8)} | self.inner.arrays("inner")
        found |= self.outer.arrays("outer") | {"attention": self.vectors_of_attention().detach().numpy().copy()}
        named = {"head.weights": self.head, "head.bias": self.bias, "head.features": self.beside}
        named |= {"sharpness": self.sharpness, "priority": self.priority}
        return found | {name: tensor.detach().numpy().copy() for name, tensor in named.items()}

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restores the tensors of a state by name; RuntimeError for those of another network."""
        self.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in state.items()})


def _distances(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    squares = torch.square(one).sum(dim=2)[:, :, None] + torch.square(other).sum(dim=2)[:, None]
    return (squares - 2 * one @ other.transpose(1, 2)).clamp(min=1e-6).sqrt()


def _softmax(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    kept = torch.where(known, values, values.new_tensor(-1e9))
    weights = torch.exp(kept - kept.max(dim=1, keepdim=True).values) * known
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-30)
