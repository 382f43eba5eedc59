"""What is trained, by which loss, and for how long; needs no torch.

Source: the article's "Threshold-consistent margin loss" (any base loss, any backbone); algorithms.md 3.2 to 3.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.metric.margins import TcmParams

LossName = Literal["multi_similarity", "smooth_ap", "contrastive", "proxy_anchor", "arcface"]
BackboneName = Literal["head", "conv", "vit", "module"]


@dataclass(frozen=True)
class BackboneParams:
    """The network that makes embeddings of ``dimensions`` numbers, of length one.

    head: one linear layer over given vectors, or with ``hidden`` units a second one before it. conv: four blocks of 3 × 3
    convolutions over images, the first of ``width`` channels. vit: a transformer of ``depth`` layers of ``width`` numbers
    and ``heads`` heads over ``patch`` × ``patch`` pixels. module: the ``torch.nn.Module`` that ``module`` names as
    "package.module:Name", called with ``arguments``; it maps float32 (b, ...) of what is given to (b, anything).
    """

    kind: BackboneName = "head"
    dimensions: int = 64
    hidden: int = 0
    width: int = 32
    depth: int = 4
    heads: int = 4
    patch: int = 7
    module: str = ""
    arguments: Mapping[str, float | int | str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in ("head", "conv", "vit", "module"):
            raise ValueError(f"backbone: expected head, conv, vit or module, got {self.kind!r}; choose one")
        if min(self.dimensions, self.width, self.depth, self.heads, self.patch) < 1 or self.hidden < 0:
            raise ValueError(f"backbone: expected sizes of at least 1, got {self}; correct them")
        if self.width % self.heads and self.kind == "vit":
            raise ValueError(
                f"backbone: expected a width that {self.heads} heads share evenly, got {self.width}; take a multiple"
            )
        if (self.kind == "module") != (self.module.count(":") == 1):
            raise ValueError(
                "backbone: expected 'package.module:Name' for a module and nothing for another kind, got"
                f" {self.module!r} for {self.kind}; correct it"
            )


@dataclass(frozen=True)
class TrainingParams:
    """How an embedder is trained; every number is part of what it becomes.

    A batch has ``rows_per_class`` rows of each of ``classes_per_batch`` classes. The learning rate rises for ``warmup`` steps, which
    transformers need, and falls as a cosine from ``rate`` to a hundredth of it at the last of ``steps`` steps; proxies of classes, where the loss has some, learn at
    ``proxy_rate``. Every ``check_every`` steps mAP@R is measured on at most ``validation_rows`` rows of validation classes;
    after ``patience`` checks without a better one (0: never) training ends, and the best weights are kept. Images are moved
    by up to ``shift`` pixels.
    """

    loss: LossName = "multi_similarity"
    steps: int = 2000
    classes_per_batch: int = 32
    rows_per_class: int = 4
    rate: float = 1e-3
    proxy_rate: float = 1e-2
    weight_decay: float = 1e-4
    check_every: int = 100
    patience: int = 5
    validation_rows: int = 2000
    warmup: int = 0
    shift: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        names = LossName.__args__  # type: ignore[attr-defined]
        if self.loss not in names:
            raise ValueError(f"training: expected a loss among {', '.join(names)}, got {self.loss!r}; choose one")
        least = {"steps": 1, "classes_per_batch": 2, "rows_per_class": 2, "check_every": 1, "validation_rows": 2}
        least |= {"patience": 0, "warmup": 0, "shift": 0, "seed": 0}
        low = [name for name, bound in least.items() if getattr(self, name) < bound]
        low += [name for name in ("rate", "proxy_rate") if not 0 < getattr(self, name) < 10]
        if low or not 0 <= self.weight_decay < 1:
            raise ValueError(
                f"training: expected {', '.join(low) or 'weight_decay'} within bounds, got "
                f"{[getattr(self, name) for name in low or ['weight_decay']]}; correct them"
            )


class BalancedBatches:
    """Batches of equally many rows of some classes; the same seed and step give the same rows.

    Classes come in an order drawn anew each time that all were seen; a class with too few rows gives some of them twice.
    """

    def __init__(self, classes: NDArray[np.int64], params: TrainingParams) -> None:
        """classes (n,): a number from 0 on for every row; classes of one row are left out. ValueError for fewer than two."""
        sizes = np.bincount(classes)
        self._able = np.flatnonzero(sizes > 1)
        if len(self._able) < 2:
            raise ValueError(
                f"training: expected two classes of two rows or more, got {len(self._able)}; give more rows by class"
            )
        self._order = np.argsort(classes, kind="stable")
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        self._params = params
        self.classes_per_batch = min(params.classes_per_batch, len(self._able))

    def rows(self, step: int) -> NDArray[np.int64]:
        """The rows of the batch of a step, int64 (classes · rows_per_class,), class by class."""
        each, per, seed = self._params.rows_per_class, self.classes_per_batch, self._params.seed
        rounds = len(self._able) // per
        shuffled = np.random.default_rng([seed, 3, step // rounds]).permutation(self._able)
        chosen = shuffled[(step % rounds) * per : (step % rounds + 1) * per]
        random = np.random.default_rng([seed, 4, step])
        out = []
        for one in chosen:
            own = self._order[self._ends[one] : self._ends[one + 1]]
            out.append(random.choice(own, each, replace=len(own) < each))
        return np.concatenate(out)


@dataclass(frozen=True)
class Check:
    """What a check on validation classes found after ``step`` steps; ``loss``: mean over the steps since the one before."""

    step: int
    loss: float
    map_at_r: float
    recall_at_1: float


@dataclass(frozen=True)
class Embedder:
    """A trained network: what it is, the shape of one input, its weights by name, and its checks, ``best`` being the kept one.

    ``tcm``: the margins that it was trained with, or None.
    """

    backbone: BackboneParams
    shape: tuple[int, ...]
    weights: dict[str, NDArray[np.generic]]
    checks: list[Check]
    best: int
    params: TrainingParams
    tcm: TcmParams | None
