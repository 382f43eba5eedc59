"""One-versus-rest linear rankers of a cluster's labels, by dual coordinate descent on the rows active in it.

Minimises 1/2 |w|^2 + 1/2 w_b^2 + sum of cost * loss(y (<w, x> + bias w_b)) per label; squared hinge, hinge or logistic.
Results are the same on every SIMD path and for any number of threads, and a label's result does not depend on the other
labels. Arguments are not checked; tasks/xmr checks them. Sources: Hsieh et al. 2008; Yu, Huang and Lin 2011; LIBLINEAR.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
LOSSES: tuple[str, ...]
MAX_LABELS: int
"""Maximum number of labels of a cluster."""

def available_paths() -> tuple[str, ...]:
    """The SIMD paths that this CPU supports, among "portable", "avx2" and "avx512"."""

def active_path() -> str:
    """The SIMD path that this extension uses in this process."""

def force_path(name: str) -> None:
    """Selects a SIMD path; ValueError if the CPU does not support it."""

Chunk = tuple[
    NDArray[np.uint32],
    NDArray[np.uint32],
    NDArray[np.uint16],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int32],
    NDArray[np.float64],
]
"""Weights by feature, and figures by label.

Features (r,) ascending, start (r + 1,), columns (nnz,) ascending in a feature, values (nnz,); for each label its bias
(multiplied by the bias feature), number of passes over the rows, and dual objective.
"""

class Solver:
    """Solver of clusters over one feature matrix, one call at a time; reuses its working memory between calls."""

    def __init__(
        self, indptr: NDArray[np.int64], indices: NDArray[np.int32], data: NDArray[np.float32], features: int
    ) -> None:
        """Holds references to a CSR matrix (n, features)."""

    def solve(
        self,
        rows: NDArray[np.uint32],
        label_start: NDArray[np.int64],
        label_rows: NDArray[np.uint32],
        *,
        label_costs: NDArray[np.float32] | None = None,
        label_shifts: NDArray[np.float32] | None = None,
        warm: tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]] | None = None,
        loss: str,
        cost_positive: float,
        cost_negative: float,
        bias: float,
        eps: float,
        max_iter: int,
        threshold: float,
        max_nonzeros: int,
        seed: int,
        precise: bool,
        threads: int = 1,
    ) -> Chunk:
        """The rankers of labels whose positives are rows[label_rows[label_start[l]:label_start[l + 1]]].

        rows: distinct rows of the matrix.
        label_costs: a factor on cost_positive for each positive.
        label_shifts: (labels,), added to each bias after solving, before pruning.
        warm: initial weights as (start, features, values, bias), obtained with the same shifts.
        threshold: minimum magnitude of a weight that is kept.
        max_nonzeros: maximum number of weights per label, 0 for all.
        precise: compute in float64 instead of float32.
        """
