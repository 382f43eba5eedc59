"""Clusters as the stage writes them, from version to version."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import table_of
from fingerpost.schemas.inputs.stored_clusters import ClustersBefore
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.calibration import uncalibrated
from fingerpost.tasks.kg.clusters import ClusterParams
from fingerpost.tasks.kg.stages.clusters import identify_entities
from tests.support.suggestion_artifacts import committed
from tests.unit.autocomplete.logs import world

Pairs = Mapping[tuple[str, str], float]
_numbers = itertools.count()


class Versions:
    """Versions of an alignment, whose graphs are their keys in the given order of rows."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.made: list[tuple[Ref, Ref, Ref]] = []

    def graph(self, keys: Sequence[str]) -> Ref:
        tables = {table.name: table_of(table, []) for table in kg.GRAPH.tables}
        tables["entities"] = table_of(kg.ENTITIES, [(key, "thing", key) for key in keys])
        return committed(self.env.store, kg.GRAPH, tables, number=next(_numbers))

    def pairs(self, contract, rows: Mapping[tuple[int, int], float]) -> Ref:
        (table,) = contract.tables
        tables = {table.name: table_of(table, [(*pair, rows[pair]) for pair in sorted(rows)])}
        return committed(self.env.store, contract, tables, number=next(_numbers))

    def calibration(self) -> Ref:
        rows = [("f1", 0.5, True), ("far", 0.9, False)]
        thresholds = [
            (name, 0.0, value, value, value, "given", 1, 1.0, 1.0, 1.0, 1.0, True, chosen)
            for name, value, chosen in rows
        ]
        tables = {
            "calibration": tensors_to_arrow(uncalibrated().tensors),
            "thresholds": table_of(kg.CALIBRATION.table("thresholds"), thresholds),
        }
        return committed(self.env.store, kg.CALIBRATION, tables, number=next(_numbers))

    def links(self, rows: Sequence[tuple[int, int]]) -> Ref:
        said = [(*row, 0, "", "reviewed") for row in rows]
        return committed(self.env.store, kg.LINKS, {"links": table_of(kg.LINKS.tables[0], said)}, number=next(_numbers))

    def make(
        self,
        left: Sequence[str],
        right: Sequence[str] | None,
        scored: Pairs,
        *,
        known: bool = True,
        apart: Sequence[tuple[int, int]] = (),
        logged: bool = True,
    ) -> Ref:
        """A version with these keys and probabilities of pairs; of one table where there are no right keys."""
        graphs = [self.graph(left)]
        graphs.append(graphs[0] if right is None else self.graph(right))
        others = left if right is None else right
        rows = {}
        for (one, other), value in scored.items():
            pair = left.index(one), others.index(other)
            rows[pair if right is not None else (min(pair), max(pair))] = value
        matches = self.pairs(kg.MATCHES, {pair: value for pair, value in rows.items() if value >= 0.5})
        scores = self.pairs(kg.SCORES, {pair: float(np.log(value / (1 - value))) for pair, value in rows.items()})
        before = [ClustersBefore(self.env.store, *self.made[-1], logged)] if known and self.made else []
        ref = identify_entities.execute(
            self.env,
            *graphs,
            matches,
            scores,
            self.calibration(),
            self.links(apart),
            *before,
            params=ClusterParams(),
        )
        self.made.append((*graphs, ref))
        return ref

    def members(self) -> dict[tuple[str, str], str]:
        """The id of each side's keys in the newest version."""
        left, right, clusters = self.made[-1]
        keys = {
            side: self.env.store.open(ref, kg.GRAPH).read("entities")["id"].to_pylist()
            for side, ref in (("left", left), ("right", right))
        }
        rows = self.env.store.open(clusters, kg.CLUSTERS).read("members").to_pylist()
        return {(row["side"], keys[row["side"]][row["entity"]]): row["cluster"] for row in rows}

    def history(self) -> list[tuple[str, str, str, int]]:
        rows = self.env.store.open(self.made[-1][2], kg.CLUSTERS).read("history").to_pylist()
        return [tuple(row.values()) for row in rows]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(world(tmp_path))


def test_every_entity_has_an_id_and_those_of_a_match_have_one(versions: Versions) -> None:
    ref = versions.make(["a", "b", "c"], ["a", "x"], {("a", "x"): 0.9, ("b", "a"): 0.3})
    found = versions.members()
    assert list(found) == [("left", "a"), ("left", "b"), ("left", "c"), ("right", "a"), ("right", "x")]
    assert found["left", "a"] == found["right", "x"]
    assert len(set(found.values())) == 4
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in found.values())
    assert versions.history() == []
    quality = versions.env.store.manifest(ref).quality
    assert (quality["clusters"], quality["joined"], quality["largest"], quality["moved_share"]) == (4, 1, 2, 0.0)


def test_the_order_of_rows_changes_no_id(versions: Versions) -> None:
    scored = {("a", "x"): 0.9, ("c", "y"): 0.8}
    versions.make(["a", "b", "c"], ["x", "y"], scored, known=False)
    before = versions.members()
    versions.make(["c", "a", "b"], ["y", "x"], scored, known=False)
    assert versions.members() == before


def test_ids_stay_while_rows_move_and_entities_come_and_go(versions: Versions) -> None:
    versions.make(["a", "b", "c"], ["x", "y"], {("a", "x"): 0.9, ("b", "y"): 0.8})
    before = versions.members()
    ref = versions.make(["0", "b", "a"], ["y", "z", "x"], {("a", "x"): 0.7, ("b", "y"): 0.8, ("0", "z"): 0.9})
    after = versions.members()
    kept = set(before) & set(after)
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert versions.history() == [
        ("gone", before["left", "c"], "", 1),
        ("new", "", after["left", "0"], 0),
    ]
    quality = versions.env.store.manifest(ref).quality
    assert (quality["kept_share"], quality["moved_share"], quality["new"], quality["gone"]) == (1.0, 0.0, 1, 1)


def test_merges_splits_and_moves_are_each_logged_once(versions: Versions) -> None:
    versions.make(["a", "b", "c"], ["x", "y", "z"], {("a", "x"): 0.9, ("b", "y"): 0.9})
    first = versions.members()
    # c and z come together, a and x part, y changes its partner.
    ref = versions.make(["a", "b", "c"], ["x", "y", "z"], {("c", "z"): 0.9, ("a", "y"): 0.9})
    second = versions.members()
    assert second["left", "a"] == second["right", "y"] == first["left", "a"]
    assert second["left", "b"] == first["left", "b"]
    assert second["left", "c"] == second["right", "z"] == first["left", "c"]
    assert second["right", "x"] not in first.values()
    assert versions.history() == [
        ("merged", first["right", "z"], first["left", "c"], 1),
        ("moved", first["left", "b"], first["left", "a"], 1),
        ("split", first["left", "a"], second["right", "x"], 1),
    ]
    assert versions.env.store.manifest(ref).quality["moved_share"] == 0.5


def test_a_part_that_leaves_never_takes_an_id_of_another(versions: Versions) -> None:
    # The id of all three comes from a's key; when a leaves, the others keep it, and a must get another.
    chain = {("a", "b"): 0.9, ("b", "c"): 0.9}
    versions.make(["a", "b", "c"], None, chain)
    before = versions.members()
    assert len(set(before.values())) == 1
    versions.make(["a", "b", "c"], None, {("b", "c"): 0.9})
    after = versions.members()
    assert after["left", "b"] == after["left", "c"] == before["left", "a"]
    assert after["left", "a"] != before["left", "a"]
    versions.make(["a", "b", "c"], None, {("b", "c"): 0.9})
    assert versions.members() == after
    assert versions.history() == []


def test_in_one_table_refused_pairs_part_what_one_wrong_match_joins(versions: Versions) -> None:
    groups = (("a", "b", "c"), ("x", "y", "z"))
    scored = {(i, j): 0.95 for group in groups for i in group for j in group if i < j}
    ref = versions.make([*groups[0], *groups[1]], None, {**scored, ("c", "x"): 0.6, ("a", "z"): 0.01, ("b", "y"): 0.02})
    found = versions.members()
    assert {key for _, key in found} == {*groups[0], *groups[1]}
    assert {tuple(sorted(key for (_, key), name in found.items() if name == one)) for one in found.values()} == {
        *groups
    }
    assert versions.env.store.manifest(ref).quality["largest"] == 3


def test_what_a_reviewer_says_are_two_is_never_one(versions: Versions) -> None:
    scored = {(i, j): 0.95 for i in "abc" for j in "abc" if i < j}
    del scored["a", "c"]
    versions.make(["a", "b", "c"], None, scored, known=False)
    assert len(set(versions.members().values())) == 1
    versions.make(["a", "b", "c"], None, scored, known=False, apart=[(0, 2)])
    found = versions.members()
    assert found["left", "a"] != found["left", "c"]


def test_what_is_rewritten_keeps_its_ids_and_says_nothing_of_what_is_gone(versions: Versions) -> None:
    versions.make(["a", "b", "c"], ["x"], {("b", "x"): 0.9})
    before = versions.members()
    versions.make(["b", "c"], ["x"], {("b", "x"): 0.9}, logged=False)
    assert versions.members() == {key: name for key, name in before.items() if key != ("left", "a")}
    assert versions.history() == []


def test_the_version_before_is_no_part_of_the_lineage(versions: Versions) -> None:
    versions.make(["a"], ["x"], {("a", "x"): 0.9})
    ref = versions.make(["a"], ["x"], {("a", "x"): 0.9})
    inputs = versions.env.store.manifest(ref).identity["inputs"]
    assert [name for name, given in inputs.items() if "ref" not in given] == ["before_00"]
    assert inputs["before_00"]["source"] == ClustersBefore(versions.env.store, *versions.made[0]).identity()


def test_ids_of_more_than_a_million_clusters_are_one_array() -> None:
    from fingerpost.tasks.kg.stages.clusters import _or_empty, _texts_of

    ids = np.arange(2**20 + 2, dtype=np.uint64)
    assert isinstance(_texts_of(ids), pa.Array)
    assert _or_empty(ids, np.array([-1, 2**20 + 1])).to_pylist() == ["", f"{2**20 + 1:016x}"]
