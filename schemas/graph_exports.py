"""Graphs for other tools: N-Triples and networkx."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyoxigraph as ox

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows

#: Ids and names that are no IRIs become IRIs in this namespace.
NAMESPACE = "urn:fingerpost:"


def n_triples(graph: GraphBatch) -> Iterator[bytes]:
    """The lines of a graph in N-Triples, sorted, each once.

    A graph that was read from N-Triples gives the same triples. Of others, ids and names without a scheme become IRIs in
    ``NAMESPACE``, and types and names are written as rdf:type and rdfs:label.
    """
    yield from sorted({f"{triple} .\n".encode() for triple in _triples(graph)})


def _triples(graph: GraphBatch) -> Iterator[ox.Triple]:
    from fingerpost.schemas.inputs.graphs_rdf import LABEL, TYPE

    entities = graph.entities.to_pydict()
    nodes = [_node(key) for key in entities["id"]]
    relations = [named_node(name) for name in graph.relation_names["name"].to_pylist()]
    for head, relation, tail in _rows(graph.relations):
        yield ox.Triple(nodes[head], relations[relation], nodes[tail])
    for entity, key, value, datatype, language in _rows(graph.attributes):
        yield ox.Triple(nodes[entity], named_node(key), literal(value, datatype, language))
    for node, key, kind, name in zip(nodes, entities["id"], entities["type"], entities["name"], strict=True):
        if not _is_iri(key) and not key.startswith("_:"):
            if kind:
                yield ox.Triple(node, ox.NamedNode(TYPE), named_node(kind))
            if name:
                yield ox.Triple(node, ox.NamedNode(LABEL), ox.Literal(name))


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def literal(value: str, datatype: str, language: str) -> ox.Literal:
    """A value of an attribute, in N-Triples as text."""
    if language:
        return ox.Literal(value, language=language)
    return ox.Literal(value, datatype=ox.NamedNode(datatype)) if datatype else ox.Literal(value)


def _node(key: str) -> "ox.NamedNode | ox.BlankNode":
    return ox.BlankNode(key[2:]) if key.startswith("_:") else named_node(key)


def named_node(name: str) -> ox.NamedNode:
    """The IRI of an id or a name: itself where it is one, else in ``NAMESPACE``."""
    return ox.NamedNode(name if _is_iri(name) else NAMESPACE + quote(name, safe=""))


def _is_iri(text: str) -> bool:
    try:
        ox.NamedNode(text)
    except ValueError:
        return False
    return True


def networkx_graph(graph: GraphBatch) -> Any:
    """A ``networkx.MultiDiGraph``: nodes by id with type, name and attributes, edges with their relation as key.

    attributes: a list of tuples (key, value, datatype, language).
    """
    import networkx as nx

    found = nx.MultiDiGraph()
    keys = graph.entities["id"].to_pylist()
    for key, kind, name in _rows(graph.entities):
        found.add_node(key, type=kind, name=name, attributes=[])
    for entity, *attribute in _rows(graph.attributes):
        found.nodes[keys[entity]]["attributes"].append(tuple(attribute))
    names = graph.relation_names["name"].to_pylist()
    for head, relation, tail in _rows(graph.relations):
        found.add_edge(keys[head], keys[tail], key=names[relation])
    return found


def from_networkx(graph: Any, *, relation: str = "relation") -> GraphBatch:
    """The graph of a networkx graph.

    Nodes are keyed by their text; their ``type`` and ``name`` are these, ``attributes`` as `networkx_graph` gives them, and
    all other data of a node, texts and numbers, attributes as well. The relation of an edge is its key in a multigraph if
    that is a text, else its data ``relation``, else "related". An undirected edge leads both ways. FingerpostError for two
    nodes of the same text.
    """
    rows = GraphRows()
    keys = {node: str(node) for node in graph.nodes}
    if len(set(keys.values())) < len(keys):
        raise FingerpostError(
            f"networkx: expected nodes that differ as texts, got {len(keys) - len(set(keys.values()))} that do not; rename"
            " them"
        )
    for node, data in graph.nodes(data=True):
        rows.entity(keys[node], kind=str(data.get("type", "")), name=str(data.get("name", "")))
        for attribute in data.get("attributes", ()):
            rows.attribute(keys[node], Attribute(*attribute))
        for name, value in data.items():
            if name not in ("type", "name", "attributes") and isinstance(value, str | int | float):
                rows.attribute(keys[node], Attribute(str(name), str(value)))
    edges = (
        graph.edges(keys=True, data=True)
        if graph.is_multigraph()
        else ((*e[:2], None, e[2]) for e in graph.edges(data=True))
    )
    for head, tail, key, data in edges:
        name = key if isinstance(key, str) else str(data.get(relation, "related"))
        rows.relation(keys[head], name, keys[tail])
        if not graph.is_directed():
            rows.relation(keys[tail], name, keys[head])
    return rows.batch()
