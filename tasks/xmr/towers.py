"""What a two-tower network is made of and leaves behind; needs no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.corpus.ngrams import FamilyParams, NgramParams
from tasks.corpus.tfidf import TfidfParams
from tasks.xmr.baselines import DenseLabels, DenseParams

#: Hashed n-grams of queries and labels alike: the towers' input.
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

    ``validation``: share of rows (at most ``validation_rows``) whose recall@10 decides when to stop, after ``patience``
    epochs without a better one. ``seconds``: no step begins later (0: no limit); where it cuts, results depend on the
    machine. ``label_vectors``: a label has a vector of its own beside its text's.
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
                "two towers: expected rate and temperature above 0, validation of 0 to 1, seconds of at least 0, got "
                f"{self.rate}, {self.temperature}, {self.validation}, {self.seconds}; correct them"
            )


@dataclass(frozen=True)
class Towers:
    """Trained towers as plain arrays, which need no torch: (features, d) for queries, vectors (labels, d) of length one."""

    components: NDArray[np.float32]
    vectors: NDArray[np.float32]

    def index(self, params: DenseParams = DenseParams()) -> DenseLabels:
        """The labels in a graph index."""
        return DenseLabels(self.components, self.vectors, params)


@dataclass(frozen=True)
class TowerTraining:
    """Towers of the best epoch, recall@10 of the validation rows after each epoch, and whether time cut it short."""

    towers: Towers
    recalls: list[float]
    best: int
    steps: int
    out_of_time: bool


@dataclass(frozen=True)
class Batch:
    """Pairs of a query and a label: features of both (b, d), each label's number, which other labels in the batch the
    query has too (b, b), the logarithm of each label's share of all pairs, and each pair's weight.
    """

    queries: sparse.csr_array
    labels: sparse.csr_array
    numbers: NDArray[np.int64]
    also: NDArray[np.bool_]
    log_shares: NDArray[np.float32]
    weights: NDArray[np.float32]
