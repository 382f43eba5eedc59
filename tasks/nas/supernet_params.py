"""Parameters of the training of a supernet; needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SupernetParams:
    """How the shared weights of a search space are trained.

    epochs: passes over the training images.
    batch: images a step.
    rate: peak learning rate of AdamW; it follows a cosine down to a hundredth of it at the last step.
    weight_decay: decay of the weights per step.
    warmup: fraction of the steps over which the learning rate rises.
    label_smoothing: label smoothing of the cross-entropy, for classification.
    balance: for segmentation, a pixel weighs the fraction of its class to the power of minus this; 0 weighs all the
        same.
    distillation: weight of the largest network's probabilities in the loss of the others, from 0 (labels alone) to 1.
    shift: maximum random shift of training images, in pixels.
    judged: number of networks that an epoch's validation is the mean of.
    seed: seed of weights, batches and paths.
    """

    epochs: int = 12
    batch: int = 64
    rate: float = 1e-2
    weight_decay: float = 0.02
    warmup: float = 0.1
    label_smoothing: float = 0.05
    balance: float = 0.5
    distillation: float = 0.5
    shift: int = 1
    judged: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.judged) < 1 or self.rate <= 0:
            raise ValueError(f"supernet: expected epochs, batch, judged and rate above 0, got {self}; correct it")
        if self.shift < 0 or self.weight_decay < 0:
            raise ValueError(f"supernet: expected no negative shift and weight_decay, got {self}; correct it")
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"supernet: expected {name} from 0 to below 1, got {getattr(self, name)}; correct it")
        for name in ("distillation", "balance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"supernet: expected {name} from 0 to 1, got {getattr(self, name)}; correct it")
