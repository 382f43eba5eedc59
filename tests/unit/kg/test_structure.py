"""Alignment by structure: a copy is found, orders do not matter, and a similarity is that of the slow version."""

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.kg.assignment import sinkhorn
from fingerpost.tasks.kg.graph import GraphError, RelationGraph, relation_graph
from fingerpost.tasks.kg.names import NameParams, similar_names
from fingerpost.tasks.kg.structure import Alignment, StructureParams, aligned, alignment_rounds
from tests.oracles import shared_fact_cosine

NODES, RELATIONS = 150, 6


def triples(seed: int, count: int = 900) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tails = (NODES * rng.random(count) ** 1.5).astype(np.int64)
    return np.stack([rng.integers(0, NODES, count), rng.integers(0, RELATIONS, count), tails], axis=1)


def graph_of(found: np.ndarray) -> RelationGraph:
    return relation_graph(found, nodes=NODES, relations=RELATIONS)


#: The number of each relation in a copy.
KIND = np.array([2, 0, 1, 5, 3, 4])


def copy_of(found: np.ndarray, seed: int, kept: float) -> tuple[np.ndarray, np.ndarray]:
    """A part of the triples with other numbers of nodes and relations, and the number of each node there."""
    rng = np.random.default_rng(seed)
    number = rng.permutation(NODES)
    chosen = found[rng.random(len(found)) < kept]
    return np.stack([number[chosen[:, 0]], KIND[chosen[:, 1]], number[chosen[:, 2]]], axis=1), number


def share_found(found: Alignment, number: np.ndarray, seeds: np.ndarray) -> float:
    return float((number[found.pairs[:, 0]] == found.pairs[:, 1]).sum() / (NODES - len(seeds)))


@pytest.mark.parametrize(("kept", "least"), [(1.0, 0.99), (0.8, 0.9)])
def test_a_copy_with_other_numbers_is_found_from_a_fifth_of_its_nodes(kept: float, least: float) -> None:
    whole = triples(0)
    other, number = copy_of(whole, 1, kept)
    seeds = np.stack([np.arange(NODES // 5), number[: NODES // 5]], axis=1)
    left, right = graph_of(whole), graph_of(other)
    found = aligned(left, right, seeds, StructureParams())
    assert share_found(found, number, seeds) >= least
    assert found.relations.toarray().argmax(axis=1).tolist() == [*KIND, *(KIND + RELATIONS)]


def test_more_rounds_find_more_from_few_seeds() -> None:
    whole = triples(2, count=500)
    other, number = copy_of(whole, 3, 0.9)
    seeds = np.stack([np.arange(8), number[:8]], axis=1)
    shares = [
        share_found(found, number, seeds)
        for found in alignment_rounds(graph_of(whole), graph_of(other), seeds, StructureParams())
    ]
    assert shares[-1] > shares[0] + 0.2


def test_the_order_of_triples_and_seeds_changes_no_bit() -> None:
    whole = triples(4)
    other, number = copy_of(whole, 5, 0.8)
    seeds = np.stack([np.arange(30), number[:30]], axis=1)
    one = aligned(graph_of(whole), graph_of(other), seeds, StructureParams(rounds=3))
    two = aligned(graph_of(whole[::-1]), graph_of(other[::-1]), seeds, StructureParams(rounds=3))
    assert np.array_equal(one.pairs, two.pairs)
    assert np.array_equal(one.probabilities.data, two.probabilities.data)
    turned = aligned(graph_of(whole), graph_of(other), seeds[::-1], StructureParams(rounds=3))
    assert np.array_equal(one.probabilities.data, turned.probabilities.data)


def test_candidates_are_the_nodes_given_and_seeds_are_none() -> None:
    whole = triples(6)
    other, number = copy_of(whole, 7, 1.0)
    seeds = np.stack([np.arange(30), number[:30]], axis=1)
    asked = np.arange(20, 60), number[20:60]
    *_, found = alignment_rounds(graph_of(whole), graph_of(other), seeds, StructureParams(), candidates=asked)
    rows, columns = found.probabilities.nonzero()
    assert set(rows.tolist()) <= set(range(30, 60))
    assert set(columns.tolist()) <= set(number[30:60].tolist())
    assert np.array_equal(found.pairs[:, 0], np.arange(30, 60))


@pytest.mark.parametrize("any_relation", [0.0, 0.3])
def test_the_similarity_of_the_first_round_is_that_of_the_slow_version(any_relation: float) -> None:
    whole = triples(8, count=300)
    other, number = copy_of(whole, 9, 0.7)
    seeds = np.stack([np.arange(60), number[:60]], axis=1)
    left, right = graph_of(whole), graph_of(other)
    params = StructureParams(rounds=1, any_relation=any_relation, kinds=0.0, least_relation=0.0, most_nodes=10**6)
    found = next(alignment_rounds(left, right, seeds, params))
    expected = shared_fact_cosine(left, right, dict(seeds.tolist()), any_relation=any_relation)
    open_left = np.setdiff1d(np.arange(NODES), seeds[:, 0])
    open_right = np.setdiff1d(np.arange(NODES), seeds[:, 1])
    scores = sparse.csr_array(expected[open_left][:, open_right])
    scaled = sinkhorn(scores, temperature=params.temperature, iterations=params.iterations).toarray()
    assert np.allclose(found.probabilities.toarray()[open_left][:, open_right], scaled, atol=1e-9)


def test_nodes_with_the_same_relations_are_more_similar() -> None:
    # Nodes 0 to 3 are seeds, and show that relations 0 to 2 are the same on both sides. Nodes 4 and 5 have the same seed
    # by relation 0, and open neighbours by relations 1 and 2.
    known = [(0, 0, 1), (1, 1, 2), (2, 2, 3), (0, 1, 2), (0, 2, 3)]
    graph = relation_graph(np.array([*known, (4, 0, 1), (4, 1, 6), (5, 0, 1), (5, 2, 7)]), nodes=8, relations=3)
    seeds = np.stack([np.arange(4)] * 2, axis=1)
    found = [
        next(alignment_rounds(graph, graph, seeds, StructureParams(kinds=kinds))).probabilities.toarray()[4, [4, 5]]
        for kinds in (0.0, 0.5)
    ]
    assert found[0][0] == pytest.approx(found[0][1])
    assert found[1][0] > 2 * found[1][1] > 0


def test_facts_of_many_nodes_propose_nothing() -> None:
    star = relation_graph(np.array([(node, 0, 0) for node in range(1, 10)]), nodes=30, relations=1)
    seeds = np.array([[0, 0], [1, 1]])
    few, many = (
        aligned(star, star, seeds, StructureParams(rounds=1, most_nodes=most)).probabilities.nnz for most in (8, 9)
    )
    assert (few, many) == (0, 64)


def test_names_find_what_the_structure_does_not() -> None:
    whole = triples(10, count=250)
    other, number = copy_of(whole, 11, 0.5)
    seeds = np.stack([np.arange(10), number[:10]], axis=1)
    words = np.random.default_rng(0).permutation([f"name{i * 7919:06d}" for i in range(NODES)])
    theirs = np.empty(NODES, dtype=object)
    theirs[number] = [f"{word}." for word in words]
    prior = similar_names(words.tolist(), theirs.tolist(), NameParams())
    left, right = graph_of(whole), graph_of(other)
    alone, both = (aligned(left, right, seeds, StructureParams(), prior=some) for some in (None, prior))
    assert share_found(both, number, seeds) > max(0.95, share_found(alone, number, seeds))


def test_graphs_without_anything_in_common() -> None:
    empty = relation_graph(np.zeros((0, 3), np.int64), nodes=3, relations=1)
    found = aligned(empty, graph_of(triples(0)), np.zeros((0, 2), np.int64), StructureParams(rounds=2))
    assert found.pairs.shape == (0, 2)
    assert found.probabilities.nnz == 0


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([[0, 150]], "seeds: expected nodes of 0 to 149"),
        ([[-1, 0]], "seeds: expected nodes of 0 to 149"),
        ([[0, 1], [0, 2]], "seeds: expected each node in one pair"),
        ([[1, 0], [2, 0]], "seeds: expected each node in one pair"),
    ],
)
def test_seeds_that_are_refused(seeds: list[list[int]], message: str) -> None:
    graph = graph_of(triples(0))
    with pytest.raises(GraphError, match=message):
        aligned(graph, graph, np.array(seeds), StructureParams())


def test_parameters_that_are_refused() -> None:
    with pytest.raises(ValueError, match="structure: expected rounds, iterations"):
        StructureParams(rounds=0)
    with pytest.raises(ValueError, match="names: expected 1 <= ngram_min"):
        NameParams(ngram_min=3, ngram_max=2)
