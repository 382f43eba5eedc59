"""The stored parts of an alignment, looked up by entity: the graphs by ids, and the compared pairs of an entity."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

SIDES = ("left", "right")
MATCHES = pa.schema(
    [
        ("left", pa.string()),
        ("right", pa.string()),
        ("left_name", pa.string()),
        ("right_name", pa.string()),
        ("probability", pa.float32()),
        ("joined", pa.string()),
    ]
)


@dataclass(frozen=True)
class StoredGraph:
    """A committed graph; entities are looked up by their ids, all else by their rows."""

    store: Store
    ref: Ref

    @cached_property
    def entities(self) -> pa.Table:
        """The entities: id, type, name."""
        return self._read("entities")

    def row_of(self, key: str) -> int | None:
        """The row of an entity; None for an unknown id."""
        row = int(pc.index(self.entities["id"], pa.scalar(key, pa.string())).as_py())
        return row if row >= 0 else None

    def rows_of(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """int64 (n,): the rows of entities, -1 for unknown ids."""
        found = pc.index_in(pa.array(keys, pa.string()), value_set=self.entities["id"].combine_chunks())
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def ids(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The ids of rows."""
        return self.entities["id"].take(pa.array(rows, pa.int64())).to_pylist()

    def entity(self, row: int) -> dict[str, str]:
        """The id, the type and the name of an entity."""
        found: dict[str, str] = self.entities.slice(row, 1).to_pylist()[0]
        return found

    def values(self, row: int) -> dict[str, list[str]]:
        """The values of an entity's attributes, in their stored order."""
        found: dict[str, list[str]] = {}
        for one in self._attributes.slice(*self._range("attributes", row)).to_pylist():
            found.setdefault(one["key"], []).append(one["value"])
        return found

    def relations(self, row: int) -> list[tuple[str, bool, int]]:
        """The relations of an entity: name, whether it leads to the entity, and the row of the other one; sorted."""
        names = self._relation_names
        out = self._relations.slice(*self._range("relations", row)).to_pylist()
        found = [(names[one["relation"]], False, int(one["tail"])) for one in out]
        into = self._relations.filter(pc.equal(self._relations["tail"], pa.scalar(row, pa.uint32()))).to_pylist()
        return sorted(found + [(names[one["relation"]], True, int(one["head"])) for one in into])

    def _read(self, table: str) -> pa.Table:
        return self.store.open(self.ref, kg.GRAPH).read(table)

    @cached_property
    def _attributes(self) -> pa.Table:
        return self._read("attributes").sort_by([("entity", "ascending"), ("key", "ascending"), ("value", "ascending")])

    @cached_property
    def _relations(self) -> pa.Table:
        return self._read("relations").sort_by(
            [("head", "ascending"), ("relation", "ascending"), ("tail", "ascending")]
        )

    @cached_property
    def _relation_names(self) -> list[str]:
        return self._read("relation_names")["name"].to_pylist()

    @cached_property
    def _owners(self) -> dict[str, NDArray[np.uint32]]:
        return {"attributes": self._attributes["entity"].to_numpy(), "relations": self._relations["head"].to_numpy()}

    def _range(self, table: str, row: int) -> tuple[int, int]:
        """The first row of an entity in a table that is sorted by it, and the number of its rows."""
        begin, end = np.searchsorted(self._owners[table], [row, row + 1])
        return int(begin), int(end - begin)


@dataclass(frozen=True)
class ComparedPairs:
    """The candidate pairs of an alignment, with what proposed them and their scores.

    left, right: uint32 (m,), rows of entities. similarities: float32 (m,). sources: uint8 (m,), bits. scores: float32 (m,),
    log odds before calibration.
    """

    left: NDArray[np.uint32]
    right: NDArray[np.uint32]
    similarities: NDArray[np.float32]
    sources: NDArray[np.uint8]
    scores: NDArray[np.float32]

    @classmethod
    def read(cls, store: Store, members: Mapping[str, Ref]) -> "ComparedPairs":
        """Those of a release's members; scores have the rows of candidates, in the same order."""
        pairs = store.open(members["candidates"], kg.CANDIDATES).read("candidates")
        scores = store.open(members["scores"], kg.SCORES).read("scores")
        left, right, similarities, sources = (
            pairs[name].to_numpy() for name in ("left", "right", "similarity", "sources")
        )
        return cls(left, right, similarities, sources, scores["score"].to_numpy())

    @cached_property
    def _is_sorted(self) -> bool:
        """Whether the pairs of a left entity stand together, as blocking writes them."""
        return bool((self.left[1:] >= self.left[:-1]).all())

    def of(self, side: str, row: int) -> NDArray[np.int64]:
        """int64 (n,): the places of the pairs of an entity, the highest score first, ties by the other entity."""
        mine, other = (self.left, self.right) if side == "left" else (self.right, self.left)
        if side == "left" and self._is_sorted:
            places = np.arange(*np.searchsorted(mine, [row, row + 1]))
        else:
            places = np.flatnonzero(mine == row)
        return places[np.lexsort((other[places], -self.scores[places]))]

    def place(self, left: int, right: int) -> int | None:
        """The place of a pair; None where it was not compared."""
        places = np.flatnonzero((self.left == left) & (self.right == right))
        return int(places[0]) if len(places) else None


@dataclass(frozen=True)
class StoredMatches:
    """The accepted pairs of a release, and the id of the joined entity of each entity."""

    store: Store
    members: Mapping[str, Ref]

    @cached_property
    def pairs(self) -> pa.Table:
        """The rows of left and right entities with their probability, the highest first, ties by rows."""
        found = self.store.open(self.members["matches"], kg.MATCHES).read("matches")
        return found.sort_by([("probability", "descending"), ("left", "ascending"), ("right", "ascending")])

    def of(self, side: str, row: int) -> Iterator[tuple[int, int, float]]:
        """The matches of an entity: left row, right row, probability."""
        found = self.pairs.filter(pc.equal(self.pairs[side], pa.scalar(row, pa.uint32())))
        return zip(*(found[name].to_pylist() for name in ("left", "right", "probability")), strict=True)

    def partners(self, side: str, row: int) -> dict[int, float]:
        """The rows that an entity of a side is matched with, and the probabilities."""
        return {right if side == "left" else left: probability for left, right, probability in self.of(side, row)}

    @cached_property
    def _clusters(self) -> dict[str, pa.Table]:
        members = self.store.open(self.members["clusters"], kg.CLUSTERS).read("members")
        return {side: members.filter(pc.equal(members["side"], side)) for side in SIDES}

    def cluster_of(self, side: str, row: int) -> str:
        """The id of the joined entity of an entity."""
        mine = self._clusters[side]
        return str(mine["cluster"][pc.index(mine["entity"], pa.scalar(row, pa.uint32())).as_py()])

    def together(self, cluster: str) -> list[tuple[str, int]]:
        """The side and the row of each entity of a joined entity."""
        found = []
        for side, mine in self._clusters.items():
            rows = mine.filter(pc.equal(mine["cluster"], cluster))["entity"].to_pylist()
            found += [(side, row) for row in sorted(rows)]
        return found

    def table(self, left: StoredGraph, right: StoredGraph) -> pa.Table:
        """The matches as ids, names, probability and id of the joined entity, in the columns of ``MATCHES``."""
        rows = {side: graph.entities.take(self.pairs[side]) for side, graph in zip(SIDES, (left, right), strict=True)}
        mine = self._clusters["left"]
        clusters = mine["cluster"].take(pc.index_in(self.pairs["left"], value_set=mine["entity"].combine_chunks()))
        columns: list[Any] = [rows[side]["id"] for side in SIDES] + [rows[side]["name"] for side in SIDES]
        return pa.table([*columns, self.pairs["probability"], clusters], schema=MATCHES)


def structure_of(store: Store, structure: Ref, left: int, right: int) -> float | None:
    """The probability of a pair by structure alone; None where it has none."""
    pairs = store.open(structure, kg.STRUCTURE).read("pairs")
    rows = zip(SIDES, (left, right), strict=True)
    mine = pc.and_(*(pc.equal(pairs[side], pa.scalar(row, pa.uint32())) for side, row in rows))
    found = pairs.filter(mine)["probability"].to_pylist()
    return float(found[0]) if found else None
