"""Parameters of embedder training, balanced batches and the trained embedder; needs no torch.

Source: Zhang et al., ICLR 2024 (arXiv 2307.04047): TCM is added to any base loss and backbone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.metric.margins import TcmParams

LossName = Literal["multi_similarity", "smooth_ap", "contrastive", "proxy_anchor", "arcface"]
BackboneName = Literal["head", "conv", "vit", "module"]


@dataclass(frozen=True)
class BackboneParams:
    """The network that produces unit-length embeddings of ``dimensions`` components.

    kind: head (a linear layer over input vectors, preceded by one of ``hidden`` units if that is above 0), conv (four
        blocks of 3 × 3 convolutions over images), vit (a transformer over patches of images), or module (a network of
        the user's).
    dimensions: numbers of an embedding.
    hidden: units of the layer before a head's, 0 for none.
    width: channels of the first block of conv, and components of a layer of vit.
    depth: layers of vit.
    heads: heads of vit.
    patch: pixels on a side of a patch of vit.
    module: the ``torch.nn.Module`` of the kind module as "package.module:Name"; it maps float32 inputs (b, ...) to
        (b, any dimension).
    arguments: keyword arguments that ``module`` is called with.
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
                f"backbone: expected a width divisible by {self.heads} heads, got {self.width}; use a multiple"
            )
        if (self.kind == "module") != (self.module.count(":") == 1):
            raise ValueError(
                "backbone: expected 'package.module:Name' for a module and nothing for another kind, got"
                f" {self.module!r} for {self.kind}; correct it"
            )


@dataclass(frozen=True)
class TrainingParams:
    """How an embedder is trained; its weights depend on every one of these values.

    loss: name of the base loss.
    steps: maximum number of training steps.
    classes_per_batch: number of classes of a batch.
    rows_per_class: number of rows of each class of a batch.
    rate: peak learning rate; it follows a cosine down to a hundredth of it at the last step.
    proxy_rate: peak learning rate of class proxies, if the loss has them.
    weight_decay: decay of the weights per step, of AdamW.
    check_every: steps between measurements of mAP@R on validation classes; the best weights are kept.
    patience: training stops after this number of checks without improvement (0: never).
    validation_rows: maximum number of rows of validation classes that a check embeds.
    warmup: steps over which the learning rate rises, which transformers need.
    shift: maximum random shift of training images, in pixels.
    seed: seed of weights and batches.
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
        minimum = {"steps": 1, "classes_per_batch": 2, "rows_per_class": 2, "check_every": 1, "validation_rows": 2}
        minimum |= {"patience": 0, "warmup": 0, "shift": 0, "seed": 0}
        low = [name for name, bound in minimum.items() if getattr(self, name) < bound]
        low += [name for name in ("rate", "proxy_rate") if not 0 < getattr(self, name) < 10]
        if low or not 0 <= self.weight_decay < 1:
            raise ValueError(
                f"training: expected {', '.join(low) or 'weight_decay'} within bounds, got "
                f"{[getattr(self, name) for name in low or ['weight_decay']]}; correct them"
            )


class BalancedBatches:
    """Class-balanced batches, a function of seed and step.

    Classes are shuffled again after each pass over all of them; a class with too few rows repeats some.
    """

    def __init__(self, classes: NDArray[np.int64], params: TrainingParams) -> None:
        """classes: int64 (n,), the class of each row from 0 on; singleton classes are left out.

        ValueError for fewer than two classes of two rows.
        """
        sizes = np.bincount(classes)
        self._able = np.flatnonzero(sizes > 1)
        if len(self._able) < 2:
            raise ValueError(
                f"training: expected two classes of two rows or more, got {len(self._able)}; provide more rows per"
                " class"
            )
        self._order = np.argsort(classes, kind="stable")
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        self._params = params
        self.classes_per_batch = min(params.classes_per_batch, len(self._able))

    def rows(self, step: int) -> NDArray[np.int64]:
        """The rows of a step's batch, int64 (classes_per_batch · rows_per_class,), class by class."""
        each, per, seed = self._params.rows_per_class, self.classes_per_batch, self._params.seed
        rounds = len(self._able) // per
        shuffled = np.random.default_rng([seed, 3, step // rounds]).permutation(self._able)
        chosen = shuffled[(step % rounds) * per : (step % rounds + 1) * per]
        random = np.random.default_rng([seed, 4, step])
        out = []
        for number in chosen:
            own = self._order[self._ends[number] : self._ends[number + 1]]
            out.append(random.choice(own, each, replace=len(own) < each))
        return np.concatenate(out)


@dataclass(frozen=True)
class Check:
    """Validation metrics after ``step`` steps; loss: mean over the steps since the previous check."""

    step: int
    loss: float
    map_at_r: float
    recall_at_1: float


@dataclass(frozen=True)
class Embedder:
    """A trained network.

    shape: shape of one input. weights: arrays by parameter name. checks: validation checks in order; the weights are
    those of check ``best``. tcm: the margins that it was trained with, or None.
    """

    backbone: BackboneParams
    shape: tuple[int, ...]
    weights: dict[str, NDArray[np.generic]]
    checks: list[Check]
    best: int
    params: TrainingParams
    tcm: TcmParams | None
