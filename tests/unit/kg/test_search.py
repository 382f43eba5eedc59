"""The nearest entities within a type: as by comparison with all, by graphs nearly so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fingerpost.tasks.ann.hnsw import build
from fingerpost.tasks.kg.search import EntitySearcher, SearchParams, graph_arrays, graph_of, rows_by_type


def some_vectors(count: int, seed: int, *, zeros: float = 0.1, dimensions: int = 8) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, dimensions))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[rng.random(count) < zeros] = 0
    return rows.astype(np.float32)


def some_types(count: int, seed: int) -> list[str]:
    return np.random.default_rng(seed).choice(["", "a", "b"], count).tolist()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    k=st.integers(1, 8),
    within=st.booleans(),
)
def test_the_nearest_of_the_type_are_found(seed: int, sizes: tuple[int, int], k: int, within: bool) -> None:
    rows, types = some_vectors(sizes[0], seed), some_types(sizes[0], seed)
    queries, kinds = (rows, types) if within else (some_vectors(sizes[1], seed + 1), some_types(sizes[1], seed + 1))
    own = np.arange(len(rows)) if within else None
    found = EntitySearcher(rows, types, {}).nearest(queries, kinds, SearchParams(nearest=k), own=own)
    assert found.indptr.dtype == np.int64
    for query in range(len(queries)):
        cosines = rows.astype(np.float64) @ queries[query].astype(np.float64)
        allowed = [
            row
            for row in range(len(rows))
            if types[row] == kinds[query] and cosines[row] > 1e-6 and not (within and row == query)
        ]
        expected = sorted(allowed, key=lambda row: -cosines[row])[:k]
        part = slice(found.indptr[query], found.indptr[query + 1])
        assert found.rows[part].tolist() == expected
        assert np.allclose(found.similarities[part], cosines[expected], atol=1e-5)


def test_equal_entities_do_not_crowd_out_others() -> None:
    """The entity itself may not be among the first of many that are equal to it."""
    rows = np.ones((6, 1), np.float32)
    found = EntitySearcher(rows, ["a"] * 6, {}).nearest(rows, ["a"] * 6, SearchParams(nearest=3), own=np.arange(6))
    for entity in range(6):
        mine = found.rows[found.indptr[entity] : found.indptr[entity + 1]].tolist()
        assert len(mine) == 3
        assert entity not in mine


def test_types_that_are_not_asked_for_are_not_searched() -> None:
    rows, types = some_vectors(20, 0, zeros=0), some_types(20, 0)
    found = EntitySearcher(rows, types, {}).nearest(rows, types, SearchParams(types=("a",)))
    assert [bool(size) for size in np.diff(found.indptr)] == [kind == "a" for kind in types]


def test_graphs_find_nearly_all() -> None:
    rows, types = some_vectors(3000, 1), some_types(3000, 1)
    params = SearchParams(nearest=10, types=("a", "b"))
    by_type = rows_by_type(rows, types)
    graphs = {name: build(rows[by_type[name]], params.hnsw)[0] for name in ("a", "b")}
    queries, kinds = some_vectors(200, 2, zeros=0), some_types(200, 2)
    exact, approximate = (
        EntitySearcher(rows, types, some).nearest(queries, kinds, params) for some in (dict[str, object](), graphs)
    )
    assert np.array_equal(exact.indptr, approximate.indptr)
    assert approximate.distances < exact.distances
    sides = [
        set(zip(np.repeat(np.arange(200), np.diff(one.indptr)).tolist(), one.rows.tolist(), strict=True))
        for one in (exact, approximate)
    ]
    assert len(sides[0] & sides[1]) >= 0.97 * len(sides[0])


def test_graphs_are_the_same_as_arrays() -> None:
    graph = build(some_vectors(300, 3, zeros=0), SearchParams().hnsw)[0]
    again = graph_of(graph_arrays(graph))
    assert np.array_equal(again.indices, graph.indices)
    assert len(again.upper) == len(graph.upper) > 0
    assert all(np.array_equal(one.indices, two.indices) for one, two in zip(again.upper, graph.upper, strict=True))


def test_parameters_out_of_range_are_refused() -> None:
    for options in ({"nearest": 0}, {"exact_below": 0}, {"ef": 0}):
        with pytest.raises(ValueError, match="search: expected nearest, exact_below and ef"):
            SearchParams(**options)
