"""Graphs from users' files: what every reader of them gathers, and the tables that it becomes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.contract import Table
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.kg import ATTRIBUTES, ENTITIES, RELATION_NAMES, RELATIONS

#: Values that are often equal to a key without meaning it.
_NUMBER = re.compile(r"\s*[-+]?[\d.,]*(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class GraphBatch:
    """A graph in the tables of its contract, and the rows that were quarantined.

    Entities are sorted by id, relations and attributes by their columns, each once: the order of an input's lines changes
    nothing. rows: number of the input's rows that are in it.
    """

    entities: pa.Table
    relation_names: pa.Table
    relations: pa.Table
    attributes: pa.Table
    quarantined: pa.Table
    reasons: dict[str, int]
    rows: int = 0

    def tables(self) -> dict[str, pa.Table]:
        """The tables of the contract, by name."""
        names = ("entities", "relation_names", "relations", "attributes")
        return {name: getattr(self, name) for name in names}


class GraphSource(Protocol):
    """A graph from outside the store; ``str`` is its name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of its content."""
        ...

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        ...

    def read(self) -> GraphBatch:
        """The graph, bad rows quarantined."""
        ...


@dataclass(frozen=True)
class Attribute:
    """A value of an entity as written, its datatype (an IRI) and its language, both empty for text."""

    key: str
    value: str
    datatype: str = ""
    language: str = ""


@dataclass
class GraphRows:
    """The entities, relations and attributes met so far; rows that name a suppressed key are left out.

    An entity that is given several types or names keeps the first of them in the order of their characters, so that their
    order does not matter. dropped: digests of the suppressed keys met. rows: number of an input's rows that were added.
    """

    quarantine: Quarantine = field(default_factory=Quarantine)
    suppressed: Suppressed | None = None
    dropped: set[str] = field(default_factory=set)
    rows: int = 0
    _entities: dict[str, tuple[str, str]] = field(default_factory=dict)
    _labels: dict[str, str] = field(default_factory=dict)
    _relations: set[tuple[str, str, str]] = field(default_factory=set)
    _attributes: set[tuple[str, Attribute]] = field(default_factory=set)

    def is_suppressed(self, *keys: str) -> bool:
        """Whether any of some keys is suppressed."""
        if self.suppressed is None:
            return False
        digests: set[str] = set().union(*(self.suppressed.match(key) for key in keys))
        self.dropped |= digests
        return bool(digests)

    def says_suppressed(self, text: str) -> bool:
        """Whether a text is a suppressed key; a number is not, which is often equal to one without meaning it."""
        return self.suppressed is not None and not _NUMBER.fullmatch(text) and self.is_suppressed(text)

    def names_suppressed(self, key: str, other: str) -> bool:
        """Whether a key is suppressed, or what it has says a suppressed one."""
        return self.is_suppressed(key) or self.says_suppressed(other)

    def mentions_suppressed(self, line: str) -> bool:
        """Whether a line that cannot be read mentions a suppressed key."""
        digests = self.suppressed.mentioned(line) if self.suppressed is not None else set()
        self.dropped |= digests
        return bool(digests)

    def entity(self, key: str, *, kind: str = "", name: str = "", label: str = "") -> None:
        """An entity with its type and name, if these are known; a label is preferred to a name."""
        if self.is_suppressed(key):
            return
        if self.suppressed is not None:
            kind, name, label = ("" if self.says_suppressed(text) else text for text in (kind, name, label))
        if label:
            self._labels[key] = _first(self._labels.get(key, ""), label)
        before = self._entities.get(key, ("", ""))
        self._entities[key] = (_first(before[0], kind), _first(before[1], name))

    def relation(self, head: str, name: str, tail: str) -> None:
        """A relation between two entities, which need not be known before."""
        if self.is_suppressed(head, tail):
            return
        self._entities.setdefault(head, ("", ""))
        self._entities.setdefault(tail, ("", ""))
        self._relations.add((head, name, tail))

    def attribute(self, key: str, attribute: Attribute) -> None:
        """An attribute of an entity, which need not be known before; none whose value says a suppressed key."""
        if self.is_suppressed(key):
            return
        self._entities.setdefault(key, ("", ""))
        if not self.says_suppressed(attribute.value):
            self._attributes.add((key, attribute))

    def has(self, key: str) -> bool:
        """Whether an entity was met."""
        return key in self._entities

    def batch(self) -> GraphBatch:
        """The tables of what was met."""
        keys = sorted(self._entities)
        entities = [(key, *self._entities[key]) for key in keys]
        row = {key: i for i, key in enumerate(keys)}
        names = sorted({name for _, name, _ in self._relations})
        number = {name: i for i, name in enumerate(names)}
        relations = sorted((row[head], number[name], row[tail]) for head, name, tail in self._relations)
        attributes = sorted((row[key], one.key, one.value, one.datatype, one.language) for key, one in self._attributes)
        return GraphBatch(
            table_of(ENTITIES, [(key, kind, self._labels.get(key, name)) for key, kind, name in entities]),
            table_of(RELATION_NAMES, [(name,) for name in names]),
            table_of(RELATIONS, relations),
            table_of(ATTRIBUTES, attributes),
            self.quarantine.table(),
            self.quarantine.reasons(),
            self.rows,
        )


def said_values(values: pa.ChunkedArray, suppressed: Suppressed | None) -> np.ndarray:
    """Which values say a suppressed key (bool); numbers do not, which are often equal without meaning it."""
    if suppressed is None:
        return np.zeros(len(values), dtype=bool)
    distinct = values.unique()
    said = [text for text in distinct.to_pylist() if not _NUMBER.fullmatch(text) and suppressed.match(text)]
    return np.asarray(pc.is_in(values, value_set=pa.array(said, pa.string())).to_numpy())


def _first(one: str, other: str) -> str:
    return min(one, other) if one and other else one or other


def table_of(table: Table, rows: Iterable[tuple[object, ...]]) -> pa.Table:
    """Rows in the columns of a table of a contract."""
    columns = list(zip(*rows, strict=True)) or [()] * len(table.fields)
    arrays = [pa.array(column, one.type) for column, one in zip(columns, table.fields, strict=True)]
    return pa.Table.from_arrays(arrays, names=[one.name for one in table.fields])
