"""The graph in both directions: against sets of triples, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.graph import GraphError, relation_graph


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int, int]]]:
    nodes, relations = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    node, relation = st.integers(0, nodes - 1), st.integers(0, relations - 1)
    return nodes, relations, draw(st.lists(st.tuples(node, relation, node), max_size=40))


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_neighbours_are_those_of_the_triples_in_both_directions(world: tuple) -> None:
    nodes, relations, triples = world
    graph = relation_graph(np.array(triples, np.int64).reshape(-1, 3), nodes=nodes, relations=relations)
    assert graph.nodes == nodes
    for node in range(nodes):
        expected = {(r, tail) for head, r, tail in triples if head == node}
        expected |= {(r + relations, head) for head, r, tail in triples if tail == node}
        kinds, neighbors = graph.neighbors_of(node)
        assert list(zip(kinds.tolist(), neighbors.tolist(), strict=True)) == sorted(expected)
        assert graph.degrees[node] == len(expected)
    assert graph.triples().tolist() == sorted(list(triple) for triple in set(triples))


@settings(max_examples=50, deadline=None)
@given(worlds(), st.randoms())
def test_order_and_repetition_of_triples_do_not_matter(world: tuple, random) -> None:
    nodes, relations, triples = world
    shuffled = [*triples, *triples[:3]]
    random.shuffle(shuffled)
    one, other = (
        relation_graph(np.array(some, np.int32).reshape(-1, 3), nodes=nodes, relations=relations)
        for some in (triples, shuffled)
    )
    for name in ("run_ranges", "relations", "starts", "neighbors"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


def test_relations_of_a_node_are_ascending_runs() -> None:
    graph = relation_graph(np.array([[0, 1, 2], [0, 0, 1], [0, 1, 1], [2, 0, 0]]), nodes=3, relations=2)
    runs = slice(*graph.run_ranges[:2])
    assert graph.relations[runs].tolist() == [0, 1, 2]
    assert np.diff(graph.starts)[runs].tolist() == [1, 2, 1]
    assert graph.types.tolist() == [0, 0, 0]


@pytest.mark.parametrize("nodes", [0, 3])
def test_a_graph_without_triples(nodes: int) -> None:
    graph = relation_graph(np.zeros((0, 3), np.int64), nodes=nodes, relations=0)
    assert graph.degrees.tolist() == [0] * nodes
    assert graph.triples().shape == (0, 3)


@pytest.mark.parametrize(
    ("triples", "options", "message"),
    [
        ([[0, 0, 3]], {}, "tails: expected numbers of 0 to 2"),
        ([[-1, 0, 1]], {}, "heads: expected numbers of 0 to 2"),
        ([[0, 2, 1]], {}, "relations: expected numbers of 0 to 1"),
        ([[0, 1]], {}, r"triples: expected whole numbers \(m, 3\), got int64 \(1, 2\)"),
        ([[0.0, 1.0, 2.0]], {}, "triples: expected whole numbers"),
        ([[0, 1, 2]], {"types": np.array([0, 1])}, "types: expected one of 0 to 65535 for each of 3 nodes"),
        ([[0, 1, 2]], {"types": np.array([0, 1, -1])}, "types: expected one of 0 to 65535"),
        ([[0, 1, 2]], {"nodes": 2**31}, "graph: expected up to 2"),
    ],
)
def test_what_is_refused(triples: list, options: dict, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        relation_graph(np.array(triples), **({"nodes": 3, "relations": 2} | options))
