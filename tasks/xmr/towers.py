"""Parameters, batches and results of a two-tower network, without torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.ngrams import FamilyParams, NgramParams
from fingerpost.tasks.corpus.weighed_rows import TfidfParams
from fingerpost.tasks.xmr.baselines import DenseLabels, DenseParams

#: Hashed n-grams of both queries and labels: the input of the towers.
TOWER_NGRAMS = NgramParams(
    (FamilyParams("word", 1, 2, buckets=1 << 17), FamilyParams("char", 3, 3, buckets=1 << 15)),
    name_weight=0,
    first_weight=0,
    body_weight=1,
)
TOWER_TFIDF = TfidfParams(sublinear=True, family_weights=(1.0, 0.6))


@dataclass(frozen=True)
class TowerParams:
    """Size and training of the towers.

    dimensions: numbers of an embedding.
    batch: pairs per step.
    epochs: maximum number of epochs.
    patience: epochs without a better validation recall after which training stops.
    rate: learning rate of the embeddings.
    temperature: divisor of the cosines in the softmax.
    label_vectors: whether a label has a trained vector of its own in addition to that of its text.
    validation: fraction of rows, at most ``validation_rows``, that are held out; their recall@10 decides when to
        stop.
    validation_rows: maximum number of rows that are held out for validation.
    seconds: time limit, 0 for none; no step starts later. Where it applies, results depend on the machine.
    seed: seed of the first weights and of the batches.
    """

    dimensions: int = 64
    batch: int = 512
    epochs: int = 30
    patience: int = 3
    rate: float = 0.05
    temperature: float = 0.05
    label_vectors: bool = True
    validation: float = 0.05
    validation_rows: int = 1_000
    seconds: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dimensions", "batch", "epochs", "patience", "validation_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        if not (self.rate > 0 and self.temperature > 0 and 0 < self.validation < 1 and self.seconds >= 0):
            raise ValueError(
                "two towers: expected rate and temperature above 0, validation from 0 to 1, seconds of at least 0, got "
                f"{self.rate}, {self.temperature}, {self.validation}, {self.seconds}; correct them"
            )


@dataclass(frozen=True)
class Towers:
    """Trained towers as plain arrays, for use without torch.

    components: float32 (features, d), the projection of queries.
    vectors: float32 (labels, d), unit vectors, or zeros.
    """

    components: NDArray[np.float32]
    vectors: NDArray[np.float32]

    def index(self, params: DenseParams = DenseParams()) -> DenseLabels:
        """A graph index over the labels."""
        return DenseLabels(self.components, self.vectors, params)


@dataclass(frozen=True)
class TowerTraining:
    """Result of a training.

    towers: of the best epoch.
    recalls: recall@10 of the validation rows after each epoch.
    best: index of the best epoch.
    steps: number of steps.
    out_of_time: whether the time limit ended it.
    """

    towers: Towers
    recalls: list[float]
    best: int
    steps: int
    out_of_time: bool


@dataclass(frozen=True)
class Batch:
    """A batch of b pairs of a query and a label.

    queries, labels: CSR (b, d), features of both.
    numbers: int64 (b,), the labels.
    also: bool (b, b), which other labels of the batch are true for the query; they are masked.
    log_shares: float32 (b,), logarithm of each label's fraction of all pairs, for the logQ correction.
    weights: float32 (b,), weights of the pairs.
    """

    queries: sparse.csr_array
    labels: sparse.csr_array
    numbers: NDArray[np.int64]
    also: NDArray[np.bool_]
    log_shares: NDArray[np.float32]
    weights: NDArray[np.float32]
