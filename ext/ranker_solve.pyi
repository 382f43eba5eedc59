"""One-versus-rest linear rankers of a cluster's labels, by dual coordinate descent on the rows active in it.

Minimises 1/2 |w|^2 + 1/2 w_b^2 + sum of cost * loss(y (<w, x> + bias w_b)) for each label; squared hinge, hinge or logistic.
Results are the same on every SIMD path and for any number of threads, and a label's do not depend on its companions.
Arguments are taken as they are: tasks/xmr checks them. Sources: Hsieh et al. 2008; Yu, Huang and Lin 2011; LIBLINEAR.
"""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str
LOSSES: tuple[str, ...]
MAX_LABELS: int
"""Most labels of one cluster."""

def available_paths() -> tuple[str, ...]:
    """SIMD paths of this CPU, of "portable", "avx2", "avx512"."""

def active_path() -> str:
    """The SIMD path in use in this process, by this extension."""

def force_path(name: str) -> None:
    """Uses one SIMD path from now on; ValueError where the CPU lacks it."""

Chunk = tuple[
    NDArray[np.uint32],
    NDArray[np.uint32],
    NDArray[np.uint16],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int32],
    NDArray[np.float64],
]
"""Weights by feature: features (r,) ascending, start (r + 1,), columns (nnz,) ascending inside a feature, values (nnz,);
and for each label its bias (already times the bias feature), passes over the rows, dual objective."""

class Solver:
    """Solves clusters over one feature matrix, one call at a time; keeps its working memory between calls."""

    def __init__(
        self, indptr: NDArray[np.int64], indices: NDArray[np.int32], data: NDArray[np.float32], features: int
    ) -> None:
        """Keeps references to a CSR matrix (n, features)."""

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
        """The rankers of labels whose positives are the places label_rows[label_start[l]:label_start[l + 1]] in ``rows``.

        rows: distinct rows of the matrix. label_costs: a factor on cost_positive for each positive. label_shifts (labels,):
        added to each bias once it is solved, before pruning. warm: weights to start from as (start, features, values, bias),
        such as were given for the same shifts. threshold: smallest magnitude kept; max_nonzeros: most weights a label, 0
        for all. precise: float64 inside instead of float32.
        """
