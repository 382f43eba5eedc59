"""The directions in which FINGER compares residuals, and the quality of the estimate at each rank.

While node ``c`` is expanded, a query ``q`` and a neighbour ``d`` each split into a part along ``c`` and a residual
orthogonal to it. All terms of their distance are cheap except the cosine of the two residuals, which is estimated
from ``r`` directions: the first right singular vectors of sampled residuals. Pairs of neighbours of one node stand
for (query, neighbour) pairs, since a query for which ``c`` is expanded would be one of its neighbours were it stored.

Source: Chen et al., "FINGER: Fast Inference for Graph-based Approximate Nearest Neighbor Search", WWW 2023
(arXiv 2206.11408).
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from fingerpost.tasks.ann.finger_cosines import Estimator, RankStatistics, estimated_cosines, rank_statistics
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.search import VectorError, checked_vectors

#: Rows in one block of a float64 sum; part of the result's definition, because the same row in a block of another
#: size differs in its last bits.
BLOCK_ROWS = 4096
#: A node whose squared norm is below this fraction of the mean has no reliable direction: it is compared exactly.
TINY_NORM2 = 1e-6
#: If no rank reaches the required correlation, the smallest within this distance of the best is chosen.
NEARLY_BEST = 0.02

#: The code of an edge: the direction of its projected residual in float32 or int8, or its signs.
Code = Literal["float32", "int8", "signs"]
_CODES: tuple[Code, ...] = ("float32", "int8", "signs")


@dataclass(frozen=True)
class FingerParams:
    """Parameters of the estimate; ValueError for values out of range.

    estimator: ``low_rank`` stores ``rank`` floats per edge, ``signs`` stores ``rank`` bits.
    rank: number of directions; None chooses the smallest candidate that reaches ``correlation_threshold``, or, if none
        does, the smallest within 0.02 of the best.
    candidate_ranks: ascending; None means multiples of 8 (low_rank) or of 64 (signs).
    correlation_threshold: required Pearson correlation of true and estimated cosines over the sampled pairs.
    matching: map estimated cosines linearly to the mean and deviation of the true ones.
    error_term: number of mean absolute errors added to the cosine, so that fewer near neighbours are missed; 0 for
        none.
    precision: storage of low_rank's floats; int8 takes a quarter of the memory, and its error is far below the
        estimate's.
    sample: maximum number of sampled nodes.
    """

    estimator: Estimator = "low_rank"
    rank: int | None = None
    candidate_ranks: tuple[int, ...] | None = None
    correlation_threshold: float = 0.9
    matching: bool = True
    error_term: float = 1.0
    precision: Literal["float32", "int8"] = "int8"
    sample: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.estimator not in ("low_rank", "signs"):
            raise ValueError(f"estimator: expected 'low_rank' or 'signs', got {self.estimator!r}; choose one of them")
        if self.precision not in ("float32", "int8"):
            raise ValueError(f"precision: expected 'float32' or 'int8', got {self.precision!r}; choose one of them")
        ranks = self.ranks
        if not ranks or ranks[0] < 1 or list(ranks) != sorted(set(ranks)):
            raise ValueError(f"candidate_ranks: expected ascending positive numbers, got {ranks}; sort them")
        if self.sample < 1:
            raise ValueError(f"sample: expected at least 1 node, got {self.sample}; raise it")
        if not self.error_term >= 0:
            raise ValueError(f"error_term: expected a number of at least 0, got {self.error_term}; 0 disables it")

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks to try, ascending."""
        if self.rank is not None:
            return (self.rank,)
        if self.candidate_ranks is not None:
            return tuple(self.candidate_ranks)
        return (8, 16, 24, 32, 40, 48, 56, 64) if self.estimator == "low_rank" else (64, 128)


@dataclass(frozen=True)
class FingerBasis:
    """The chosen directions and the correction of the estimated cosine.

    directions: (rank, dim) float32, orthonormal rows, most important first, largest entry of each positive.
    scale, bias: corrected cosine = scale · estimate + bias, including the error term.
    tiny_norm2: nodes with a smaller squared norm are always compared exactly.
    statistics: one row per rank tried, for reports.
    """

    code: Code
    directions: np.ndarray
    scale: float
    bias: float
    tiny_norm2: float
    statistics: tuple[RankStatistics, ...]

    @property
    def estimator(self) -> Estimator:
        return "signs" if self.code == "signs" else "low_rank"

    @property
    def rank(self) -> int:
        return int(self.directions.shape[0])

    @property
    def chosen(self) -> RankStatistics:
        """The statistics at the rank in use."""
        return next(row for row in self.statistics if row.rank == self.rank)

    def arrays(self) -> dict[str, np.ndarray]:
        """The basis as named arrays; :meth:`from_arrays` is the inverse."""
        settings = [_CODES.index(self.code), self.scale, self.bias, self.tiny_norm2]
        return {
            "directions": self.directions,
            "settings": np.array(settings, dtype=np.float64),
            "statistics": np.array(self.statistics, dtype=np.float64).reshape(-1, len(RankStatistics._fields)),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The inverse of :meth:`arrays`."""
        code, scale, bias, tiny = (float(value) for value in arrays["settings"])
        rows = tuple(
            RankStatistics._make([int(row[0]), *map(float, row[1:-1]), int(row[-1])]) for row in arrays["statistics"]
        )
        return cls(_CODES[int(code)], arrays["directions"], scale, bias, tiny, rows)


def fit_basis(vectors: np.ndarray, graph: Graph, *, params: FingerParams | None = None) -> FingerBasis:
    """Fits the directions and the correction to sampled residuals of a graph's level 0.

    vectors: (n, dim) finite float32, one row per node, as the search compares them (unit norm for cosine). Raises
    VectorError if they do not fit. Without usable pairs the directions are the axes, and the correction screens out
    only nodes that are certainly too far.
    """
    params = params or FingerParams()
    rows = checked_rows(vectors, graph)
    tiny = TINY_NORM2 * _mean_norm2(rows)
    pairs = _sample_pairs(rows, graph, params=params, tiny=tiny)
    ranks = tuple(sorted({min(rank, rows.shape[1]) for rank in params.ranks}))
    directions = _singular_directions(rows, pairs, rank=ranks[-1])
    table = _statistics(rows, pairs, directions, ranks=ranks, estimator=params.estimator)
    chosen = _choose(table, params.correlation_threshold)
    scale, bias = _correction(chosen, params)
    code: Code = "signs" if params.estimator == "signs" else params.precision
    return FingerBasis(code, directions[: chosen.rank].copy(), scale, bias, tiny, table)


def _choose(table: tuple[RankStatistics, ...], threshold: float) -> RankStatistics:
    # With signs the correlation can fall again at high ranks, whose directions carry noise at equal weight.
    best = max(row.correlation for row in table)
    return next(row for row in table if row.correlation >= min(threshold, best - NEARLY_BEST))


def checked_rows(vectors: np.ndarray, graph: Graph) -> np.ndarray:
    """The vectors as finite C-contiguous float32, one row per node; raises VectorError."""
    rows = checked_vectors(vectors)
    if len(rows) != graph.size:
        raise VectorError(f"vectors: expected {graph.size} rows, one per node, got {len(rows)}; pass the graph's rows")
    return rows


def _mean_norm2(vectors: np.ndarray) -> float:
    total = 0.0
    for begin in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[begin : begin + BLOCK_ROWS].astype(np.float64)
        total += float(np.einsum("ij,ij->", block, block))
    return total / max(len(vectors), 1)


def _sample_pairs(vectors: np.ndarray, graph: Graph, *, params: FingerParams, tiny: float) -> np.ndarray:
    """(pairs, 3) int64: a centre and two different neighbours of it, in ascending order of the centres."""
    random = np.random.default_rng(params.seed)
    degree = graph.degrees
    centres = np.flatnonzero(degree > 1)
    if len(centres) > params.sample:
        centres = np.sort(random.choice(centres, size=params.sample, replace=False))
    first = random.integers(0, degree[centres])
    second = random.integers(0, degree[centres] - 1)
    second += second >= first
    start = graph.indptr[centres]
    ends = (graph.indices[start + first], graph.indices[start + second])
    pairs = np.stack([centres, *ends], axis=1).astype(np.int64)
    norm2 = np.zeros(len(pairs))
    for begin in range(0, len(pairs), BLOCK_ROWS):
        block = vectors[pairs[begin : begin + BLOCK_ROWS, 0]].astype(np.float64)
        norm2[begin : begin + BLOCK_ROWS] = np.einsum("ij,ij->i", block, block)
    return pairs[(norm2 >= tiny) & (norm2 > 0)]


def _residuals(vectors: np.ndarray, centres: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Residuals of ``others`` with respect to ``centres``: (rows, dim) float64."""
    centre, other = vectors[centres].astype(np.float64), vectors[others].astype(np.float64)
    norm2 = np.einsum("ij,ij->i", centre, centre)
    coefficient = np.einsum("ij,ij->i", centre, other) / np.where(norm2 > 0, norm2, 1)
    return other - coefficient[:, None] * centre


def _singular_directions(vectors: np.ndarray, pairs: np.ndarray, *, rank: int) -> np.ndarray:
    """First right singular vectors of the first residual of each pair, through the dim × dim Gram matrix."""
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))
    for begin in range(0, len(pairs), BLOCK_ROWS):
        part = pairs[begin : begin + BLOCK_ROWS]
        block = _residuals(vectors, part[:, 0], part[:, 1])
        gram += block.T @ block
    if not gram.any():
        return np.eye(rank, vectors.shape[1], dtype=np.float32)
    _, columns = np.linalg.eigh(gram)
    directions = columns[:, ::-1].T[:rank]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return np.ascontiguousarray(directions * np.sign(largest), dtype=np.float32)


def _statistics(
    vectors: np.ndarray, pairs: np.ndarray, directions: np.ndarray, *, ranks: tuple[int, ...], estimator: Estimator
) -> tuple[RankStatistics, ...]:
    basis = directions.astype(np.float64)
    true: list[np.ndarray] = []
    estimates: list[np.ndarray] = []
    for begin in range(0, len(pairs), BLOCK_ROWS):
        part = pairs[begin : begin + BLOCK_ROWS]
        first = _residuals(vectors, part[:, 0], part[:, 1])
        second = _residuals(vectors, part[:, 0], part[:, 2])
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        usable = norms > 1e-12 * max(float(norms.max(initial=0.0)), 1e-300)
        first, second, norms = first[usable], second[usable], norms[usable]
        true.append(np.einsum("ij,ij->i", first, second) / norms)
        estimates.append(estimated_cosines(first @ basis.T, second @ basis.T, ranks=ranks, estimator=estimator))
    truth = np.concatenate([np.zeros(0), *true])
    estimated = np.concatenate([np.zeros((0, len(ranks))), *estimates])
    return tuple(rank_statistics(rank, truth, estimated[:, i]) for i, rank in enumerate(ranks))


def _correction(row: RankStatistics, params: FingerParams) -> tuple[float, float]:
    if not row.pairs:
        # Without pairs the largest possible cosine gives a lower bound of the distance, which never screens out
        # wrongly.
        return 0.0, 1.0
    if not params.matching:
        return 1.0, params.error_term * row.error_raw
    scale = row.deviation_true / row.deviation_estimated if row.deviation_estimated > 1e-12 else 0.0
    return scale, row.mean_true - row.mean_estimated * scale + params.error_term * row.error_matched
