"""Graphs from triples, tables, N-Triples and networkx: what is read, quarantined and forgotten, and what comes back."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.graph_exports import from_networkx, n_triples, networkx_graph
from fingerpost.schemas.inputs.forms import ROW_NUMBER
from fingerpost.schemas.inputs.graph_links import LINKS, LinkFile, ReviewedLinks, known_links
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.inputs.graphs_rdf import NTriples
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph
from fingerpost.schemas.inputs.graphs_triples import Dbp15k, Dbp15kLinks, TripleFile, local_name
from fingerpost.schemas.inputs.rewriting import remove_rows
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.kg import GRAPH, NEIGHBORHOODS

XSD = "http://www.w3.org/2001/XMLSchema#"


def checked(graph: GraphBatch) -> GraphBatch:
    for name, table in graph.tables().items():
        GRAPH.table(name).check(table, where=name)
    return graph


def relations(graph: GraphBatch) -> set[tuple[str, str, str]]:
    keys, names = graph.entities["id"].to_pylist(), graph.relation_names["name"].to_pylist()
    return {(keys[row["head"]], names[row["relation"]], keys[row["tail"]]) for row in graph.relations.to_pylist()}


def attributes(graph: GraphBatch) -> set[tuple[str, ...]]:
    keys = graph.entities["id"].to_pylist()
    rows = (list(row.values()) for row in graph.attributes.to_pylist())
    return {(keys[row[0]], *row[1:]) for row in rows}


def entities(graph: GraphBatch) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in graph.entities.to_pylist()]


def same(one: GraphBatch, other: GraphBatch) -> bool:
    return all(table.equals(other.tables()[name]) for name, table in one.tables().items())


# Triples


def test_triples_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("subject,relation,tail\na,knows, b \nb,knows,a\na,knows,b\na,,c\n,knows,c\n")
    graph = checked(TripleFile(str(tmp_path / "t.csv"), mapping=(("head", "subject"),)).read())
    assert relations(graph) == {("a", "knows", "b"), ("b", "knows", "a")}
    assert entities(graph) == [("a", "", ""), ("b", "", "")]
    assert graph.reasons == {"no head": 1, "no relation": 1}
    assert graph.quarantined["row"].to_pylist() == [3, 4]


def test_a_suppressed_entity_is_in_no_relation(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("head,relation,tail\na,r,b\nb,r,c\nc,r,a\n")
    plain = TripleFile(str(tmp_path / "t.csv"))
    without = TripleFile(plain.path, suppressed=Suppressed.of(["b"], b"salt"))
    assert relations(without.read()) == {("c", "r", "a")}
    assert without.identity() != plain.identity()
    assert TripleFile(plain.path, suppressed=Suppressed.of(["z"], b"salt")).identity() == plain.identity()


def dbp15k(folder: Path, **files: str) -> Dbp15k:
    given = {
        "ent_ids_1": "0\thttp://zh/resource/A_(x)\n1\thttp://zh/resource/%E4%B8%AD\n",
        "ent_ids_2": "2\thttp://en/resource/A\n3\thttp://en/resource/B\n",
        "triples_1": "0\t7\t1\n",
        "triples_2": "2\t8\t3\n3\t8\t2\n",
        "ref_ent_ids": "0\t2\n1\t3\n",
    } | files
    for name, text in given.items():
        (folder / name).write_text(text)
    return Dbp15k(str(folder))


def pairs_of(source: Dbp15k | LinkFile, graphs: Sequence[GraphBatch], **how: bool) -> set[tuple[str, str, int, str]]:
    """The known pairs by ids, with label and split; what is wrong with the rest is in `wrong_with`."""
    batch = (source.links() if isinstance(source, Dbp15k) else source).read()
    left, right = (side.entities["id"] for side in graphs)
    found = known_links([batch], left, right, within=how.get("within", False))
    ids = [
        keys.take(pa.array(rows.astype("int64"))).to_pylist()
        for keys, rows in ((left, found.left), (right, found.right))
    ]
    return set(zip(*ids, found.labels.tolist(), found.splits, strict=True))


def wrong_with(source: LinkFile | Dbp15kLinks, graphs: Sequence[GraphBatch], **how: bool) -> dict[str, int]:
    batch = source.read()
    known_links([batch], *(side.entities["id"] for side in graphs), within=how.get("within", False))
    return batch.quarantine.reasons()


def sides(source: Dbp15k) -> tuple[GraphBatch, GraphBatch]:
    return source.side(1).read(), source.side(2).read()


def test_a_folder_in_the_layout_of_dbp15k(tmp_path: Path) -> None:
    source = dbp15k(tmp_path)
    left, right = sides(source)
    assert entities(checked(left)) == [
        ("http://zh/resource/%E4%B8%AD", "", "中"),
        ("http://zh/resource/A_(x)", "", "A (x)"),
    ]
    assert relations(left) == {("http://zh/resource/A_(x)", "7", "http://zh/resource/%E4%B8%AD")}
    assert len(relations(checked(right))) == 2
    assert pairs_of(source, (left, right)) == {
        ("http://zh/resource/A_(x)", "http://en/resource/A", 1, ""),
        ("http://zh/resource/%E4%B8%AD", "http://en/resource/B", 1, ""),
    }
    assert left.reasons == right.reasons == wrong_with(source.links(), (left, right)) == {}
    identities = {source.side(1).identity(), source.side(2).identity(), source.links().identity()}
    (tmp_path / "triples_2").write_text("2\t8\t3\n")
    assert len(identities & {source.side(1).identity(), source.side(2).identity(), source.links().identity()}) == 2


def test_names_of_relations_and_splits_where_they_are_given(tmp_path: Path) -> None:
    source = dbp15k(tmp_path, rel_ids_2="8\thttp://en/likes\n", sup_ent_ids="0\t2\n", ref_ent_ids="1\t3\n")
    graphs = sides(source)
    assert graphs[1].relation_names["name"].to_pylist() == ["http://en/likes"]
    assert sorted(split for *_, split in pairs_of(source, graphs)) == ["test", "training"]


def test_lines_of_dbp15k_that_are_quarantined(tmp_path: Path) -> None:
    source = dbp15k(tmp_path, triples_1="0\t7\t1\n0 7 1\n0\t7\t9\n", ref_ent_ids="0\t2\n0\t2\n0\t9\n1\n")
    graphs = sides(source)
    assert len(relations(graphs[0])) == 1
    assert graphs[0].reasons == {"invalid line": 1, "unknown entity": 1}
    assert len(pairs_of(source, graphs)) == 1
    assert wrong_with(source.links(), graphs) == {"invalid line": 1, "unknown entity": 1}


def test_a_forgotten_entity_of_dbp15k_has_no_links(tmp_path: Path) -> None:
    plain = dbp15k(tmp_path)
    without = Dbp15k(plain.path, suppressed=Suppressed.of(["http://en/resource/B"], b"salt"))
    left, right = sides(without)
    assert entities(right) == [("http://en/resource/A", "", "A")]
    assert relations(right) == set()
    assert len(pairs_of(without, (left, right))) == 1
    assert (right.reasons, wrong_with(without.links(), (left, right))) == ({}, {})
    assert without.side(1).identity() == plain.side(1).identity()
    assert without.side(2).identity() != plain.side(2).identity()
    assert without.links().identity() != plain.links().identity()


def test_a_folder_without_a_file_is_refused(tmp_path: Path) -> None:
    source = dbp15k(tmp_path)
    (tmp_path / "triples_2").unlink()
    with pytest.raises(InputError, match="found no triples_2; check the path"):
        source.side(2).read()


@pytest.mark.parametrize(
    ("iri", "name"),
    [
        ("http://a/b#Some_Name", "Some Name"),
        ("http://a/b/", "b"),
        ("urn:x", "urn:x"),
        ("http://a/%C3%A9t%C3%A9", "été"),
    ],
)
def test_names_from_iris(iri: str, name: str) -> None:
    assert local_name(iri) == name


# Tables


def test_rows_and_what_they_share(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text(
        'key,title,artists,year\ns1,One,"Ann Lee; Bob",2001\ns2,Two,ANN  LEE,\ns2,Again,Bob,1999\n,None,Bob,1\n'
    )
    shared = (SharedColumn("artists", ";", "artist"), SharedColumn("year"))
    graph = checked(TableGraph(str(tmp_path / "songs.csv"), "song", "key", "title", shared).read())
    assert entities(graph) == [
        ("artist=ann lee", "artist", "ANN LEE"),
        ("artist=bob", "artist", "Bob"),
        ("s1", "song", "One"),
        ("s2", "song", "Two"),
        ("year=2001", "year", "2001"),
    ]
    assert relations(graph) == {
        ("s1", "artist", "artist=ann lee"),
        ("s1", "artist", "artist=bob"),
        ("s1", "year", "year=2001"),
        ("s2", "artist", "artist=ann lee"),
    }
    assert attributes(graph) == {("s1", "title", "One", "", ""), ("s2", "title", "Two", "", "")}
    assert graph.reasons == {"duplicate id": 1, "no id": 1}


def test_types_of_values_and_rows_without_keys(tmp_path: Path) -> None:
    table = pa.table({"id": ["x", "y"], "price": [1.5, float("nan")], "stock": [3, None], "new": [True, False]})
    pq.write_table(table, tmp_path / "t.parquet")
    graph = checked(TableGraph(str(tmp_path / "t.parquet"), id=ROW_NUMBER).read())
    assert [key for key, *_ in entities(graph)] == ["0", "1"]
    assert attributes(graph) == {
        ("0", "id", "x", "", ""),
        ("0", "price", "1.5", f"{XSD}double", ""),
        ("0", "stock", "3", f"{XSD}integer", ""),
        ("0", "new", "true", f"{XSD}boolean", ""),
        ("1", "id", "y", "", ""),
        ("1", "new", "false", f"{XSD}boolean", ""),
    }


def test_chosen_attributes_and_json_lines(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"k": "a", "x": 1, "y": 2}\n{"k": "b", "x": [1], "y": 3}\n')
    graph = TableGraph(str(tmp_path / "t.jsonl"), id="k", attributes=("x",)).read()
    assert attributes(graph) == {("a", "x", "1", f"{XSD}integer", "")}
    assert graph.reasons == {"wrong type": 1}


def test_a_row_that_has_the_id_of_a_shared_value_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,c\na,red\nc=red,blue\nc=green,x\nz,green\n")
    graph = TableGraph(str(tmp_path / "t.csv"), id="k", shared=(SharedColumn("c"),)).read()
    assert graph.quarantined["id"].to_pylist() == ["c=red", "z"]
    assert graph.reasons == {"duplicate id": 2}


def test_a_forgotten_row_takes_its_values_along(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,c\na,red\nb,blue\n")
    plain = TableGraph(str(tmp_path / "t.csv"), id="k", shared=(SharedColumn("c"),))
    without = TableGraph(plain.path, id="k", shared=plain.shared, suppressed=Suppressed.of(["b"], b"salt"))
    assert [key for key, *_ in entities(without.read())] == ["a", "c=red"]
    assert without.identity() != plain.identity()
    assert plain.identity() != TableGraph(plain.path, id="k").identity()


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,c\na,red\n")
    with pytest.raises(InputError, match=r"t.csv: expected a column 'colour', found k, c; name one of these"):
        TableGraph(str(tmp_path / "t.csv"), id="k", shared=(SharedColumn("colour"),)).read()


# N-Triples

LINES = (
    '<http://a/s> <http://a/p> "x"@en-gb .',
    '<http://a/s> <http://a/p> "x" .',
    '<http://a/s> <http://a/n> "+01"^^<http://www.w3.org/2001/XMLSchema#integer> .',
    '<http://a/s> <http://a/n> "INF"^^<http://www.w3.org/2001/XMLSchema#double> .',
    '<http://a/s> <http://a/d> "2020-01-01Z"^^<http://www.w3.org/2001/XMLSchema#date> .',
    '<http://a/s> <http://a/d> "2020-01-01T00:00:00.123456789Z"^^<http://www.w3.org/2001/XMLSchema#dateTime> .',
    '<http://a/s> <http://a/h> "ABab"^^<http://www.w3.org/2001/XMLSchema#hexBinary> .',
    '<http://a/s> <http://a/t> "a\\tb \\"c\\" \\\\ \\n" .',
    "<http://a/s> <http://a/r> _:b1 .",
    "_:b1 <http://a/r> <http://a/é> .",
    '_:b1 <http://a/p> "" .',
    "<http://a/s> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://a/Film> .",
    "<http://a/s> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://a/Work> .",
    '<http://a/s> <http://www.w3.org/2000/01/rdf-schema#label> "Der Film"@de .',
    '<http://a/s> <http://www.w3.org/2000/01/rdf-schema#label> "The film"@en .',
)


def rdf_file(folder: Path, text: str) -> str:
    (folder / "g.nt").write_text(text)
    return str(folder / "g.nt")


def test_n_triples_come_back_byte_by_byte(tmp_path: Path) -> None:
    path = rdf_file(tmp_path, "\n".join(LINES) + "\n")
    assert b"".join(n_triples(checked(NTriples(path).read()))) == "\n".join(sorted(LINES)).encode() + b"\n"


def test_what_rdf_1_1_has_as_one_term_comes_back_as_that(tmp_path: Path) -> None:
    text = f'<a:s> <a:p> "x"^^<{XSD}string> .\n<a:s> <a:p> "x" .\n<a:s> <a:p> "y"@EN .\n# a comment\n\n'
    assert list(n_triples(NTriples(rdf_file(tmp_path, text)).read())) == [
        b'<a:s> <a:p> "x" .\n',
        b'<a:s> <a:p> "y"@en .\n',
    ]


@pytest.mark.parametrize(("language", "name"), [("de", "Der Film"), ("EN", "The film"), ("", "s")])
def test_types_and_names_of_resources(tmp_path: Path, language: str, name: str) -> None:
    found = {
        key: (kind, label)
        for key, kind, label in entities(NTriples(rdf_file(tmp_path, "\n".join(LINES)), language).read())
    }
    assert found["http://a/s"] == ("http://a/Film", name)
    assert found["_:b1"] == ("", "")
    assert found["http://a/é"] == ("", "é")


def test_the_order_of_lines_and_gzip_do_not_matter(tmp_path: Path) -> None:
    whole = NTriples(rdf_file(tmp_path, "\n".join(LINES))).read()
    with gzip.open(tmp_path / "o.nt.gz", "wt") as file:
        file.write("\n".join(random.Random(0).sample(LINES, len(LINES))))
    assert same(whole, NTriples(str(tmp_path / "o.nt.gz")).read())


def test_lines_that_are_refused_are_quarantined_and_others_kept(tmp_path: Path) -> None:
    path = rdf_file(
        tmp_path, '<a:s> <a:p> <a:o> .\nnonsense\n<a:s> <a:p> "open .\n<s> <a:p> <a:o> .\n<a:s> <a:p> <a:t> .'
    )
    graph = checked(NTriples(path).read())
    assert relations(graph) == {("a:s", "a:p", "a:o"), ("a:s", "a:p", "a:t")}
    assert graph.quarantined["row"].to_pylist() == [1, 2, 3]
    assert graph.reasons == {"invalid line": 3}


@pytest.mark.parametrize(
    "line", ["<a:s> <a:p> <<( <a:s> <a:p> <a:o> )>> .", '<a:s> <a:p> "x"@en--ltr .', "_:a:b <a:p> <a:o> ."]
)
def test_what_only_later_rdf_has_and_what_the_parser_lacks_is_quarantined(tmp_path: Path, line: str) -> None:
    graph = NTriples(rdf_file(tmp_path, f"<a:s> <a:p> <a:o> .\n{line}\n")).read()
    assert relations(graph) == {("a:s", "a:p", "a:o")}
    assert graph.quarantined["row"].to_pylist() == [1]


def test_a_forgotten_resource_is_named_nowhere(tmp_path: Path) -> None:
    path = rdf_file(tmp_path, "\n".join(LINES))
    without = NTriples(path, suppressed=Suppressed.of(["http://a/s"], b"salt"))
    assert b"http://a/s>" not in b"".join(n_triples(without.read()))
    assert without.identity() != NTriples(path).identity()
    with pytest.raises(InputError, match="expected a file in N-Triples, found none"):
        NTriples(str(tmp_path / "absent.nt")).read()


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a:s", "_:b", "a:t"]),
            _TEXTS,
            st.sampled_from([("", ""), ("", "en"), ("", "de-at"), (f"{XSD}int", ""), ("a:type", "")]),
        ),
        max_size=12,
    )
)
def test_any_value_comes_back(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    rows = GraphRows()
    for key, value, (datatype, language) in values:
        rows.attribute(key, Attribute("a:p", value, datatype, language))
        rows.relation(key, "a:r", "a:o")
    made = rows.batch()
    path = tmp_path_factory.mktemp("rdf") / "g.nt"
    path.write_bytes(b"".join(n_triples(made)))
    back = NTriples(str(path)).read()
    assert (attributes(back), relations(back), back.reasons) == (attributes(made), relations(made), {})


def test_a_table_becomes_valid_n_triples(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,c\na b,red\n")
    graph = TableGraph(str(tmp_path / "t.csv"), "thing", "k", "c", (SharedColumn("c"),)).read()
    path = tmp_path / "t.nt"
    path.write_bytes(b"".join(n_triples(graph)))
    found = NTriples(str(path)).read()
    assert found.reasons == {}
    assert ("urn:fingerpost:a%20b", "urn:fingerpost:thing", "red") in entities(found)
    assert ("urn:fingerpost:a%20b", "urn:fingerpost:c", "urn:fingerpost:c%3Dred") in relations(found)


# Links


def two_graphs() -> tuple[GraphBatch, GraphBatch]:
    rows = GraphRows(), GraphRows()
    for side in rows:
        for key in ("a", "b", "1"):
            side.entity(key)
    return rows[0].batch(), rows[1].batch()


def test_links_with_labels_and_splits(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "from,right,label,split\na,b,1,train\na,a,0,Valid\nb,a,maybe,\nb,b,1,other\n,a,1,\na,b,0,test\nz,a,1,\n1,1,TRUE,\n"
    )
    graphs, source = two_graphs(), LinkFile(str(tmp_path / "l.csv"), (("left", "from"),))
    assert pairs_of(source, graphs) == {("a", "b", 1, "training"), ("a", "a", 0, "validation"), ("1", "1", 1, "")}
    assert wrong_with(source, graphs) == {
        "contradicting link": 1,
        "no left": 1,
        "unknown entity": 1,
        "unknown label": 1,
        "unknown split": 1,
    }
    batch = source.read()
    known_links([batch], *(side.entities["id"] for side in graphs), within=False)
    assert batch.quarantine.table()["row"].to_pylist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize(("left", "right"), [("ltable_id", "rtable_id"), ("left_id", "right_id")])
def test_columns_as_other_tools_call_them(tmp_path: Path, ending: str, left: str, right: str) -> None:
    rows = [{left: "a", right: "b", "label": 1}, {left: "b", right: "b", "label": 0}]
    path = tmp_path / f"l.{ending}"
    lines = [json.dumps(row) for row in rows] if ending == "jsonl" else [f"{left},{right},label", "a,b,1", "b,b,0"]
    path.write_text("\n".join(lines) + "\n")
    source = LinkFile(str(path))
    source.check()
    assert pairs_of(source, two_graphs()) == {("a", "b", 1, ""), ("b", "b", 0, "")}
    assert pairs_of(LinkFile(str(path), suppressed=Suppressed.of(["a"], b"salt")), two_graphs()) == {("b", "b", 0, "")}
    assert remove_rows(path, {}, Suppressed.of(["a"], b"salt"), LINKS) == 1
    assert pairs_of(source, two_graphs()) == {("b", "b", 0, "")}
    # Our own names win, and so does a mapping.
    path.write_text(
        f"left,{left},right,{right}\na,b,b,a\n"
        if ending == "csv"
        else f'{{"left": "a", "{left}": "b", "right": "b"}}\n'
    )
    assert pairs_of(source, two_graphs()) == {("a", "b", 1, "")}
    assert pairs_of(LinkFile(str(path), (("left", left),)), two_graphs()) == {("b", "b", 1, "")}


def test_a_pair_in_two_splits_is_in_the_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("left,right,label,split\na,b,1,test\na,b,1,valid\nb,b,0,\nb,b,0,test\n")
    graphs, source = two_graphs(), LinkFile(str(tmp_path / "l.csv"))
    assert pairs_of(source, graphs) == {("a", "b", 1, "validation"), ("b", "b", 0, "test")}
    assert wrong_with(source, graphs) == {}
    found = known_links([source.read()], *(side.entities["id"] for side in graphs), within=False)
    assert found.repeated == 2


def test_links_within_one_graph_have_no_order_and_no_entity_twice(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("left,right,label\nb,a,1\na,b,1\na,a,1\n1,b,0\nb,1,1\n")
    graphs, source = two_graphs(), LinkFile(str(tmp_path / "l.csv"))
    assert pairs_of(source, graphs, within=True) == {("a", "b", 1, ""), ("1", "b", 0, "")}
    assert wrong_with(source, graphs, within=True) == {"contradicting link": 1, "one entity": 1}


def test_what_a_reviewer_decided_wins_and_what_is_undecided_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("left,right,label,split\na,a,1,test\nb,b,1,train\n")
    (tmp_path / "r.csv").write_text(
        "left,right,left_name,label\na,a,A,no\na,b,A,\nb,a,B,YES\ngone,a,,1\nb,1,B,perhaps\n"
    )
    graphs, reviewed = two_graphs(), ReviewedLinks(str(tmp_path / "r.csv"))
    batches = [LinkFile(str(tmp_path / "l.csv")).read(), reviewed.read()]
    for order in (batches, batches[::-1]):
        found = known_links(order, *(side.entities["id"] for side in graphs), within=False)
        pairs = zip(found.left, found.right, found.labels, found.splits, found.reviewed, found.listed, strict=True)
        # Rows are sorted by id: "1", "a", "b".
        assert set(pairs) == {
            (1, 1, 0, "test", True, True),
            (2, 2, 1, "training", False, True),
            (2, 1, 1, "", True, False),
        }
        assert found.gone == 1
    assert batches[1].quarantine.reasons() == {"reviewed: unknown label": 1}
    later = ReviewedLinks(str(tmp_path / "again.csv"))
    (tmp_path / "again.csv").write_text("left,right,label\nb,a,different\n")
    found = known_links([*batches, later.read()], *(side.entities["id"] for side in graphs), within=False)
    assert found.labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_links_of_numbers_and_truth_values(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"l.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"left": [1], "right": [1], "label": [False]}), path)
    else:
        path.write_text('{"left": 1, "right": 1, "label": false}\n')
    assert pairs_of(LinkFile(str(path)), two_graphs()) == {("1", "1", 0, "")}


def test_links_without_labels_are_of_the_same_entity_and_forgotten_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("left,right\na,a\nb,b\n")
    graphs, plain = two_graphs(), LinkFile(str(tmp_path / "l.csv"))
    assert pairs_of(plain, graphs) == {("a", "a", 1, ""), ("b", "b", 1, "")}
    without = LinkFile(plain.path, suppressed=Suppressed.of(["b"], b"salt"))
    assert (pairs_of(without, graphs), wrong_with(without, graphs)) == ({("a", "a", 1, "")}, {})
    assert without.identity() != plain.identity()


# networkx


def test_networkx_there_and_back(tmp_path: Path) -> None:
    graph = NTriples(rdf_file(tmp_path, "\n".join(LINES))).read()
    assert same(graph, checked(from_networkx(networkx_graph(graph))))


def test_any_networkx_graph() -> None:
    given_graph = nx.Graph()
    given_graph.add_node(1, type="film", name="One", year=1999, tags=["x"])
    given_graph.add_edge(1, 2, relation="next")
    given_graph.add_edge(2, 3)
    graph = checked(from_networkx(given_graph))
    assert entities(graph) == [("1", "film", "One"), ("2", "", ""), ("3", "", "")]
    assert relations(graph) == {("1", "next", "2"), ("2", "next", "1"), ("2", "related", "3"), ("3", "related", "2")}
    assert attributes(graph) == {("1", "year", "1999", "", "")}
    with pytest.raises(FingerpostError, match="networkx: expected nodes that differ as texts"):
        from_networkx(nx.path_graph([1, "1"]))


def test_neighbourhoods_have_as_many_relations() -> None:
    table = pa.table(
        {
            "entity": pa.array([0], pa.uint32()),
            "neighbors": pa.array([[1, 2]], pa.list_(pa.uint32())),
            "relations": pa.array([[0]], pa.list_(pa.uint32())),
        }
    )
    with pytest.raises(FingerpostError, match="'neighbors' and 'relations' differ in length"):
        NEIGHBORHOODS.table("neighborhoods").check(table, where="here")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("id", "title", "name"), "name"),
        (("id", "Title", "price"), "Title"),
        (("id", "product_name", "price"), "product_name"),
        (("id", "first_name", "last_name"), ""),
        (("id", "username", "entitled"), ""),
    ],
)
def test_a_column_that_is_called_so_has_the_names(tmp_path: Path, columns: tuple[str, ...], expected: str) -> None:
    (tmp_path / "rows.csv").write_text(",".join(columns) + "\n" + ",".join(f"a {name}" for name in columns) + "\n")
    source = TableGraph(str(tmp_path / "rows.csv"))
    assert source.name_column() == expected
    assert source.read().entities["name"].to_pylist() == [f"a {expected}" if expected else ""]
