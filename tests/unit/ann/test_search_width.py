"""Searches wider than an index has rows: they take no more memory than one as wide as the index, and find the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.deferred_search import DeferredIndex
from fingerpost.tasks.ann.edge_blocks import edge_blocks
from fingerpost.tasks.ann.edge_codes import fit_edge_codes
from fingerpost.tasks.ann.filtered_index import FilteredIndex
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.ann.packed import PackedIndex
from tests.support.vectors import decaying

ROWS = 300

OPENED: dict[str, Callable[[np.ndarray, Graph], Any]] = {
    "packed": lambda vectors, graph: PackedIndex.pack(vectors, graph, "l2"),
    "codes": lambda vectors, graph: PackedIndex.pack(vectors, graph, "l2", codes=fit_codes(vectors, "l2")),
    "filtered": lambda vectors, graph: FilteredIndex(vectors, graph, "l2"),
    "deferred": lambda vectors, graph: DeferredIndex(
        vectors, graph, edge_blocks(vectors, graph, "l2", fit_edge_codes(vectors, graph, "l2")), "l2"
    ),
}


@pytest.mark.parametrize("kind", OPENED)
@pytest.mark.parametrize("width", [2**40, 2**62])
def test_a_width_beyond_all_rows_is_one_of_all_rows(kind: str, width: int) -> None:
    vectors, queries = decaying(ROWS, 20, seed=1), decaying(5, 20, seed=2)
    index = OPENED[kind](vectors, build(vectors, HnswParams(8, 40, metric="l2"))[0])
    searches = [lambda ef: index.search(queries, 10, ef=ef)]
    if kind != "deferred":
        searches.append(lambda ef: index.search(queries, 10, ef=ef, keep=np.arange(ROWS) < 200))
    if kind == "filtered":
        searches.append(lambda ef: index.within(queries, 0.5, most=10, ef=ef))
    for search in searches:
        found, expected = search(width), search(2 * ROWS)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.distances, expected.distances)
        assert found.counters == expected.counters
