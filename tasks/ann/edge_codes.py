"""The directions, bits and margins by which a search estimates distances to the neighbours of an expanded node.

As in :mod:`finger_basis` a query and a neighbour of the expanded node split into parts along it and residuals, and the
product of the two residuals is estimated. Here a neighbour's residual is projected on many directions (the first
singular vectors of sampled residuals, turned at random among themselves) and coded with few bits a direction: 256
directions of 2 bits tell more than 64 of 8 bits where a spectrum is flat. What codes leave out is covered by a margin
for each edge, so that a neighbour that might be near is not missed.

Sources: Chen et al., FINGER, WWW 2023 (arXiv 2206.11408); Gao and Long, RaBitQ, SIGMOD 2024 (arXiv 2405.12497).
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext import deferred as kernel
from fingerpost.tasks.ann.edge_samples import EdgeSample, sample_edges
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.search import Metric

#: Bits that a code may have.
BITS = (1, 2, 4)
#: Fractions of the dimensions that are tried as the number of directions.
RANK_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
#: More directions are not tried: the projection of a query would cost more than they save.
MOST_DIRECTIONS = 256
#: Pairs from which margins and errors are estimated.
MOST_PAIRS = 4096
#: What makes bytes of a search's parts comparable, fitted once to measured searches of four data sets (decreasing and
#: flat spectra, 128 to 784 dimensions): rows that are read in vain per unit of the error, the bytes that the wait for
#: a row is worth, and the products of a query's projection that one byte from memory is worth.
VAIN_ROWS, ROW_WAIT, PRODUCTS_PER_BYTE = 30.0, 1024.0, 128.0


class CodingCost(NamedTuple):
    """What one choice of directions and bits costs a search, as estimated from the sample.

    error: standard deviation of the estimated cosine's error. block_bytes: bytes of a node's block. work: bytes read
    for each node that is expanded: its block, its row and those that an error of this size makes the search read in
    vain, and the node's share of the query's projection.
    """

    rank: int
    bits: int
    error: float
    block_bytes: float
    work: float


@dataclass(frozen=True)
class EdgeCodeParams:
    """Parameters of the codes; ValueError for values out of range.

    rank: number of directions of an estimate; None chooses the one whose estimated work is least.
    bits: bits of a direction; None chooses those whose estimated work is least.
    margin: by how many standard deviations of its error an estimate is lowered.
    nodes: maximum number of sampled nodes.
    seed: seed of the sample of nodes.
    """

    rank: int | None = None
    bits: int | None = None
    margin: float = 0.4
    nodes: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank: expected at least 1 direction, got {self.rank}; raise it")
        if self.bits is not None and self.bits not in BITS:
            raise ValueError(f"bits: expected one of {BITS}, got {self.bits}; choose one of them")
        if not 0 <= self.margin < float("inf"):
            raise ValueError(f"margin: expected a number of at least 0, got {self.margin}; 0 lowers nothing")
        if self.nodes < 1:
            raise ValueError(f"nodes: expected at least 1 sampled node, got {self.nodes}; raise it")


@dataclass(frozen=True)
class EdgeCoder:
    """The chosen directions and what the margins are made of.

    directions: (rank, dim) float32, orthonormal rows. bits: of a code. left_margin: margin per length of residual that
    the directions leave out. noise_margin: margin per standard deviation of what rounding leaves out. tiny_norm2: nodes
    with a smaller squared norm count as the origin. tried: one row per choice that was compared.
    """

    directions: NDArray[np.float32]
    bits: int
    left_margin: float
    noise_margin: float
    tiny_norm2: float
    tried: tuple[CodingCost, ...]

    @property
    def rank(self) -> int:
        return int(self.directions.shape[0])

    @property
    def chosen(self) -> CodingCost:
        """The choice in use among those tried."""
        return next(cost for cost in self.tried if (cost.rank, cost.bits) == (self.rank, self.bits))

    @property
    def margins(self) -> tuple[float, float]:
        return self.left_margin, self.noise_margin

    def arrays(self) -> dict[str, np.ndarray]:
        """The coder as named arrays; :meth:`from_arrays` is the inverse."""
        settings = [self.bits, self.left_margin, self.noise_margin, self.tiny_norm2]
        return {
            "directions": self.directions,
            "settings": np.array(settings, dtype=np.float64),
            "tried": np.array(self.tried, dtype=np.float64).reshape(-1, len(CodingCost._fields)),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The inverse of :meth:`arrays`."""
        bits, left, noise, tiny = (float(value) for value in arrays["settings"])
        tried = tuple(CodingCost(int(row[0]), int(row[1]), *map(float, row[2:])) for row in arrays["tried"])
        return cls(arrays["directions"], int(bits), left, noise, tiny, tried)


def fit_edge_codes(
    vectors: np.ndarray, graph: Graph, metric: Metric, *, params: EdgeCodeParams | None = None
) -> EdgeCoder:
    """Fits directions, bits and margins to sampled residuals of a graph's level 0.

    vectors: (n, dim) finite float32, one row per node, as the search compares them (unit norm for cosine). Raises
    VectorError if they do not fit. Pairs of neighbours of one node stand for a query and a neighbour.
    """
    params = params or EdgeCodeParams()
    sample = sample_edges(vectors, graph, nodes=params.nodes, seed=params.seed)
    judged = EdgeSample(sample.first[:MOST_PAIRS], sample.second[:MOST_PAIRS], sample.directions, sample.tiny_norm2)
    dim = sample.directions.shape[1]
    tried: list[CodingCost] = []
    fitted: dict[tuple[int, int], tuple[np.ndarray, float, float]] = {}
    for rank in _ranks(params, dim):
        directions = _turned(sample.directions[:rank], seed=params.seed)
        for bits in BITS if params.bits is None else (params.bits,):
            left, noise, error = _margins(judged, directions, bits=bits, margin=params.margin)
            fitted[rank, bits] = directions, left, noise
            tried.append(_cost(rank, bits, error, dim=dim, degrees=graph.degrees, metric=metric))
    chosen = min(tried, key=lambda cost: (cost.work, cost.block_bytes))
    directions, left, noise = fitted[chosen.rank, chosen.bits]
    return EdgeCoder(directions, chosen.bits, left, noise, sample.tiny_norm2, tuple(tried))


def _ranks(params: EdgeCodeParams, dim: int) -> tuple[int, ...]:
    if params.rank is not None:
        return (min(params.rank, dim),)
    # Whole rows of codes at 1 bit: 32 directions.
    wanted = {min(dim, MOST_DIRECTIONS, max(32, round(share * dim / 32) * 32)) for share in RANK_SHARES}
    return tuple(sorted(wanted))


def _turned(directions: np.ndarray, *, seed: int) -> NDArray[np.float32]:
    """The same subspace by directions that share its energy evenly, as codes of one step for all need it."""
    rank = len(directions)
    turn, upper = np.linalg.qr(np.random.default_rng(seed).normal(size=(rank, rank)))
    return np.ascontiguousarray((turn * np.sign(np.diag(upper))).T @ directions, dtype=np.float32)


def _margins(sample: EdgeSample, directions: np.ndarray, *, bits: int, margin: float) -> tuple[float, float, float]:
    """Margins for what the directions and the rounding leave out, and the error's standard deviation."""
    first, second = sample.first @ directions.T.astype(np.float64), sample.second @ directions.T.astype(np.float64)
    coded, noise = kernel.decoded(np.ascontiguousarray(second, dtype=np.float32), bits=bits)
    if not len(first):
        return margin, margin, 1.0
    query, neighbour = np.linalg.norm(sample.first, axis=1), np.linalg.norm(sample.second, axis=1)
    left = np.sqrt(np.maximum(neighbour**2 - np.einsum("ij,ij->i", second, second), 0))
    kept = np.einsum("ij,ij->i", first, second)
    outside = np.einsum("ij,ij->i", sample.first, sample.second) - kept
    inside = kept - np.einsum("ij,ij->i", first, coded.astype(np.float64))
    left_mean, left_spread = _slope(outside, query * left)
    noise_mean, noise_spread = _slope(inside, query * noise / np.sqrt(len(directions)))
    error = float(np.std((outside - left_mean * query * left + inside) / (query * neighbour)))
    # A mean below zero would raise estimates, and it is noise of the sample.
    return max(left_mean, 0.0) + margin * left_spread, max(noise_mean, 0.0) + margin * noise_spread, error


def _slope(values: np.ndarray, scale: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of values in units of their scale, where that is more than rounding."""
    usable = scale > 1e-6 * max(float(scale.max(initial=0.0)), 1e-300)
    if not usable.any():
        return 0.0, 0.0
    ratios = values[usable] / scale[usable]
    return float(ratios.mean()), float(ratios.std())


def _cost(rank: int, bits: int, error: float, *, dim: int, degrees: np.ndarray, metric: Metric) -> CodingCost:
    lines = kernel.block_lines(degrees, rank=rank, bits=bits, metric=metric)
    block = float(lines.mean()) * kernel.LINE
    rows = (1 + VAIN_ROWS * error) * (4 * dim + ROW_WAIT)
    return CodingCost(rank, bits, error, block, block + rows + rank * dim / PRODUCTS_PER_BYTE)
