"""The stage that joins two graphs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.joining import (
    LEFT,
    RIGHT,
    RULES,
    Facts,
    JoinedRelations,
    JoiningParams,
    Sources,
    Stated,
    conflicts_by,
    joined_facts,
    joined_relations,
    names_of,
    packed,
)
from fingerpost.tasks.stage import stage
from fingerpost.tasks.stage_run import StageRun

_SIDES = ("left", "right")


@stage(contracts.JOINED)
def join_graphs(run: StageRun, left: Ref, right: Ref, clusters: Ref, *, params: JoiningParams) -> None:
    """Joins the entities of each cluster; within one graph, ``right`` is ``left``."""
    graphs = _Graphs.read(run.store, left, right)
    ids, joined = _joined_rows(run.store, clusters, graphs)
    sources = Sources(joined, graphs.sides, graphs.dates(params.dated))
    entities = _entities(graphs, sources, ids, params)
    run.write("entities", entities)
    run.write("sources", _sources_table(graphs, joined))
    names, relations = graphs.relations(sources)
    run.write("relation_names", pa.table({"name": names}))
    run.write("relations", _relations_table(relations))
    attributes, rules, facts = _attributes(graphs, sources, params)
    run.write("attributes", attributes)
    run.write("rules", rules)
    run.quality = _figures(sources, relations, facts, count=len(ids)) | {
        "conflicts": pc.sum(rules["conflicts"]).as_py() or 0,
        "unused_rules": sorted(set(params.rules) - set(rules["attribute"].to_pylist())),
    }


@dataclass(frozen=True)
class _Graphs:
    """The tables of the graphs that are joined, the entities of the left one before those of the right one.

    sides: uint8 (n,), the side of each entity. begins: the first entity of each graph.
    """

    tables: tuple[dict[str, pa.Table], ...]
    sides: NDArray[np.uint8]
    begins: NDArray[np.int64]

    @classmethod
    def read(cls, store: Store, left: Ref, right: Ref) -> "_Graphs":
        """The graphs; one where both are the same."""
        opened = [store.open(ref, contracts.GRAPH) for ref in dict.fromkeys((left, right))]
        tables = tuple({table.name: graph.read(table.name) for table in contracts.GRAPH.tables} for graph in opened)
        sizes = [graph["entities"].num_rows for graph in tables]
        sides = np.repeat(np.array([LEFT, RIGHT][: len(sizes)], np.uint8), sizes)
        return cls(tables, sides, np.cumsum([0, *sizes]))

    def column(self, table: str, name: str) -> pa.Array:
        """A column of a table of all graphs, one after the other."""
        return pa.chunked_array(
            [chunk for graph in self.tables for chunk in graph[table][name].chunks]
        ).combine_chunks()

    def owners(self, table: str, name: str = "entity") -> NDArray[np.int64]:
        """A column of rows of entities, numbered through."""
        parts = zip(self.begins, self.tables, strict=False)
        return np.concatenate([graph[table][name].to_numpy().astype(np.int64) + begin for begin, graph in parts])

    def dates(self, attribute: str) -> NDArray[np.int64]:
        """int64 (n,): the latest value of an attribute of dates of each entity, numbered; -1 for none."""
        found = np.full(len(self.sides), -1, np.int64)
        if attribute:
            chosen = np.flatnonzero(
                pc.equal(self.column("attributes", "key"), attribute).to_numpy(zero_copy_only=False)
            )
            numbers, _ = _numbered(self.column("attributes", "value").take(pa.array(chosen)))
            np.maximum.at(found, self.owners("attributes")[chosen], numbers)
        return found

    def relations(self, sources: Sources) -> tuple[pa.Array, JoinedRelations]:
        """The names of relations of all graphs, sorted, and the joined relations."""
        numbers, names = _numbered(self.column("relation_names", "name"))
        begins = np.cumsum([0, *(graph["relation_names"].num_rows for graph in self.tables)])
        kinds = [
            numbers[begin + graph["relations"]["relation"].to_numpy().astype(np.int64)]
            for begin, graph in zip(begins, self.tables, strict=False)
        ]
        heads, tails = self.owners("relations", "head"), self.owners("relations", "tail")
        return names, joined_relations(np.stack([heads, np.concatenate(kinds), tails], axis=1), sources)


def _numbered(texts: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """The number of each text among the distinct ones in the order of their bytes, and these."""
    coded = texts.dictionary_encode()
    order = pc.sort_indices(coded.dictionary)
    places = np.empty(len(order), np.int64)
    places[order.to_numpy()] = np.arange(len(order))
    return places[coded.indices.to_numpy(zero_copy_only=False)], coded.dictionary.take(order)


def _joined_rows(store: Store, clusters: Ref, graphs: _Graphs) -> tuple[pa.Array, NDArray[np.int64]]:
    """The ids of joined entities, sorted, and the row of the one that each entity belongs to."""
    members = store.open(clusters, contracts.CLUSTERS).read("members")
    numbers, ids = _numbered(members["cluster"].combine_chunks())
    right = pc.equal(members["side"], "right").combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    rows, sizes = members["entity"].to_numpy().astype(np.int64), [*np.diff(graphs.begins), 0]
    known = rows < np.array(sizes)[right]
    joined = np.full(len(graphs.sides), -1, np.int64)
    joined[(graphs.begins[right] + rows)[known]] = numbers[known]
    if len(members) != len(joined) or (joined < 0).any():
        raise ValueError(
            f"clusters: expected one of each of {len(joined)} entities, got {int((joined >= 0).sum())} of them; identify"
            " the entities of these graphs"
        )
    return ids, joined


def _entities(graphs: _Graphs, sources: Sources, ids: pa.Array, params: JoiningParams) -> pa.Table:
    """The table of joined entities; their type is the left graph's, their name by its rule."""
    columns = {"id": ids}
    for column, rule in (("type", "left"), ("name", params.names)):
        numbers, texts = _numbered(graphs.column("entities", column))
        lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
        given = np.flatnonzero(lengths[numbers])
        stated = Stated(given, np.zeros(len(given), np.int64), numbers[given])
        facts = joined_facts(stated, sources, rules=np.array([RULES[rule]], np.uint8), lengths=lengths, one=True)
        found = names_of(facts, count=len(ids))
        columns[column] = pc.fill_null(texts.take(pa.array(found, mask=found < 0)), "")
    return pa.table(columns)


def _sources_table(graphs: _Graphs, joined: NDArray[np.int64]) -> pa.Table:
    """The entities that each joined entity comes from, sorted by it, side and row."""
    order = np.argsort(joined, kind="stable")
    taken = pa.array(order)
    return pa.table(
        {
            "joined": pa.array(joined[order].astype(np.uint32)),
            "side": pa.array(_SIDES).take(pa.array(graphs.sides[order] - 1)),
            "id": graphs.column("entities", "id").take(taken),
            "name": graphs.column("entities", "name").take(taken),
        }
    )


def _relations_table(found: JoinedRelations) -> pa.Table:
    columns = {"head": found.heads, "relation": found.relations, "tail": found.tails}
    return pa.table(
        {name: pa.array(column.astype(np.uint32)) for name, column in columns.items()} | {"sides": found.sides}
    )


def _attributes(graphs: _Graphs, sources: Sources, params: JoiningParams) -> tuple[pa.Table, pa.Table, Facts]:
    """The tables of joined attributes and of the rules for them, and the facts."""
    names = ("key", "language", "value", "datatype")
    coded = {name: _numbered(graphs.column("attributes", name)) for name in names}
    groups, keys, languages = _paired(coded["key"][0], coded["language"][0])
    values, texts, datatypes = _paired(coded["value"][0], coded["datatype"][0])
    by_key = np.array([params.rule_of(key) for key in coded["key"][1].to_pylist()], np.uint8)
    lengths = pc.utf8_length(coded["value"][1]).to_numpy().astype(np.int64)
    stated = Stated(graphs.owners("attributes"), groups, values)
    facts = joined_facts(stated, sources, rules=by_key[keys], lengths=lengths[texts])
    chosen = {
        "key": keys[facts.groups],
        "value": texts[facts.values],
        "datatype": datatypes[facts.values],
        "language": languages[facts.groups],
    }
    table = pa.table(
        {"joined": pa.array(facts.joined.astype(np.uint32))}
        | {name: coded[name][1].take(pa.array(rows)) for name, rows in chosen.items()}
        | {"sides": facts.sides, "kept": facts.kept}
    )
    return table, _rules_table(coded["key"][1], by_key, conflicts_by(keys, facts, count=len(by_key))), facts


def _paired(
    one: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The number of each row among the distinct pairs of two columns, and both columns of these pairs."""
    _, firsts, numbers = np.unique(packed(one, other), return_index=True, return_inverse=True)
    return numbers.astype(np.int64), one[firsts], other[firsts]


def _rules_table(attributes: pa.Array, rules: NDArray[np.uint8], counts: NDArray[np.int64]) -> pa.Table:
    named = {number: name for name, number in RULES.items()}
    return pa.table(
        {
            "attribute": attributes,
            "rule": pa.array([named[rule] for rule in rules.tolist()], pa.string()),
            "entities": counts[:, 0],
            "conflicts": counts[:, 1],
        }
    )


def _figures(sources: Sources, relations: JoinedRelations, facts: Facts, *, count: int) -> dict[str, Any]:
    """Counts of joined entities, of those of both graphs, and of relations and facts by the graphs that state them."""
    has = np.zeros((2, count), bool)
    has[sources.sides - 1, sources.joined] = True
    sizes = np.bincount(sources.joined, minlength=count)
    return {
        "entities": count,
        "of_both": int(has.all(axis=0).sum()),
        "of_several": int((sizes > 1).sum()),
        "left_only": int((has[0] & ~has[1]).sum()),
        "right_only": int((has[1] & ~has[0]).sum()),
        "relations": len(relations.heads),
        "relations_of_both": int((relations.sides == LEFT | RIGHT).sum()),
        "loops": int((relations.heads == relations.tails).sum()),
        "attributes": len(facts.joined),
        "attributes_of_both": int((facts.sides == LEFT | RIGHT).sum()),
        "kept": int(facts.kept.sum()),
    }
