"""Parameters of an aligner, without torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class AlignerParams:
    """Parts, size and training of an aligner.

    attention: which weights the neighbours of the outer layer have: ``none`` (the mean), ``cross``, ``self`` or
        ``both``.
    own_vectors: whether each relation has a vector of self-attention, as in the paper; else one for all, as in the
        release.
    score: ``product`` with cross entropy, or ``distance`` with the margin loss.
    hidden: values of each half of an embedding.
    relations: maximum number of relations, and of attributes, that have matrices of their own, the most frequent
        ones; the others share one.
    neighbors: sampled neighbours of an entity that are looked at.
    attributes: sampled values of attributes of an entity that are looked at.
    rate: learning rate of Adam.
    decay: decay of the weights.
    batch: pairs per step, fewer where there are few.
    epochs: maximum number of epochs.
    patience: epochs without a better validation PRAUC after which training stops; 0 for never.
    negatives: negatives drawn per match where links have fewer pairs labelled 0 than matches.
    burn_in: epochs after which ``hard`` of the negatives are candidates with the highest logits.
    hard: fraction of the negatives that are hard ones after ``burn_in`` epochs.
    margin: margin of the margin loss.
    quicker: how much faster the attention learns than the rest.
    folds: models that are trained without a part of the training pairs each, for logits of pairs that they were not
        trained on; 0 for none.
    gain: gain of the first matrices, which decides how unlike neighbours are before training.
    seed: seed of weights, samples and batches.
    """

    attention: Literal["none", "cross", "self", "both"] = "both"
    own_vectors: bool = True
    score: Literal["product", "distance"] = "distance"
    hidden: int = 64
    relations: int = 32
    neighbors: int = 10
    attributes: int = 10
    rate: float = 3e-3
    decay: float = 5e-4
    batch: int = 128
    epochs: int = 20
    patience: int = 5
    negatives: int = 10
    burn_in: int = 3
    hard: float = 0.5
    margin: float = 1.0
    quicker: float = 5.0
    folds: int = 0
    gain: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hidden", "neighbors", "batch", "epochs", "negatives"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        if self.attention not in ("none", "cross", "self", "both") or self.score not in (
            "product",
            "distance",
        ):
            raise ValueError(
                "aligner: expected attention none, cross, self or both and score product or distance, got"
                f" {self.attention} and {self.score}; correct them"
            )
        if not (self.rate > 0 and self.decay >= 0 and 0 <= self.hard <= 1 and self.margin > 0 and self.gain > 0):
            raise ValueError(
                "aligner: expected rate, margin and gain above 0, decay of at least 0 and hard from 0 to 1, got"
                f" {self.rate}, {self.margin}, {self.gain}, {self.decay} and {self.hard}; correct them"
            )
        if min(self.relations, self.attributes, self.patience, self.burn_in, self.folds) < 0:
            raise ValueError(
                "aligner: expected relations, attributes, patience, burn_in and folds of at least 0, got"
                f" {self.relations}, {self.attributes}, {self.patience}, {self.burn_in} and {self.folds}; correct them"
            )
