"""Two small graphs, and committed artifacts of an alignment of them, made by hand."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows, table_of
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.support.suggestion_artifacts import committed

#: id, type, name, attributes
Entity = tuple[str, str, str, Mapping[str, str]]

SHOP: tuple[Entity, ...] = (
    ("l1", "product", "red kettle 1.5 l", {"price": "30", "maker": "Acme", "seen": "2026-01-01"}),
    ("l2", "product", "blue kettle", {"price": "25"}),
    ("l3", "product", "bread knife", {"price": "12", "maker": "Sharp"}),
    ("b1", "brand", "Acme", {}),
)
CATALOGUE: tuple[Entity, ...] = (
    ("r1", "product", "Kettle, red, Acme", {"price": "29", "maker": "Acme", "seen": "2026-02-01"}),
    ("r2", "product", "Blue kettle by Acme", {"price": "25"}),
    ("r9", "product", "garden hose", {"price": "40"}),
    ("c1", "brand", "ACME", {}),
)
SHOP_RELATIONS = (("l1", "made by", "b1"), ("l2", "made by", "b1"), ("l1", "next to", "l2"))
CATALOGUE_RELATIONS = (("r1", "made by", "c1"), ("r1", "next to", "r9"))


def graph_of(entities: Iterable[Entity], relations: Iterable[tuple[str, str, str]] = ()) -> GraphBatch:
    """A graph of entities and relations."""
    rows = GraphRows()
    for key, kind, name, attributes in entities:
        rows.entity(key, kind=kind, name=name)
        for attribute, value in attributes.items():
            rows.attribute(key, Attribute(attribute, value))
    for relation in relations:
        rows.relation(*relation)
    return rows.batch()


def graph_artifact(store: Store, graph: GraphBatch, *, side: str) -> Ref:
    """A committed graph."""
    return committed(store, kg.GRAPH, graph.tables(), side=side)


def shop_and_catalogue(store: Store) -> tuple[Ref, Ref]:
    """The two small graphs, committed."""
    return (
        graph_artifact(store, graph_of(SHOP, SHOP_RELATIONS), side="left"),
        graph_artifact(store, graph_of(CATALOGUE, CATALOGUE_RELATIONS), side="right"),
    )


def clusters_artifact(
    store: Store, rows: Iterable[tuple[str, str, int]], history: Iterable[tuple[object, ...]] = (), **quality: object
) -> Ref:
    """Committed clusters: rows of id, side and entity."""
    members, events = kg.CLUSTERS.tables
    tables = {"members": table_of(members, list(rows)), "history": table_of(events, list(history))}
    return committed(store, kg.CLUSTERS, tables, **quality)


def pairs_artifact(store: Store, name: str, rows: Iterable[tuple[object, ...]], **quality: object) -> Ref:
    """A committed artifact with one table, of the contract of that name."""
    contract = next(one for one in kg.CONTRACTS if one.name == f"kg.{name}")
    (table,) = contract.tables
    tables: dict[str, pa.Table] = {table.name: table_of(table, list(rows))}
    return committed(store, contract, tables, **quality)
