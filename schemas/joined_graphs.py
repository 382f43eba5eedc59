"""The joined graph for other tools: N-Triples, N-Quads that say which graph states a fact, Parquet, and a graph batch."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fingerpost.schemas import kg
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.graph_exports import NAMESPACE, literal, named_node
from fingerpost.schemas.inputs.forms import Quarantine
from fingerpost.schemas.inputs.graphs import GraphBatch
from fingerpost.schemas.inputs.graphs_rdf import LABEL, TYPE
from fingerpost.schemas.partial_files import partial_of, writing
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: PROV-O: from a joined entity to each entity that it was made from.
DERIVED = "http://www.w3.org/ns/prov#wasDerivedFrom"
_BITS = {"left": 1, "right": 2}
#: Rows that become lines together.
_TOGETHER = 65_536


@dataclass(frozen=True)
class JoinedGraph:
    """The tables of a joined graph as they are stored, see `kg.JOINED`; entities are named by their rows."""

    entities: pa.Table
    sources: pa.Table
    relation_names: pa.Table
    relations: pa.Table
    attributes: pa.Table
    rules: pa.Table

    def batch(self) -> GraphBatch:
        """The graph of what is kept, for the exports of `graph_exports`."""
        kept = self.attributes.filter(self.attributes["kept"]).drop_columns(["sides", "kept"])
        return GraphBatch(
            self.entities,
            self.relation_names,
            self.relations.drop_columns(["sides"]),
            kept.rename_columns({"joined": "entity"}),
            Quarantine().table(),
            {},
        )

    def tables(self) -> dict[str, pa.Table]:
        """The tables for readers: with ids for rows, and a column per graph that says whether it states a fact."""
        ids, names = self.entities["id"], self.relation_names["name"]
        return {
            "entities": self.entities,
            "sources": pa.table(
                {
                    "id": ids.take(self.sources["joined"]),
                    "side": self.sources["side"],
                    "source": self.sources["id"],
                    "name": self.sources["name"],
                }
            ),
            "relations": pa.table(
                {
                    "head": ids.take(self.relations["head"]),
                    "relation": names.take(self.relations["relation"]),
                    "tail": ids.take(self.relations["tail"]),
                }
                | _stated(self.relations)
            ),
            "attributes": pa.table(
                {"id": ids.take(self.attributes["joined"])}
                | {name: self.attributes[name] for name in ("key", "value", "datatype", "language")}
                | _stated(self.attributes)
                | {"kept": self.attributes["kept"]}
            ),
            "rules": self.rules,
        }


def read_joined(store: Store, ref: Ref) -> JoinedGraph:
    """The joined graph of an artifact."""
    artifact = store.open(ref, kg.JOINED)
    return JoinedGraph(**{table.name: artifact.read(table.name) for table in kg.JOINED.tables})


def _stated(facts: pa.Table) -> dict[str, pa.Array]:
    sides = facts["sides"].to_numpy()
    return {side: pa.array((sides & bit) > 0) for side, bit in _BITS.items()}


def joined_triples(graph: JoinedGraph) -> Iterator[bytes]:
    """Lines in N-Triples: what is kept, and from each joined entity prov:wasDerivedFrom to the entities it is made from.

    Ids and names without a scheme become IRIs in ``NAMESPACE``; the entities of the graphs, in ``left/`` and ``right/``
    within it.
    """
    for lines in _facts(graph):
        yield "".join(f"{fact} .\n" for fact, _ in lines).encode()


def joined_quads(graph: JoinedGraph) -> Iterator[bytes]:
    """Lines in N-Quads: as N-Triples, each fact in the named graph of each side that states it.

    The named graphs are ``left`` and ``right`` in ``NAMESPACE``; what joining itself says is in no named graph.
    """
    labels = {bit: f" <{NAMESPACE}{side}>" for side, bit in _BITS.items()}
    of = [[label for bit, label in labels.items() if sides & bit] or [""] for sides in range(4)]
    for lines in _facts(graph):
        yield "".join(f"{fact}{label} .\n" for fact, sides in lines for label in of[sides]).encode()


def _facts(graph: JoinedGraph) -> Iterator[list[tuple[str, int]]]:
    """Blocks of facts as text, with the graphs that state them; 0 for what joining says."""
    nodes = [str(named_node(key)) for key in graph.entities["id"].to_pylist()]
    labelled = _labelled(graph)
    for begin, rows in _blocks(graph.entities):
        yield [
            fact
            for row, (_, kind, name) in enumerate(rows, begin)
            for fact in _own(nodes[row], kind, name, labelled[row])
        ]
    for _, rows in _blocks(graph.sources):
        yield [(f"{nodes[joined]} <{DERIVED}> {source_node(side, key)}", 0) for joined, side, key, _ in rows]
    relations = [str(named_node(name)) for name in graph.relation_names["name"].to_pylist()]
    for _, rows in _blocks(graph.relations):
        yield [(f"{nodes[head]} {relations[kind]} {nodes[tail]}", sides) for head, kind, tail, sides in rows]
    keys = {key: str(named_node(key)) for key in graph.attributes["key"].unique().to_pylist()}
    for _, rows in _blocks(graph.attributes.filter(graph.attributes["kept"])):
        yield [(f"{nodes[row]} {keys[key]} {literal(*value)}", sides) for row, key, *value, sides, _ in rows]


def _own(node: str, kind: str, name: str, is_labelled: bool) -> list[tuple[str, int]]:
    """The type and the name of a joined entity; the latter where no label is kept."""
    found = [(f"{node} <{TYPE}> {named_node(kind)}", 0)] if kind else []
    return found + ([(f"{node} <{LABEL}> {literal(name, '', '')}", 0)] if name and not is_labelled else [])


def _labelled(graph: JoinedGraph) -> list[bool]:
    """Whether each joined entity has a label that is kept."""
    found = np.zeros(graph.entities.num_rows, bool)
    labels = pc.and_(graph.attributes["kept"], pc.equal(graph.attributes["key"], LABEL))
    found[graph.attributes["joined"].filter(labels).to_numpy()] = True
    return found.tolist()


def _blocks(table: pa.Table) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """The first row and the rows of each block of a table."""
    for begin in range(0, table.num_rows, _TOGETHER):
        columns = (column.to_pylist() for column in table.slice(begin, _TOGETHER).columns)
        yield begin, list(zip(*columns, strict=True))


def source_node(side: str, key: str) -> str:
    """The IRI of an entity of a graph: its id where that is one, else in the namespace of the side."""
    found = named_node(key)
    own = str(found.value)
    return str(found) if own == key else f"<{NAMESPACE}{side}/{own.removeprefix(NAMESPACE)}>"


def write_joined(graph: JoinedGraph, path: Path) -> int:
    """Writes the graph as N-Triples (.nt), N-Quads (.nq), or to a new folder of Parquet files; the lines or rows written.

    InputError for another name, for a folder that is there already, and for one to write to that is not.
    """
    check_output(path)
    with writing(path), partial_of(path, folder=not path.suffix) as partial:
        written = _write_lines(graph, partial, path.suffix) if path.suffix else _write_folder(graph, partial)
        os.replace(partial, path)
    return written


def check_output(path: Path) -> None:
    """InputError for a path that `write_joined` refuses."""
    if path.suffix not in ("", ".nt", ".nq"):
        raise InputError(
            f"{path}: expected a name that ends in .nt or .nq, or that of a folder, got another; rename it"
        )
    if path.exists() and (path.is_dir() or not path.suffix):
        raise InputError(f"{path}: expected a {'file' if path.suffix else 'new folder'}, found one; name another")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: expected a folder to write to, found none there; create it")


def _write_lines(graph: JoinedGraph, path: Path, suffix: str) -> int:
    written = 0
    with path.open("wb") as file:
        for lines in (joined_quads if suffix == ".nq" else joined_triples)(graph):
            file.write(lines)
            written += lines.count(b"\n")
    return written


def _write_folder(graph: JoinedGraph, path: Path) -> int:
    tables = graph.tables()
    for name, table in tables.items():
        pq.write_table(table, path / f"{name}.parquet", compression="zstd")
    return sum(table.num_rows for table in tables.values())
