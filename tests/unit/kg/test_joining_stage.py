"""The joined graph as the stage writes it: ids, names, conflicts and what states each fact."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fingerpost.schemas import kg
from fingerpost.schemas.inputs.graphs import Attribute, GraphRows
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.joining import JoiningParams
from fingerpost.tasks.kg.stages.joining import join_graphs
from tests.support.alignments import clusters_artifact, graph_artifact, shop_and_catalogue
from tests.unit.autocomplete.logs import world

#: l1 and r1, l2 and r2, b1 and c1 are one; entities of a graph are numbered in the order of their ids.
CLUSTERS = [
    ("k3", "left", 1),
    ("k3", "right", 1),
    ("k1", "left", 2),
    ("k1", "right", 2),
    ("k4", "left", 3),
    ("k2", "right", 3),
    ("k5", "left", 0),
    ("k5", "right", 0),
]


def joined(env: Environment, params: JoiningParams = JoiningParams()) -> Ref:
    left, right = shop_and_catalogue(env.store)
    return join_graphs.execute(env, left, right, clusters_artifact(env.store, CLUSTERS), params=params)


def table(env: Environment, ref: Ref, name: str) -> list[dict[str, Any]]:
    return env.store.open(ref, kg.JOINED).read(name).to_pylist()  # type: ignore[no-any-return]


def values(env: Environment, ref: Ref, key: str) -> dict[tuple[int, str], tuple[int, bool]]:
    rows = table(env, ref, "attributes")
    return {(row["joined"], row["value"]): (row["sides"], row["kept"]) for row in rows if row["key"] == key}


def test_entities_are_joined_under_their_ids_with_all_that_is_stated(tmp_path: Path) -> None:
    env = world(tmp_path)
    ref = joined(env)
    assert [tuple(row.values()) for row in table(env, ref, "entities")] == [
        ("k1", "product", "blue kettle"),
        ("k2", "product", "garden hose"),
        ("k3", "product", "red kettle 1.5 l"),
        ("k4", "product", "bread knife"),
        ("k5", "brand", "Acme"),
    ]
    sources = [tuple(row.values()) for row in table(env, ref, "sources")]
    assert sources[:3] == [
        (0, "left", "l2", "blue kettle"),
        (0, "right", "r2", "Blue kettle by Acme"),
        (1, "right", "r9", "garden hose"),
    ]
    assert values(env, ref, "price") == {
        (0, "25"): (3, True),
        (1, "40"): (2, True),
        (2, "30"): (1, True),
        (2, "29"): (2, True),
        (3, "12"): (1, True),
    }
    names = [row["name"] for row in table(env, ref, "relation_names")]
    relations = {(r["head"], names[r["relation"]], r["tail"]): r["sides"] for r in table(env, ref, "relations")}
    assert relations == {(2, "made by", 4): 3, (0, "made by", 4): 1, (2, "next to", 0): 1, (2, "next to", 1): 2}
    assert table(env, ref, "rules") == [
        {"attribute": "maker", "rule": "all", "entities": 2, "conflicts": 0},
        {"attribute": "price", "rule": "all", "entities": 4, "conflicts": 1},
        {"attribute": "seen", "rule": "all", "entities": 1, "conflicts": 1},
    ]
    quality = env.store.manifest(ref).quality
    assert (quality["entities"], quality["of_both"], quality["left_only"], quality["right_only"]) == (5, 3, 1, 1)
    assert (quality["attributes"], quality["kept"], quality["conflicts"]) == (9, 9, 2)
    assert (quality["relations_of_both"], quality["loops"], quality["unused_rules"]) == (1, 0, [])


@pytest.mark.parametrize(
    ("rule", "kept"), [("left", "30"), ("right", "29"), ("newest", "29"), ("longest", "30"), ("most frequent", "30")]
)
def test_a_declared_rule_decides_a_conflict_and_what_it_drops_is_still_there(
    tmp_path: Path, rule: str, kept: str
) -> None:
    env = world(tmp_path)
    ref = joined(env, JoiningParams({"price": rule, "colour": "left"}, dated="seen"))
    found = values(env, ref, "price")
    assert {value for (entity, value), (_, is_kept) in found.items() if entity == 2 and is_kept} == {kept}
    assert found[0, "25"] == (3, True)
    assert {value for entity, value in found if entity == 2} == {"29", "30"}
    assert env.store.manifest(ref).quality["unused_rules"] == ["colour"]


def test_the_name_follows_its_own_rule(tmp_path: Path) -> None:
    env = world(tmp_path)
    names = [row["name"] for row in table(env, joined(env, JoiningParams(names="longest")), "entities")]
    assert names == ["Blue kettle by Acme", "garden hose", "Kettle, red, Acme", "bread knife", "Acme"]


def attributes_of(*given: tuple[str, Attribute]) -> Any:
    rows = GraphRows()
    for key, attribute in given:
        rows.attribute(key, attribute)
    return rows.batch()


def test_languages_do_not_conflict_and_datatypes_do(tmp_path: Path) -> None:
    env = world(tmp_path)
    sides: Mapping[str, Any] = {
        "left": attributes_of(("a", Attribute("label", "Wien", "", "de")), ("a", Attribute("size", "5"))),
        "right": attributes_of(
            ("z", Attribute("label", "Vienna", "", "en")), ("z", Attribute("size", "5", "http://www.w3.org/x#int"))
        ),
    }
    left, right = (graph_artifact(env.store, graph, side=side) for side, graph in sides.items())
    clusters = clusters_artifact(env.store, [("k", "left", 0), ("k", "right", 0)])
    ref = join_graphs.execute(env, left, right, clusters, params=JoiningParams(otherwise="left"))
    rows = table(env, ref, "attributes")
    assert {(row["value"], row["datatype"], row["language"]): row["kept"] for row in rows} == {
        ("Wien", "", "de"): True,
        ("Vienna", "", "en"): True,
        ("5", "", ""): True,
        ("5", "http://www.w3.org/x#int", ""): False,
    }
    conflicts = {row["attribute"]: row["conflicts"] for row in table(env, ref, "rules")}
    assert conflicts == {"label": 0, "size": 1}


def test_duplicates_of_one_graph_are_joined(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, _ = shop_and_catalogue(env.store)
    rows = [("k1", "left", 1), ("k1", "left", 2), ("k2", "left", 3), ("k3", "left", 0)]
    ref = join_graphs.execute(env, left, left, clusters_artifact(env.store, rows), params=JoiningParams())
    quality = env.store.manifest(ref).quality
    assert (quality["entities"], quality["of_several"], quality["of_both"], quality["loops"]) == (3, 1, 0, 1)
    assert {row["sides"] for row in table(env, ref, "attributes")} == {1}


def test_graphs_without_attributes_and_relations_are_joined(tmp_path: Path) -> None:
    env = world(tmp_path)
    rows = GraphRows()
    rows.entity("a")
    left = graph_artifact(env.store, rows.batch(), side="left")
    right = graph_artifact(env.store, GraphRows().batch(), side="right")
    ref = join_graphs.execute(
        env, left, right, clusters_artifact(env.store, [("k", "left", 0)]), params=JoiningParams()
    )
    assert table(env, ref, "entities") == [{"id": "k", "type": "", "name": ""}]


@pytest.mark.parametrize(
    "rows", [CLUSTERS[:-1], [*CLUSTERS[:-1], ("k9", "left", 9)], [*CLUSTERS[:-1], ("k9", "left", 4)]]
)
def test_clusters_of_other_graphs_are_refused(tmp_path: Path, rows: list[tuple[str, str, int]]) -> None:
    env = world(tmp_path)
    left, right = shop_and_catalogue(env.store)
    with pytest.raises(ValueError, match="clusters: expected"):
        join_graphs.execute(env, left, right, clusters_artifact(env.store, rows), params=JoiningParams())
