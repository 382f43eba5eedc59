"""Neighbourhoods of several hops: what is reached is sampled, in shards as in one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.graph import GraphError, RelationGraph, relation_graph
from fingerpost.tasks.kg.neighborhoods import Neighborhoods, SamplingParams, merged, sampled_neighborhoods


def random_graph(seed: int, nodes: int = 80, triples: int = 400) -> RelationGraph:
    rng = np.random.default_rng(seed)
    tails = (nodes * rng.random(triples) ** 2).astype(np.int64)
    found = np.stack([rng.integers(0, nodes, triples), rng.integers(0, 4, triples), tails], axis=1)
    return relation_graph(found, nodes=nodes, relations=4)


def same(one: Neighborhoods, other: Neighborhoods) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("nodes", "indptr", "neighbors", "relations")
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), cap=st.integers(1, 6), hops=st.integers(1, 3), roots=st.sets(st.integers(0, 79)))
def test_exactly_what_is_reached_is_sampled(seed: int, cap: int, hops: int, roots: set[int]) -> None:
    graph, params = random_graph(seed), SamplingParams(cap=cap, hops=hops, seed=seed)
    found = sampled_neighborhoods(graph, np.array(sorted(roots), np.int64), params)
    reached, frontier = set(roots), set(roots)
    for _ in range(hops - 1):
        frontier = {neighbor for node in frontier for neighbor in found.of(node)[1].tolist()}
        reached |= frontier
    assert found.nodes.tolist() == sorted(reached)
    for node in reached:
        kinds, neighbors = graph.neighbors_of(node)
        assert len(found.of(node)[1]) == min(cap, len(neighbors))
        assert set(zip(*(part.tolist() for part in found.of(node)), strict=True)) <= set(
            zip(kinds.tolist(), neighbors.tolist(), strict=True)
        )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.integers(0, 50), weighted=st.booleans())
def test_shards_together_are_the_whole(seed: int, split: int, weighted: bool) -> None:
    graph, params = random_graph(seed), SamplingParams(cap=3, seed=seed, weighted=weighted)
    roots = np.random.default_rng(seed).permutation(graph.nodes)[:50]
    whole = sampled_neighborhoods(graph, roots, params, threads=2)
    shards = [sampled_neighborhoods(graph, part, params) for part in (roots[:split], roots[split:])]
    assert same(merged(shards), whole)
    assert same(merged(shards[::-1]), whole)


def test_types_are_compact() -> None:
    found = sampled_neighborhoods(random_graph(0), np.array([5, 3, 5]), SamplingParams())
    assert [getattr(found, name).dtype.name for name in ("nodes", "indptr", "neighbors", "relations")] == [
        "uint32",
        "int64",
        "uint32",
        "uint32",
    ]
    assert {3, 5} <= set(found.nodes.tolist())


def test_what_is_refused() -> None:
    graph = random_graph(0)
    with pytest.raises(GraphError, match="roots: expected nodes of 0 to 79"):
        sampled_neighborhoods(graph, np.array([80]), SamplingParams())
    with pytest.raises(ValueError, match="sampling: expected a cap and hops of at least 1, got 0 and 2"):
        SamplingParams(cap=0)
    with pytest.raises(ValueError, match="expected at least one part"):
        merged([])
    absent = sampled_neighborhoods(graph, np.array([], np.int64), SamplingParams())
    assert len(absent.nodes) == 0
    with pytest.raises(KeyError):
        absent.of(3)
