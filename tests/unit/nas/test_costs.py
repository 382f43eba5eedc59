"""Costs and graphs of architectures, beside a walk over the graph that knows which tensors are alive."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage
from fingerpost.tasks.nas.costs import costs_of, placed_operators
from fingerpost.tasks.nas.graph import graph_of
from fingerpost.tasks.nas.operators import operators_of
from fingerpost.tasks.nas.space import SearchSpace
from tests.unit.nas.small_spaces import spaces


def _peak(graph: nx.DiGraph) -> int:
    """The most values of tensors that are alive while an operator runs: those that it or a later one reads, and its own."""
    order = [node for node in graph if node != "image"]
    alive = []
    for position, node in enumerate(order):
        read = {source for later in order[position:] for source in graph.predecessors(later)}
        made = {"image", *order[:position]}
        alive.append(sum(graph.nodes[tensor]["values"] for tensor in (read & made) | {node}))
    return max(alive)


@settings(max_examples=30, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_costs_are_those_of_the_graph(space: SearchSpace, seed: int) -> None:
    architecture = space.candidate(space.sample(np.random.default_rng(seed)))
    graph, costs = graph_of(architecture), costs_of(architecture)
    assert nx.is_directed_acyclic_graph(graph)
    assert list(graph) == ["image", *range(len(operators_of(architecture)))]
    operators = tuple(graph.nodes[node]["operator"] for node in graph if node != "image")
    assert operators == operators_of(architecture) == tuple(each.operator for each in placed_operators(architecture))
    assert costs.macs == sum(each.macs for each in operators)
    assert costs.parameters == sum(each.parameters for each in operators)
    assert costs.peak_values == _peak(graph) == graph.graph["peak_values"]
    # What is read has the shape that its reader expects, and what is added that of the sum.
    for source, target, edge in graph.edges(data=True):
        operator = graph.nodes[target]["operator"]
        channels, size = graph.nodes[source]["shape"][0], graph.nodes[source]["shape"][-1]
        if not edge["residual"] or source in (target - 1, "image"):
            assert channels == operator.inputs
        if edge["residual"]:
            assert (channels, size) == (operator.outputs, operator.output_size)
    assert sum(edge["residual"] for *_, edge in graph.edges(data=True)) == sum(each.added for each in operators)


def test_an_inverted_bottleneck_by_hand() -> None:
    architecture = Architecture(8, 1, 10, 4, 1, (NetworkStage(4, 1, (Block("ibn", 3, 6),)),))
    costs = costs_of(architecture)
    pixels = 64
    block = pixels * 4 * 24 + pixels * 9 * 24 + pixels * 24 * 4
    assert costs.macs == pixels * 9 * 4 + block + 4 * 10
    assert costs.parameters == (36 + 4) + (96 + 24) + (216 + 24) + (96 + 4) + (40 + 10)
    # The depthwise convolution has its input and output, and the block's input waits to be added.
    assert costs.peak_values == pixels * (24 + 24 + 4)


def test_fusing_drops_a_wide_tensor_and_adds_weights() -> None:
    def network(kind: str) -> Architecture:
        return Architecture(8, 1, 10, 4, 1, (NetworkStage(4, 1, (Block(kind, 3, 6),)),))  # type: ignore[arg-type]

    slow, fused = costs_of(network("ibn")), costs_of(network("fused"))
    assert fused.peak_values == 64 * (24 + 4 + 4)
    assert slow.peak_values > fused.peak_values
    assert fused.macs > slow.macs
    assert fused.parameters > slow.parameters


@pytest.mark.parametrize("kind", ["ibn", "fused", "conv"])
def test_nodes_say_what_a_picture_shows(kind: str) -> None:
    block = Block(kind, 3, 1 if kind == "conv" else 2)  # type: ignore[arg-type]
    graph = graph_of(Architecture(8, 3, 2, 4, 2, (NetworkStage(4, 1, (block,)),), 6, "segmentation", 8))
    labels = [graph.nodes[node]["label"] for node in graph]
    assert labels[:2] == ["image", "convolution 3 × 3, stride 2"]
    assert labels[-1] == "resize"
    assert graph.nodes[0]["shape"] == (4, 4, 4)
    assert [graph.nodes[node]["kind"] for node in (0, 1, len(graph) - 2)] == ["stem", kind, "ending"]
    assert [edge["residual"] for *_, edge in graph.edges(data=True)].count(True) == 1
