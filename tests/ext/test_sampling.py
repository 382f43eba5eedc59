"""Sampled neighbours: against a slow version, by probability, and the same however nodes are divided."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import sampling
from fingerpost.ext.sampling import sample_neighbors
from fingerpost.ext.sources import source_hash
from fingerpost.tasks.kg.graph import RelationGraph, relation_graph
from tests.oracles import drawn_neighbors

#: A film with one director and fifty actors.
FILM = relation_graph(np.array([(0, 0, 1), *((0, 1, actor) for actor in range(2, 52))]), nodes=52, relations=2)


def sample(graph: RelationGraph, nodes, **options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    asked = np.asarray(nodes, np.uint32)
    settings = {"cap": 10, "seed": 0, "weighted": True}
    return sample_neighbors(
        graph.run_ranges, graph.relations, graph.starts, graph.neighbors, asked, **(settings | options)
    )


def random_graph(seed: int, nodes: int = 60, triples: int = 600) -> RelationGraph:
    rng = np.random.default_rng(seed)
    tails = (nodes * rng.random(triples) ** 3).astype(np.int64)
    found = np.stack([rng.integers(0, nodes, triples), rng.integers(0, 5, triples) ** 2 // 4, tails], axis=1)
    return relation_graph(found, nodes=nodes, relations=5)


def test_the_binary_is_of_these_sources() -> None:
    assert source_hash("sampling") == sampling.SOURCE_HASH


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), cap=st.integers(1, 30), weighted=st.booleans())
def test_samples_are_distinct_neighbours_of_the_node_and_all_of_few(seed: int, cap: int, weighted: bool) -> None:
    graph = random_graph(seed % 1000)
    nodes = np.arange(graph.nodes)
    indptr, neighbors, relations = sample(graph, nodes, cap=cap, seed=seed, weighted=weighted)
    assert np.array_equal(np.diff(indptr), np.minimum(graph.degrees, cap))
    for node in nodes:
        of_node = slice(indptr[node], indptr[node + 1])
        found = list(zip(relations[of_node].tolist(), neighbors[of_node].tolist(), strict=True))
        kinds, every = graph.neighbors_of(node)
        whole = set(zip(kinds.tolist(), every.tolist(), strict=True))
        assert len(found) == len(set(found))
        assert set(found) <= whole
        assert len(whole) > cap or set(found) == whole


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), cap=st.integers(1, 12), weighted=st.booleans(), split=st.integers(0, 60))
def test_division_order_threads_and_cap_do_not_change_a_sample(seed: int, cap: int, weighted: bool, split: int) -> None:
    graph = random_graph(seed)
    nodes = np.random.default_rng(seed).permutation(graph.nodes)
    options = {"seed": seed, "weighted": weighted}
    indptr, neighbors, relations = sample(graph, nodes, cap=cap, **options)
    parts = [sample(graph, part, cap=cap, threads=2, **options) for part in (nodes[:split], nodes[split:])]
    assert np.array_equal(np.concatenate([part[1] for part in parts]), neighbors)
    assert np.array_equal(np.concatenate([part[2] for part in parts]), relations)
    larger, more, kinds_of_more = sample(graph, nodes, cap=cap + 5, **options)
    for i in range(len(nodes)):
        pairs, more_pairs = (
            set(zip(kinds[at[i] : at[i + 1]].tolist(), ends[at[i] : at[i + 1]].tolist(), strict=True))
            for at, ends, kinds in ((indptr, neighbors, relations), (larger, more, kinds_of_more))
        )
        assert pairs <= more_pairs


def test_other_seeds_and_nodes_give_other_samples() -> None:
    star = relation_graph(np.array([(h, 0, t) for h in (0, 1) for t in range(2, 102)]), nodes=102, relations=1)
    seen = {tuple(sample(star, [node], seed=seed)[1].tolist()) for node in (0, 1) for seed in range(20)}
    assert len(seen) == 40


@pytest.mark.parametrize(("cap", "least", "uniform"), [(5, 0.95, 5 / 51), (10, 0.99, 10 / 51)])
def test_a_director_among_fifty_actors_is_kept(cap: int, least: float, uniform: float) -> None:
    seeds = range(4000)
    kept = {
        weighted: np.mean([1 in sample(FILM, [0], cap=cap, seed=seed, weighted=weighted)[1] for seed in seeds])
        for weighted in (True, False)
    }
    assert kept[True] >= least
    # Three standard errors of 4,000 draws.
    assert abs(kept[False] - uniform) < 3 * np.sqrt(uniform * (1 - uniform) / len(seeds))


def test_the_actors_that_are_kept_are_any() -> None:
    count = Counter(
        neighbor for seed in range(6000) for neighbor in sample(FILM, [0], cap=5, seed=seed)[1].tolist() if neighbor > 1
    )
    expected = sum(count.values()) / 50
    squares = sum((count[actor] - expected) ** 2 / expected for actor in range(2, 52))
    # The 0.9999 quantile of chi-squared with 49 degrees of freedom; draws without replacement vary less.
    assert squares < 94


@pytest.mark.parametrize("weighted", [True, False])
def test_probabilities_of_samples_are_those_of_successive_draws(weighted: bool) -> None:
    kinds = [0, 1, 1, 2, 2, 2]
    graph = relation_graph(np.array([(0, kind, place + 1) for place, kind in enumerate(kinds)]), nodes=7, relations=3)
    weights = np.array([1 / kinds.count(kind) if weighted else 1 for kind in kinds])
    draws = 20_000
    found = Counter(tuple(sample(graph, [0], cap=3, seed=seed, weighted=weighted)[1].tolist()) for seed in range(draws))
    expected: Counter[tuple[int, ...]] = Counter()
    for order in permutations(range(6), 3):
        rest, probability = weights.sum(), 1.0
        for place in order:
            probability *= weights[place] / rest
            rest -= weights[place]
        expected[tuple(sorted(place + 1 for place in order))] += draws * probability
    squares = sum((found[chosen] - count) ** 2 / count for chosen, count in expected.items())
    # The 0.9999 quantile of chi-squared with 19 degrees of freedom.
    assert squares < 53


def test_kept_as_often_as_by_the_slow_version() -> None:
    graph = random_graph(3, nodes=12, triples=90)
    node = int(np.argmax(graph.degrees))
    kinds, _ = graph.neighbors_of(node)
    places = {pair: i for i, pair in enumerate(zip(*(part.tolist() for part in graph.neighbors_of(node)), strict=True))}
    draws, rng = 6000, np.random.default_rng(0)
    ours, slow = np.zeros(len(kinds)), np.zeros(len(kinds))
    for seed in range(draws):
        _, neighbors, relations = sample(graph, [node], cap=4, seed=seed)
        for pair in zip(relations.tolist(), neighbors.tolist(), strict=True):
            ours[places[pair]] += 1
        slow[drawn_neighbors(kinds.tolist(), 4, rng)] += 1
    share = (ours + slow) / 2 / draws
    # Five standard errors of a difference of two shares.
    assert (np.abs(ours - slow) / draws < 5 * np.sqrt(2 * share * (1 - share) / draws)).all()


def test_nodes_without_neighbours_and_no_nodes_at_all() -> None:
    graph = relation_graph(np.array([[0, 0, 1]]), nodes=4, relations=1)
    indptr, neighbors, relations = sample(graph, [3, 1, 2])
    assert indptr.tolist() == [0, 0, 1, 1]
    assert (neighbors.tolist(), relations.tolist()) == ([0], [1])
    assert [len(part) for part in sample(graph, [])] == [1, 0, 0]
    assert [len(part) for part in sample(graph, [2])] == [2, 0, 0]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="cap: expected at least 1 neighbour, got 0"):
        sample(FILM, [0], cap=0)
    with pytest.raises(ValueError, match="nodes: expected numbers below 52, got 52"):
        sample(FILM, [0, 52])
