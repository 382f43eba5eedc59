"""The tables of FINGER for every node and edge, computed by ranges of nodes.

The tables of a range depend on that range only, so ranges computed anywhere and joined in order equal the tables of all
nodes, bit for bit. Source: Chen et al., FINGER, WWW 2023, and the layout of the authors' release.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from fingerpost.ext import finger
from fingerpost.ext.hnsw import normalise_rows
from fingerpost.tasks.ann.finger_basis import FingerBasis, checked_rows
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.search import Metric, check_metric, no_direction


@dataclass(frozen=True)
class FingerTables:
    """Tables of consecutive nodes; the edges are in the order of the graph's level-0 ids.

    basis: directions and correction.
    node_norm2: (nodes,) float32, squared norm; 0 if it is too small and neighbours are always compared exactly.
    node_projection: (nodes, rank) float32, the node's vector along each direction.
    edge_coefficient: (edges,) float32, the neighbour's projection on the node, in units of the node's vector.
    edge_residual: (edges,) float32, norm of the neighbour's residual.
    edge_codes: low_rank: (edges, rank), the residual's projection scaled to length one, float32 or int8 (of 1/127);
        signs: (edges, ceil(rank / 64)) uint64, bit i of the little-endian bit string set if it is not negative.
    """

    basis: FingerBasis
    node_norm2: np.ndarray
    node_projection: np.ndarray
    edge_coefficient: np.ndarray
    edge_residual: np.ndarray
    edge_codes: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The tables as named arrays; :meth:`from_arrays` is the inverse."""
        own = {name: getattr(self, name) for name in _FIELDS}
        return own | {f"basis_{name}": value for name, value in self.basis.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The inverse of :meth:`arrays`."""
        basis = {name.removeprefix("basis_"): value for name, value in arrays.items() if name.startswith("basis_")}
        return cls(FingerBasis.from_arrays(basis), *(arrays[name] for name in _FIELDS))


_FIELDS = ("node_norm2", "node_projection", "edge_coefficient", "edge_residual", "edge_codes")


def project_rows(vectors: np.ndarray, basis: FingerBasis, *, threads: int = 1) -> np.ndarray:
    """Projects rows onto the directions: (rows, dim) float32 to (rows, rank) float32, each row independently."""
    return finger.project(vectors, basis.directions, threads=threads)


def range_tables(
    vectors: np.ndarray,
    projections: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    *,
    basis: FingerBasis,
    begin: int,
    threads: int = 1,
) -> FingerTables:
    """Tables of the nodes ``begin, begin + 1, ...``, one per row of the range's part of the adjacency.

    vectors: (n, dim) float32 and projections: (n, rank) float32 of *all* nodes; indptr: (rows + 1,) int64, from any
    start; indices: uint32 ids of the range's edges only. Raises ValueError if they do not fit together.
    """
    if len(indices) and int(indices.max()) >= len(vectors):
        raise ValueError(f"indices: expected ids below {len(vectors)}, got {indices.max()}; check the graph's ids")
    rows = len(indptr) - 1
    norm2, coefficient, residual, codes = finger.edge_tables(
        vectors,
        projections,
        np.ascontiguousarray(indptr - indptr[0]),
        indices,
        begin=begin,
        code=basis.code,
        tiny_norm2=basis.tiny_norm2,
        threads=threads,
    )
    projection = np.ascontiguousarray(projections[begin : begin + rows])
    return FingerTables(basis, norm2, projection, coefficient, residual, codes)


def join_ranges(parts: Sequence[FingerTables]) -> FingerTables:
    """Joins the tables of consecutive ranges, in order; raises ValueError if their bases differ."""
    if not parts:
        raise ValueError("parts: expected the tables of at least one range, got none; compute them first")
    basis = parts[0].basis
    for number, part in enumerate(parts):
        same = part.basis.arrays().items()
        if not all(np.array_equal(value, basis.arrays()[name]) for name, value in same):
            raise ValueError(f"parts[{number}]: expected the basis of parts[0], got another; use one basis for all")
    return FingerTables(basis, *(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS))


def compared_rows(vectors: np.ndarray, graph: Graph, metric: Metric) -> np.ndarray:
    """Vectors as the search compares them, (n, dim) float32: checked, and for cosine scaled to length one.

    Raises VectorError for NaN, infinity, a number of rows other than the nodes, and for cosine a row of zeros.
    """
    check_metric(metric)
    rows = checked_rows(vectors, graph)
    if metric == "cosine":
        rows, bad = normalise_rows(rows)
        if bad >= 0:
            raise no_direction("vectors", bad)
    return rows
