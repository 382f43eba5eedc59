"""Scalar codes of vectors: a linear map to positions, and 4 or 8 bits for each of them.

The map keeps the leading principal directions, as many as fit into whole cache lines, and rotates them at random, so
that all positions vary alike and one number of bits serves them all. A node's code ends in its own term of the
estimated distance, which also holds the squared length of what was left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fingerpost.ext import packed as kernel
from fingerpost.ext.hnsw import normalise_rows
from fingerpost.tasks.ann.search import Metric, VectorError, check_metric, checked_vectors, no_direction

#: Bytes of a cache line; a code is a whole number of them.
LINE = 64
#: Bytes at the end of a code that hold the node's own term.
OWN = 4
#: Rows in one block of a float64 sum and of a pass over all vectors.
BLOCK_ROWS = 4096
#: Neighbours whose place among the estimates is measured, and how many estimates are to contain them.
NEIGHBORS, CANDIDATES = 10, 30

Bits = Literal[4, 8]


@dataclass(frozen=True)
class CodeParams:
    """Parameters of codes; ValueError for values out of range.

    bits: bits of a position of a code, 4 or 8; 8 are used in place of 4 where they take no more memory.
    lines: 64-byte lines of a code; None chooses the smallest number by which ``enough`` of the 10 nearest rows are
        among the 30 nearest by estimate, over a sample.
    enough: fraction of the 10 nearest rows that have to be among the 30 nearest by estimate, where ``lines`` is None.
    tail: fraction of a position's values beyond either end of its range, which are moved to the end.
    sample: maximum number of rows that are looked at.
    """

    bits: Bits = 4
    lines: int | None = None
    enough: float = 0.99
    tail: float = 0.005
    sample: int = 10_000

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise ValueError(f"bits: expected 4 or 8, got {self.bits!r}; choose one of them")
        if self.lines is not None and self.lines < 1:
            raise ValueError(f"lines: expected at least 1, got {self.lines}; None chooses a number")
        if not 0 < self.enough <= 1:
            raise ValueError(f"enough: expected a fraction above 0, got {self.enough}; 0.99 is usual")
        if not 0 <= self.tail < 0.5:
            raise ValueError(f"tail: expected a fraction below 0.5, got {self.tail}; 0.005 is usual")
        if self.sample < 2:
            raise ValueError(f"sample: expected at least 2 rows, got {self.sample}; raise it")


@dataclass(frozen=True)
class Codes:
    """The map from vectors (n, dim) to codes uint8 (n, 64 · lines).

    matrix: float32 (dim, positions), a column for each position, zeros where a node's own term lies. shift: float32
    (positions,), added to a mapped row. low, step: float32 (positions,), the value of code 0 and the distance of two
    codes. centre: float32 (dim,), the mean of the sample. Vectors are of length one for cosine.
    """

    metric: Metric
    bits: Bits
    matrix: NDArray[np.float32]
    shift: NDArray[np.float32]
    low: NDArray[np.float32]
    step: NDArray[np.float32]
    centre: NDArray[np.float32]

    @property
    def dim(self) -> int:
        """Columns of the vectors."""
        return len(self.centre)

    @property
    def row_bytes(self) -> int:
        """Bytes of a node's code."""
        return self.matrix.shape[1] * self.bits // 8

    @property
    def query_shift(self) -> NDArray[np.float32]:
        """What is added to a mapped query, float32 (positions,): inner products do not depend on the centre."""
        return np.zeros_like(self.shift) if self.metric == "ip" else self.shift

    def encode(self, rows: NDArray[np.float32], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The codes uint8 (m, row_bytes) of rows float32 (m, dim), for cosine of length one."""
        return kernel.encode(
            rows,
            self.matrix,
            self.shift,
            self.low,
            self.step,
            self.centre,
            bits=self.bits,
            own=self.metric != "ip",
            out=out,
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The map as named arrays; :meth:`from_arrays` is the inverse."""
        return {
            "kind": np.array([("l2", "ip", "cosine").index(self.metric), self.bits], dtype=np.int64),
            "matrix": self.matrix,
            "shift": self.shift,
            "low": self.low,
            "step": self.step,
            "centre": self.centre,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """The inverse of :meth:`arrays`."""
        metric, bits = (int(value) for value in arrays["kind"])
        metrics: tuple[Metric, ...] = ("l2", "ip", "cosine")
        parts = (
            np.ascontiguousarray(arrays[name], np.float32) for name in ("matrix", "shift", "low", "step", "centre")
        )
        return cls(metrics[metric], 8 if bits == 8 else 4, *parts)


def fit_codes(vectors: ArrayLike, metric: Metric, params: CodeParams | None = None, *, seed: int = 0) -> Codes:
    """Codes for vectors (n, dim), from a sample of them.

    A function of vectors, metric, parameters and seed. Raises VectorError for vectors that cannot be compared.
    """
    params = params or CodeParams()
    check_metric(metric)
    rows = checked_vectors(vectors)
    if len(rows) == 0:
        raise VectorError("vectors: expected at least one row, got none; there is nothing to fit codes to")
    random = np.random.default_rng(seed)
    # In the order of the rows: a sample is a set, and reading it in order is quicker.
    chosen = np.sort(random.permutation(len(rows))[: params.sample])
    sample = _unit(rows[chosen]) if metric == "cosine" else rows[chosen]
    centre = sample.mean(axis=0, dtype=np.float64)
    directions = _principal(sample, centre)
    most = lines_of(rows.shape[1], 8 if rows.shape[1] <= LINE - OWN else params.bits)
    if params.lines is not None:
        return _fit(sample, centre, directions, metric, params, params.lines, seed)
    codes = _fit(sample, centre, directions, metric, params, 1, seed)
    for lines in range(2, most + 1):
        if _kept(sample, codes, random) >= params.enough:
            break
        codes = _fit(sample, centre, directions, metric, params, lines, seed)
    return codes


def lines_of(dim: int, bits: Bits) -> int:
    """The number of 64-byte lines that hold all of ``dim`` positions."""
    return -(-(dim * bits // 8 + OWN) // LINE)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled, bad = normalise_rows(rows)
    if bad >= 0:
        raise no_direction("vectors", bad)
    return scaled


def _principal(sample: NDArray[np.float32], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Principal directions as columns, float64 (dim, dim), the greatest variance first."""
    covariance = np.zeros((sample.shape[1], sample.shape[1]))
    for begin in range(0, len(sample), BLOCK_ROWS):
        block = sample[begin : begin + BLOCK_ROWS] - centre
        covariance += block.T @ block
    return np.linalg.eigh(covariance)[1][:, ::-1]


def _places(bits: Bits, lines: int) -> NDArray[np.int64]:
    """The positions of a code that may hold values, ascending."""
    positions = np.arange(lines * LINE * 8 // bits)
    octet = positions if bits == 8 else positions // (2 * LINE) * LINE + positions % LINE
    return positions[octet < lines * LINE - OWN]


def _fit(
    sample: NDArray[np.float32],
    centre: NDArray[np.float64],
    directions: NDArray[np.float64],
    metric: Metric,
    params: CodeParams,
    lines: int,
    seed: int,
) -> Codes:
    dim = sample.shape[1]
    # Where 8 bits for every position need no more lines, 4 would save nothing.
    bits: Bits = 8 if dim <= lines * LINE - OWN else params.bits
    places = _places(bits, lines)
    kept = min(dim, len(places))
    places = places[:kept]
    matrix = np.zeros((dim, lines * LINE * 8 // bits), dtype=np.float32)
    matrix[:, places] = directions[:, :kept] @ _rotation(kept, seed)
    shift = (-(centre @ matrix.astype(np.float64))).astype(np.float32)
    mapped = kernel.map_rows(sample, matrix, shift)
    tail = params.tail if bits == 4 else params.tail / 16
    low, high = np.quantile(mapped, [tail, 1 - tail], axis=0).astype(np.float32)
    step = ((high - low) / np.float32(2**bits - 1)).astype(np.float32)
    used = np.zeros(len(step), dtype=np.bool_)
    used[places] = True
    step = np.where(used & (step > 0) & np.isfinite(step), step, np.float32(0))
    return Codes(metric, bits, matrix, shift, np.where(used, low, np.float32(0)), step, centre.astype(np.float32))


def _rotation(size: int, seed: int) -> NDArray[np.float64]:
    """A random orthogonal matrix."""
    basis, upper = np.linalg.qr(np.random.default_rng([seed, size]).standard_normal((size, size)))
    rotation: NDArray[np.float64] = basis * np.sign(np.diag(upper))
    return rotation


def _kept(sample: NDArray[np.float32], codes: Codes, random: "np.random.Generator") -> float:
    """The fraction of rows' nearest neighbours in a sample that are among the nearest by estimate."""
    order = random.permutation(len(sample))
    asked, base = sample[order[: min(256, len(sample) // 2)]], sample[order[len(order) // 2 :]]
    if len(base) <= CANDIDATES:
        return 1.0
    products = asked @ base.T
    mapped = kernel.map_rows(base, codes.matrix, codes.shift)
    steps = np.where(codes.step > 0, codes.step, np.float32(1))
    integers = np.clip(np.rint((mapped - codes.low) / steps), 0, 2**codes.bits - 1)
    decoded = np.where(codes.step > 0, codes.low + codes.step * integers, codes.low).astype(np.float32)
    estimates = kernel.map_rows(asked, codes.matrix, codes.query_shift) @ decoded.T
    if codes.metric == "ip":
        exact, estimated = -products, -estimates
    else:
        exact = (base**2).sum(axis=1) - 2 * products
        centred = ((base - codes.centre) ** 2).sum(axis=1)
        own = (decoded**2).sum(axis=1) + np.maximum(centred - (mapped**2).sum(axis=1), 0)
        estimated = own - 2 * estimates
    near = np.argpartition(exact, NEIGHBORS - 1, axis=1)[:, :NEIGHBORS]
    # Ranks among the estimates, so that ties and duplicates count as found.
    worst = np.partition(estimated, CANDIDATES - 1, axis=1)[:, CANDIDATES - 1]
    return float((np.take_along_axis(estimated, near, axis=1) <= worst[:, None]).mean())
