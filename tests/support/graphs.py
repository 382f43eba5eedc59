"""Whole graphs and FINGER tables at once, as the stages make them range by range."""

import numpy as np
from numpy.typing import ArrayLike

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.finger_basis import FingerParams, fit_basis
from fingerpost.tasks.ann.finger_tables import FingerTables, compared_rows, project_rows, range_tables
from fingerpost.tasks.ann.graph import NONE, Graph, from_table
from fingerpost.tasks.ann.neighbors import neighbor_table
from fingerpost.tasks.ann.search import Metric


def neighbor_graph(vectors: ArrayLike, k: int, metric: Metric, *, entry_points: ArrayLike | None = None) -> Graph:
    """The exact graph of k nearest neighbours of vectors (n, d): one level, evenly spaced entry points by default."""
    index = ExactIndex(vectors, metric)
    table = neighbor_table(index, 0, len(index.vectors), k, ef=1)
    return from_table(np.where(table.ids == NONE, -1, table.ids.astype(np.int64)), entry_points)


def build_tables(
    vectors: np.ndarray, graph: Graph, metric: Metric, *, params: FingerParams | None = None, threads: int = 1
) -> FingerTables:
    """Fit a basis and make the tables of all nodes.

    vectors: (n, dim) float32, one row a node. Raises VectorError as :func:`compared_rows` does.
    """
    rows = compared_rows(vectors, graph, metric)
    basis = fit_basis(rows, graph, params=params)
    projections = project_rows(rows, basis, threads=threads)
    return range_tables(rows, projections, graph.indptr, graph.indices, basis=basis, begin=0, threads=threads)
