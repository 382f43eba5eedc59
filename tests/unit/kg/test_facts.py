"""Facts and their translation between graphs: against loops over triples."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.tasks.kg.facts import facts_of, similar_relations, translation
from fingerpost.tasks.kg.graph import RelationGraph, relation_graph

Edge = tuple[int, int, int]


def random_graph(rng: np.random.Generator) -> RelationGraph:
    nodes, relations = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    count = int(rng.integers(0, 30))
    triples = np.stack([rng.integers(0, bound, count) for bound in (nodes, relations, nodes)], axis=1)
    return relation_graph(triples, nodes=nodes, relations=relations)


def edges_of(graph: RelationGraph) -> set[Edge]:
    return {(node, r, n) for node in range(graph.nodes) for r, n in zip(*graph.neighbors_of(node), strict=True)}


def random_pairs(rng: np.random.Generator, left: RelationGraph, right: RelationGraph) -> np.ndarray:
    count = int(rng.integers(0, min(left.nodes, right.nodes) + 1))
    return np.stack([rng.permutation(graph.nodes)[:count] for graph in (left, right)], axis=1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_facts_are_the_edges_without_their_node(seed: int) -> None:
    graph = random_graph(np.random.default_rng(seed))
    facts, edges = facts_of(graph), edges_of(graph)
    named = list(zip(facts.relations.tolist(), facts.neighbors.tolist(), strict=True))
    assert named == sorted({(r, n) for _, r, n in edges})
    assert {(node, *named[fact]) for node, fact in zip(*facts.nodes.nonzero(), strict=True)} == edges
    assert set(zip(*facts.kinds.nonzero(), strict=True)) == {(node, r) for node, r, _ in edges}
    assert set(zip(*facts.linked.nonzero(), strict=True)) == {(node, n) for node, _, n in edges}
    assert {*facts.nodes.data, *facts.kinds.data, *facts.linked.data} <= {1.0}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_relations_are_similar_by_the_edges_that_both_have(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = random_graph(rng), random_graph(rng)
    pairs = random_pairs(rng, left, right)
    to_right = dict(pairs.tolist())
    known = set(to_right.values())
    mapped = {(to_right[a], r, to_right[b]) for a, r, b in edges_of(left) if {a, b} <= set(to_right)}
    inside = {(a, r, b) for a, r, b in edges_of(right) if {a, b} <= known}
    found = similar_relations(left, right, pairs, least=0.0).toarray()
    assert found.shape == (2 * left.relation_count, 2 * right.relation_count)
    for one in range(found.shape[0]):
        for other in range(found.shape[1]):
            ours, theirs = (
                {(a, b) for a, r, b in some if r == kind} for some, kind in ((mapped, one), (inside, other))
            )
            expected = len(ours & theirs) / math.sqrt((len(ours) + 1) * (len(theirs) + 1))
            assert math.isclose(found[one, other], expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_a_translation_is_the_product_of_neighbour_and_relation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = random_graph(rng), random_graph(rng)
    matches, relations = (
        sparse.csr_array(rng.random(shape) * (rng.random(shape) < 0.5))
        for shape in ((left.nodes, right.nodes), (2 * left.relation_count, 2 * right.relation_count))
    )
    one, other = facts_of(left), facts_of(right)
    found = translation(one, other, matches, relations).toarray()
    assert found.shape == (len(one.relations), len(other.relations))
    for i, (r, n) in enumerate(zip(one.relations, one.neighbors, strict=True)):
        for j, (q, m) in enumerate(zip(other.relations, other.neighbors, strict=True)):
            assert math.isclose(found[i, j], matches[n, m] * relations[r, q])


def test_the_least_similarity_is_left_out() -> None:
    graph = relation_graph(np.array([[0, 0, 1], [1, 0, 2], [0, 1, 2]]), nodes=3, relations=2)
    pairs = np.array([[0, 0], [1, 1], [2, 2]])
    every = similar_relations(graph, graph, pairs, least=0.0)
    assert every.toarray()[0, 0] == 2 / 3
    assert every.toarray()[1, 1] == 0.5
    assert similar_relations(graph, graph, pairs, least=0.5).nnz == 2
