"""The joined graph in N-Triples, N-Quads, Parquet and networkx: every kept fact, what states it, and what it is made from."""

from pathlib import Path

import pyarrow.parquet as pq
import pyoxigraph as ox
import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.graph_exports import networkx_graph
from fingerpost.schemas.inputs.graphs import Attribute, GraphRows
from fingerpost.schemas.inputs.graphs_rdf import LABEL, TYPE
from fingerpost.schemas.joined_graphs import DERIVED, JoinedGraph, check_output, read_joined, source_node, write_joined
from fingerpost.tasks.kg.joining import JoiningParams
from fingerpost.tasks.kg.stages.joining import join_graphs
from tests.support.alignments import clusters_artifact, graph_artifact
from tests.unit.autocomplete.logs import world

URN = "urn:fingerpost:"
PLACE = "http://example.org/Wien"
INTEGER = "http://www.w3.org/2001/XMLSchema#integer"
ODD = 'a "quoted"\nline \\ 天'


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> JoinedGraph:
    """Two places that are one, of a graph of IRIs and of a table, and a street in each."""
    env = world(tmp_path_factory.mktemp("joined"))
    left, right = GraphRows(), GraphRows()
    left.entity(PLACE, kind="http://example.org/Place", name="Wien")
    left.attribute(PLACE, Attribute(LABEL, "Wien", "", "de"))
    left.attribute(PLACE, Attribute("people", "2000000", INTEGER))
    left.relation("_:b0", "http://example.org/in", PLACE)
    right.entity("7", kind="place", name="Vienna")
    right.attribute("7", Attribute("people", "1900000", INTEGER))
    right.attribute("7", Attribute("note", ODD))
    right.entity("main street", kind="street", name="Main Street")
    right.relation("main street", "http://example.org/in", "7")
    graphs = [graph_artifact(env.store, rows.batch(), side=side) for side, rows in (("left", left), ("right", right))]
    rows = [("k1", "left", 1), ("k1", "right", 0), ("k0", "left", 0), ("k2", "right", 1)]
    clusters = clusters_artifact(env.store, rows)
    params = JoiningParams({"people": "right"})
    return read_joined(env.store, join_graphs.execute(env, *graphs, clusters, params=params))


def texts(term: object) -> object:
    if isinstance(term, ox.Literal):
        return term.value, term.language or term.datatype.value.rpartition("#")[2]
    return getattr(term, "value", "")


def read(path: Path, form: ox.RdfFormat) -> list[tuple[object, ...]]:
    return [tuple(texts(term) for term in quad) for quad in ox.parse(path=str(path), format=form)]


FACTS = {
    (f"{URN}k1", LABEL, ("Wien", "de")): "left",
    (f"{URN}k1", f"{URN}people", ("1900000", "integer")): "right",
    (f"{URN}k1", f"{URN}note", (ODD, "string")): "right",
    (f"{URN}k0", "http://example.org/in", f"{URN}k1"): "left",
    (f"{URN}k2", "http://example.org/in", f"{URN}k1"): "right",
}
OWN = {
    (f"{URN}k1", TYPE, "http://example.org/Place"),
    (f"{URN}k2", TYPE, f"{URN}street"),
    (f"{URN}k2", LABEL, ("Main Street", "string")),
    (f"{URN}k1", DERIVED, PLACE),
    (f"{URN}k1", DERIVED, f"{URN}right/7"),
    (f"{URN}k0", DERIVED, f"{URN}left/_%3Ab0"),
    (f"{URN}k2", DERIVED, f"{URN}right/main%20street"),
}


def test_triples_are_what_is_kept_and_what_it_is_made_from(joined: JoinedGraph, tmp_path: Path) -> None:
    written = write_joined(joined, tmp_path / "j.nt")
    found = read(tmp_path / "j.nt", ox.RdfFormat.N_TRIPLES)
    assert {triple[:3] for triple in found} == set(FACTS) | OWN
    assert len(found) == written == len(FACTS) + len(OWN)


def test_quads_say_which_graph_states_each_fact(joined: JoinedGraph, tmp_path: Path) -> None:
    write_joined(joined, tmp_path / "j.nq")
    found = read(tmp_path / "j.nq", ox.RdfFormat.N_QUADS)
    wanted = {(*fact, URN + side) for fact, side in FACTS.items()} | {(*fact, "") for fact in OWN}
    assert set(found) == wanted


def test_a_fact_of_both_graphs_is_in_both_named_graphs(tmp_path: Path) -> None:
    env = world(tmp_path)
    rows = GraphRows()
    rows.attribute("a", Attribute("price", "1"))
    graphs = [graph_artifact(env.store, rows.batch(), side=side) for side in ("left", "right")]
    clusters = clusters_artifact(env.store, [("k", "left", 0), ("k", "right", 0)])
    joined = read_joined(env.store, join_graphs.execute(env, *graphs, clusters, params=JoiningParams()))
    write_joined(joined, tmp_path / "j.nq")
    found = read(tmp_path / "j.nq", ox.RdfFormat.N_QUADS)
    assert {quad[3] for quad in found if quad[1] == f"{URN}price"} == {f"{URN}left", f"{URN}right"}
    assert {quad[2] for quad in found if quad[1] == DERIVED} == {f"{URN}left/a", f"{URN}right/a"}


def test_a_folder_has_ids_for_rows_and_all_values(joined: JoinedGraph, tmp_path: Path) -> None:
    write_joined(joined, tmp_path / "j")
    tables = {path.stem: pq.read_table(path).to_pylist() for path in (tmp_path / "j").iterdir()}
    assert set(tables) == {"entities", "sources", "relations", "attributes", "rules"}
    people = [row for row in tables["attributes"] if row["key"] == "people"]
    assert [(row["id"], row["value"], row["left"], row["right"], row["kept"]) for row in people] == [
        ("k1", "1900000", False, True, True),
        ("k1", "2000000", True, False, False),
    ]
    assert {"id": "k1", "side": "right", "source": "7", "name": "Vienna"} in tables["sources"]
    assert {
        "head": "k0",
        "relation": "http://example.org/in",
        "tail": "k1",
        "left": True,
        "right": False,
    } in tables["relations"]


def test_networkx_gets_what_is_kept(joined: JoinedGraph) -> None:
    graph = networkx_graph(joined.batch())
    assert set(graph.nodes) == {"k0", "k1", "k2"}
    assert ("people", "2000000", INTEGER, "") not in graph.nodes["k1"]["attributes"]
    assert graph.has_edge("k2", "k1", key="http://example.org/in")


@pytest.mark.parametrize("name", ["j.csv", "nowhere/j.nt", "there", "there.nt"])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(joined: JoinedGraph, tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there.nt").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="expected a"):
        write_joined(joined, tmp_path / name)
    with pytest.raises(InputError):
        check_output(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_entities_of_equal_ids_in_both_graphs_stay_apart() -> None:
    assert source_node("left", "7") != source_node("right", "7")
    assert source_node("left", PLACE) == source_node("right", PLACE) == f"<{PLACE}>"
