"""An architecture as a graph of its operators, for pictures and for whatever walks over networks."""

from dataclasses import asdict

import networkx as nx

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import Placed, costs_of, placed_operators


def graph_of(architecture: Architecture) -> nx.DiGraph:
    """A directed graph whose nodes are "image" and the operators' positions from 0, in the order in which they run.

    The graph has ``architecture``, its id, and the costs of ``Costs``. Nodes have ``label``, ``shape`` (channels, height,
    width of the output), ``macs``, ``parameters``, ``values`` (of the output), ``stage`` and ``block`` (see ``Placed``),
    and ``kind`` (that of the block, or stem or ending); those of operators have ``operator``. An edge goes along each
    tensor that is read, with its ``values``; ``residual`` tells the inputs of blocks that are added.
    """
    graph = nx.DiGraph(architecture=architecture.id, **asdict(costs_of(architecture)))
    size, inputs = architecture.resolution, architecture.inputs
    start = {
        "label": "image",
        "shape": (inputs, size, size),
        "macs": 0,
        "parameters": 0,
        "values": size * size * inputs,
    }
    graph.add_node("image", **start, stage=0, block=0, kind="image")
    for position, placed in enumerate(placed_operators(architecture)):
        graph.add_node(position, **_properties(placed), kind=_kind(architecture, placed))
        source = position - 1 if position else "image"
        graph.add_edge(source, position, values=graph.nodes[source]["values"], residual=False)
        if placed.added_from >= 0:
            _add_residual(graph, placed.added_from, position)
    return graph


def _add_residual(graph: nx.DiGraph, source: int, target: int) -> None:
    # A block of one operator adds the tensor that it reads anyway: one edge.
    if graph.has_edge(source, target):
        graph.edges[source, target]["residual"] = True
    else:
        graph.add_edge(source, target, values=graph.nodes[source]["values"], residual=True)


def _properties(placed: Placed) -> dict[str, object]:
    operator = placed.operator
    shape = (operator.outputs,) if operator.kind == "linear" else (operator.outputs, *(operator.output_size,) * 2)
    return {
        "label": _label(placed),
        "operator": operator,
        "shape": shape,
        "macs": operator.macs,
        "parameters": operator.parameters,
        "values": operator.output_values,
        "stage": placed.stage,
        "block": placed.block,
    }


def _label(placed: Placed) -> str:
    operator = placed.operator
    if operator.kind in ("conv", "depthwise"):
        stride = f", stride {operator.stride}" if operator.stride > 1 else ""
        name = "depthwise" if operator.kind == "depthwise" else "convolution"
        return f"{name} {operator.kernel} × {operator.kernel}{stride}"
    return {"pool": "average pooling", "linear": "linear", "resize": "resize", "add": "addition"}[operator.kind]


def _kind(architecture: Architecture, placed: Placed) -> str:
    if placed.stage == 0:
        return "stem"
    if placed.stage > len(architecture.stages):
        return "ending"
    return architecture.stages[placed.stage - 1].blocks[placed.block].kind
