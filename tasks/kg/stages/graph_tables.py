"""What stages read of a graph: its entities, their texts and neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.kg.graph import RelationGraph, relation_graph
from fingerpost.tasks.kg.texts import entity_texts, names_around, neighbor_texts
from fingerpost.tasks.recent import Recent

#: Bytes of the graphs that are kept, and those in memory for each that is stored.
_KEPT_BYTES, _EXPANSION = 2**30, 10


def is_within(members: Mapping[str, Ref]) -> bool:
    """Whether one graph is aligned with itself, by the members of an alignment: it is both sides, or the only one."""
    return members.get("right", members["left"]) == members["left"]


@dataclass(frozen=True)
class GraphTables:
    """A committed graph whose tables are read when they are needed."""

    artifact: Artifact

    @staticmethod
    def open(store: Store, graph: Ref) -> "GraphTables":
        """The tables of a graph; what was read of it is kept for further shards."""
        artifact = store.open(graph, contracts.GRAPH)
        content = tuple(entry.sha256 for entry in artifact.manifest.files)
        return _recent.get((store.url, graph, content), lambda: GraphTables(artifact))

    def __len__(self) -> int:
        return self.artifact.rows("entities")

    @cached_property
    def entities(self) -> pa.Table:
        """id, type and name of each entity."""
        return self.artifact.read("entities")

    @cached_property
    def names(self) -> list[str]:
        """The name of each entity, empty for none."""
        return list(self.entities["name"].to_pylist())

    @cached_property
    def types(self) -> list[str]:
        """The type of each entity, empty for none."""
        return list(self.entities["type"].to_pylist())

    @cached_property
    def attributes(self) -> pa.Table:
        """entity, key, value, datatype and language, by entity."""
        return self.artifact.read("attributes")

    @cached_property
    def relations(self) -> RelationGraph:
        """The graph in both directions; its types are all 0."""
        rows = self.artifact.read("relations")
        triples = np.stack([rows[name].to_numpy() for name in ("head", "relation", "tail")], axis=1)
        return relation_graph(triples, nodes=len(self), relations=self.artifact.rows("relation_names"))

    @property
    def has_relations(self) -> bool:
        """Whether any entities are related."""
        return self.artifact.rows("relations") > 0

    def texts(self, begin: int, end: int) -> list[str]:
        """The text of each entity from ``begin`` to ``end`` (exclusive)."""
        owners = self.attributes["entity"].to_numpy()
        first, last = np.searchsorted(owners, (begin, end)).tolist()
        values = self.attributes["value"].slice(first, last - first).to_pylist()
        return entity_texts(self.names[begin:end], owners[first:last].astype(np.int64) - begin, values)

    def texts_of(self, rows: NDArray[np.integer]) -> list[str]:
        """The texts of some entities, as `texts` has them; rows ascend."""
        place = np.full(len(self), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        owners = place[self.attributes["entity"].to_numpy()]
        values = self.attributes["value"].filter(pa.array(owners >= 0)).to_pylist()
        names = self.entities["name"].take(pa.array(rows)).to_pylist()
        return entity_texts(names, owners[owners >= 0], values)

    def around(self, begin: int, end: int, *, most: int) -> list[str]:
        """The names of up to ``most`` neighbours of each entity from ``begin`` to ``end`` (exclusive)."""
        return neighbor_texts(self.relations, self.names, begin, end, most=most)

    def around_of(self, rows: NDArray[np.integer], *, most: int) -> list[str]:
        """The names around some entities, as `around` has them."""
        return names_around(self.relations, self.names, rows, most=most)

    def values(self, key: str) -> tuple[NDArray[np.integer], list[str]]:
        """The entities that have an attribute, and its values; ``name`` and ``id`` are those of entities."""
        if key in ("name", "id"):
            return np.arange(len(self)), list(self.entities[key].to_pylist())
        rows = self.attributes.filter(pc.equal(self.attributes["key"], key))
        return rows["entity"].to_numpy(), list(rows["value"].to_pylist())


def _expanded(tables: GraphTables) -> int:
    return _EXPANSION * sum(entry.bytes for entry in tables.artifact.manifest.files)


_recent: Recent[tuple[str, Ref, tuple[str, ...]], GraphTables] = Recent(_KEPT_BYTES, _expanded)
