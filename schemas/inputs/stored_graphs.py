"""Graphs and links whose inputs are gone, rebuilt from the store."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.graph_links import LINK_SCHEMA, LinkBatch
from fingerpost.schemas.inputs.graphs import GraphBatch, said_values
from fingerpost.schemas.inputs.keyed_files import with_digests
from fingerpost.schemas.inputs.stored import KeyTexts, StoredSource, holding, quarantined_without
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class StoredGraph(StoredSource):
    """A missing graph, rebuilt from the store with its quarantine, without suppressed entities."""

    def check(self) -> None:
        """Nothing: what is committed is there."""

    def read(self) -> GraphBatch:
        """The other entities, their relations and attributes.

        What nothing is known of but that a suppressed entity leads to it is left out along with it.
        """
        opened = self.store.open(self.imported, kg.GRAPH)
        tables = {table.name: opened.read(table.name) for table in kg.GRAPH.tables}
        entities = tables["entities"]
        gone = np.array(holding(entities, self.suppressed), dtype=bool)
        heads, names, tails = (tables["relations"][name].to_numpy() for name in ("head", "relation", "tail"))
        owners = tables["attributes"]["entity"].to_numpy()
        kept_relation = ~gone[heads] & ~gone[tails]
        kept_attribute = ~gone[owners] & ~said_values(tables["attributes"]["value"], self.suppressed)
        known = np.zeros(len(gone), dtype=bool)
        known[heads[kept_relation]] = known[tails[kept_relation]] = known[owners[kept_attribute]] = True
        led_to = np.zeros(len(gone), dtype=bool)
        led_to[tails[gone[heads]]] = True
        gone |= led_to & ~known
        rows, relation = np.cumsum(~gone) - 1, np.unique(names[kept_relation])
        relations = np.stack([rows[heads], np.searchsorted(relation, names), rows[tails]])[:, kept_relation]
        attributes = tables["attributes"].filter(pa.array(kept_attribute))
        bad, reasons = quarantined_without(self.store, self.imported, self.suppressed)
        for place, name in enumerate(entities.column_names[1:], start=1):
            said = pa.array(said_values(entities[name], self.suppressed))
            entities = entities.set_column(place, name, pc.if_else(said, "", entities[name]))
        return GraphBatch(
            entities.filter(pa.array(~gone)),
            tables["relation_names"].take(pa.array(relation)),
            pa.table(
                [pa.array(column.astype(np.uint32)) for column in relations], names=tables["relations"].column_names
            ),
            attributes.set_column(0, "entity", pa.array(rows[owners[kept_attribute]].astype(np.uint32))),
            bad,
            reasons,
            int(opened.quality["rows"]),
        )


@dataclass(frozen=True)
class StoredLinks(StoredSource):
    """Missing links, rebuilt from the store with their splits and sources, without those of suppressed entities."""

    def check(self) -> None:
        """Nothing: what is committed is there."""

    def identity(self) -> str:
        """The identities of the missing inputs with the digests of the suppressed keys."""
        return with_digests(
            digest_of(_sources(self.store, self.imported)), sorted(d for d, _ in self.suppressed.entries)
        )

    def read(self) -> LinkBatch:
        """The links by ids; rows that were quarantined are not read again."""
        rows = self.store.open(self.imported, kg.LINKS).read("links")
        ids = [
            self.store.open(side, kg.GRAPH).read("entities")["id"].take(rows[name])
            for name, side in zip(("left", "right"), _sides(self.store, self.imported), strict=True)
        ]
        columns = [np.arange(rows.num_rows), *ids, *(rows[name] for name in ("label", "split", "source"))]
        table = pa.table(columns, schema=LINK_SCHEMA)
        hits = holding(table, self.suppressed, ("left", "right"))
        return LinkBatch(table.filter(pa.array([not hit for hit in hits], pa.bool_())), Quarantine())


class StoredGraphs:
    """The graphs and links of an alignment from the store, in place of inputs of which one is missing.

    imported: the links, whose inputs are the graphs. left, right: sources; no right one within one graph. links: none where
    there were none.
    """

    def __init__(self, store: Store, imported: Ref, suppressed: Suppressed) -> None:
        left, right = _sides(store, imported)
        self.left = StoredGraph(store, left, suppressed)
        self.right = StoredGraph(store, right, suppressed) if right != left else None
        known = StoredLinks(store, imported, suppressed)
        self.links: tuple[StoredLinks, ...] = (known,) if _sources(store, imported) else ()


def texts_about(store: Store, ref: Ref, suppressed: Suppressed) -> KeyTexts:
    """The names and values of suppressed entities of a graph, and those of all others; nothing of another artifact."""
    if ref.name != kg.GRAPH.name:
        return KeyTexts()
    opened = store.open(ref, kg.GRAPH)
    entities, attributes = opened.read("entities"), opened.read("attributes")
    gone = np.array(holding(entities, suppressed), dtype=bool)
    owned = gone[attributes["entity"].to_numpy()]
    sides = [
        pa.chunked_array(
            [*entities["name"].filter(rows).chunks, *attributes["value"].filter(others).chunks], pa.string()
        )
        for rows, others in ((pa.array(gone), pa.array(owned)), (pa.array(~gone), pa.array(~owned)))
    ]
    return KeyTexts(tuple(filter(None, sides[0].unique().to_pylist())), (sides[1].unique(),))


def _sides(store: Store, links: Ref) -> tuple[Ref, Ref]:
    """The graphs that links are between."""
    inputs = store.manifest(links).identity["inputs"]
    return Ref.parse(inputs["left"]["ref"]), Ref.parse(inputs["right"]["ref"])


def _sources(store: Store, links: Ref) -> list[str]:
    """The identities of the files that links were read from."""
    return [str(given["source"]) for given in store.manifest(links).identity["inputs"].values() if "source" in given]
