"""The stages that import graphs and known pairs, without Prefect."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import InputError, QuarantineLimitError
from fingerpost.schemas.inputs.graph_links import LinkFile, ReviewedLinks, known_links
from fingerpost.schemas.inputs.graph_sources import check_sides, form_of, graph_source, link_source
from fingerpost.schemas.inputs.stored_graphs import StoredGraph, StoredGraphs
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.inputs import import_graph, import_links

DAY = "2026-01-02"


def world(folder: Path) -> Environment:
    return Environment(Store(str(folder / "store")).prepare(), "songs", DAY)


def table(folder: Path, name: str, rows: Sequence[Sequence[object]], columns: str) -> str:
    lines = [columns, *(",".join(map(str, row)) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


def songs(folder: Path, side: str, count: int = 60) -> str:
    rows = [(f"{side}{row:03d}", f"Song {row}", f"Artist {row % 7}") for row in range(count)]
    return table(folder, f"{side}.csv", rows, "id,title,artist")


def sides(env: Environment, folder: Path) -> list[Ref]:
    return [
        import_graph.execute(
            env,
            graph_source(songs(folder, side), name="title", kind="song", shared=("artist",)),
            params=ImportParams(),
            side=name,
        )
        for side, name in (("a", "left"), ("b", "right"))
    ]


def quality(env: Environment, ref: Ref) -> dict[str, object]:
    return dict(env.store.manifest(ref).identity["quality"])


def test_two_tables_become_graphs_and_their_pairs_links(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, right = sides(env, tmp_path)
    assert quality(env, left) == {
        "entities": 67,
        "relation_names": 1,
        "relations": 60,
        "attributes": 60,
        "rows": 60,
        "types": 2,
        "quarantined": 0,
        "quarantine_share": 0.0,
    }
    rows = [(f"a{row:03d}", f"b{row:03d}", 1) for row in range(50)]
    rows += [(f"a{row:03d}", f"b{row + 1:03d}", 0) for row in range(50)]
    given = LinkFile(table(tmp_path, "pairs.csv", [*rows, ("a000", "gone", 1)], "left,right,label"))
    decided = ReviewedLinks(
        table(
            tmp_path,
            "r.csv",
            [("a000", "b001", "yes"), ("a055", "b055", "yes"), ("a056", "b056", "")],
            "left,right,label",
        )
    )
    ref = import_links.execute(env, left, right, given, decided, params=LinkParams())
    found = quality(env, ref)
    assert (found["links"], found["positives"], found["negatives"], found["reviewed"]) == (101, 52, 49, 2)
    assert (found["quarantined"], found["training"], found["reviewed_gone"]) == (
        1,
        101 - found["validation"] - found["test"],
        0,
    )  # type: ignore[operator]
    links = env.store.open(ref, contracts.LINKS).read("links").to_pylist()
    ids = [env.store.open(side, contracts.GRAPH).read("entities")["id"].to_pylist() for side in (left, right)]
    by_pair = {(ids[0][link["left"]], ids[1][link["right"]]): link for link in links}
    assert by_pair["a055", "b055"]["split"] == "training"
    assert by_pair["a055", "b055"]["source"] == "reviewed"
    assert (by_pair["a000", "b001"]["label"], by_pair["a000", "b001"]["split"]) == (1, by_pair["a000", "b000"]["split"])
    (companion,) = env.store.manifest(ref).run["companions"].values()
    (bad,) = env.store.open(Ref.parse(companion), QUARANTINE).read("rows").to_pylist()
    assert (bad["row"], bad["id"], bad["reason"]) == (100, "gone", "unknown entity")


def test_the_same_file_on_both_sides_is_two_graphs_and_none_twice_is_imported_again(tmp_path: Path) -> None:
    env, path = world(tmp_path), songs(tmp_path, "a")
    refs = [
        import_graph.execute(env, graph_source(path), params=ImportParams(), side=side)
        for side in ("left", "right", "left")
    ]
    assert refs[0] == refs[2] != refs[1]
    assert [record.computed for record in env.records] == [True, True, False]


def test_pairs_within_one_graph(tmp_path: Path) -> None:
    env = world(tmp_path)
    people = import_graph.execute(env, graph_source(songs(tmp_path, "a")), params=ImportParams(), side="left")
    given = LinkFile(table(tmp_path, "pairs.csv", [("a005", "a001"), ("a001", "a005"), ("a002", "a003")], "left,right"))
    ref = import_links.execute(env, people, people, given, params=LinkParams(0, 0))
    links = env.store.open(ref, contracts.LINKS).read("links").to_pylist()
    assert [(link["left"], link["right"], link["split"]) for link in links] == [(1, 5, "training"), (2, 3, "training")]
    assert quality(env, ref)["repeated"] == 1


def test_decisions_alone_are_split_as_given_pairs_are_and_no_source_makes_no_links(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, right = sides(env, tmp_path)
    rows = [(f"a{row:03d}", f"b{row:03d}", 1) for row in range(30)]
    decided = ReviewedLinks(table(tmp_path, "r.csv", [*rows, ("a000", "gone", 1)], "left,right,label"))
    ref = import_links.execute(env, left, right, decided, params=LinkParams())
    found = quality(env, ref)
    assert found["validation"]
    assert found["test"]
    assert (found["reviewed"], found["reviewed_gone"], found["quarantined"]) == (30, 1, 0)
    nothing = import_links.execute(env, left, right, params=LinkParams())
    assert quality(env, nothing)["links"] == 0
    assert env.store.open(nothing, contracts.LINKS).read("links").num_rows == 0


def test_too_many_bad_rows_and_none_at_all_are_refused(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, right = sides(env, tmp_path)
    wrong = LinkFile(table(tmp_path, "wrong.csv", [("a001", "b001"), ("x", "y")], "left,right"))
    with pytest.raises(
        QuarantineLimitError,
        match=r"at least one good known pair, found 1 bad and 1 good \(1 unknown entity\).*such as 'a000', .*'b000'; --id names",
    ):
        import_links.execute(env, left, right, wrong, params=LinkParams())
    double = table(tmp_path, "double.csv", [("a", 1), ("a", 2)], "id,x")
    with pytest.raises(QuarantineLimitError, match=r"1 duplicate id.*raise kg.quarantine_share"):
        import_graph.execute(env, graph_source(double), params=ImportParams(), side="left")


def test_the_form_of_a_file_is_told_by_its_name_and_columns(tmp_path: Path) -> None:
    triples = table(tmp_path, "t.csv", [("a", "r", "b")], "head,relation,tail")
    mapped = table(tmp_path, "m.csv", [("a", "r", "b")], "s,p,o")
    (tmp_path / "g.nt").write_text("<a:b> <a:c> <a:d> .\n")
    (tmp_path / "g.ttl").write_text("")
    (tmp_path / "kg").mkdir()
    for name, text in {
        "ent_ids_1": "0\ta:b\n",
        "ent_ids_2": "1\ta:c\n",
        "triples_1": "0\t5\t0\n",
        "ref_ent_ids": "0\t1\n",
    }.items():
        (tmp_path / "kg" / name).write_text(text)
    columns = {"head": "s", "left": "x", "relation": "p", "tail": "o"}
    kinds = {
        path: type(graph_source(path, columns=columns if path == mapped else {})).__name__
        for path in (triples, mapped, str(tmp_path / "g.nt"), str(tmp_path / "kg"), songs(tmp_path, "a"))
    }
    assert list(kinds.values()) == ["TripleFile", "TripleFile", "NTriples", "Dbp15kSide", "TableGraph"]
    assert graph_source(mapped, columns=columns).read().relations.num_rows == 1
    assert type(link_source(str(tmp_path / "kg"))).__name__ == "Dbp15kLinks"
    assert type(graph_source(triples, form="table")).__name__ == "TableGraph"
    assert form_of(str(tmp_path / "absent.csv"), "auto") == "table"
    assert form_of(str(tmp_path / "absent.nt.gz"), "auto") == "n-triples"
    with pytest.raises(InputError, match=r"g.ttl: .*convert it to N-Triples"):
        graph_source(str(tmp_path / "g.ttl"))


def test_sources_are_checked_before_they_are_read(tmp_path: Path) -> None:
    left, right = graph_source(songs(tmp_path, "a")), graph_source(table(tmp_path, "r.csv", [(1, "x")], "id,name"))
    for source in (left, right, link_source(table(tmp_path, "l.csv", [(1, 2)], "left,right"))):
        source.check()
    with pytest.raises(InputError, match=r"a column of attributes that .*, found name where .*--map title=name"):
        check_sides(left, right)
    check_sides(left, graph_source(str(tmp_path / "r.csv"), renamed={"title": "name"}))
    for path, error in (
        ("l.csv", r"expected a column 'title', found left, right"),
        ("absent.csv", "found nothing there"),
    ):
        with pytest.raises(InputError, match=error):
            graph_source(str(tmp_path / path), name="title").check()
    for wrong, error in (
        (songs(tmp_path, "a"), "expected a column 'left'"),
        (str(tmp_path / "no.csv"), "nothing there"),
    ):
        with pytest.raises(InputError, match=error):
            link_source(wrong).check()
    with pytest.raises(InputError, match=r"expected a column 'nme' for 'title', found id, name"):
        graph_source(str(tmp_path / "r.csv"), renamed={"title": "nme"}).check()
    with pytest.raises(InputError, match=r"expected one column 'id', found it beside 'name'"):
        graph_source(str(tmp_path / "r.csv"), renamed={"id": "name"}).check()


def test_columns_of_the_right_table_under_the_names_of_the_left(tmp_path: Path) -> None:
    path = table(tmp_path, "r.csv", [("k1", "One", "Ann; Bob", 1999)], "key,name,by,year")
    renamed = {"id": "key", "title": "name", "artist": "by"}
    graph = graph_source(path, id="id", name="title", shared=("artist:;:person",), renamed=renamed).read()
    assert graph.entities.to_pylist() == [
        {"id": "k1", "type": "row", "name": "One"},
        {"id": "person=ann", "type": "person", "name": "Ann"},
        {"id": "person=bob", "type": "person", "name": "Bob"},
    ]
    assert graph.attributes["key"].to_pylist() == ["title", "year"]
    swapped = graph_source(path, id="key", renamed={"name": "by", "by": "name"}).read()
    assert {row["key"]: row["value"] for row in swapped.attributes.to_pylist()}["name"] == "Ann; Bob"


def test_keys_are_those_of_the_id_column_or_row_numbers(tmp_path: Path) -> None:
    keyed = graph_source(songs(tmp_path, "a", 2), shared=("artist:;",)).read()
    assert keyed.entities["id"].to_pylist() == ["a000", "a001", "artist=artist 0", "artist=artist 1"]
    plain = graph_source(table(tmp_path, "p.csv", [("x",), ("y",)], "word")).read()
    assert plain.entities["id"].to_pylist() == ["0", "1"]


def test_whole_numbers_are_the_same_keys_in_tables_and_links(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1.0, 2.0, None], "x": ["a", "b", "c"]}), tmp_path / "t.parquet")
    graph = graph_source(str(tmp_path / "t.parquet")).read()
    assert graph.entities["id"].to_pylist() == ["1", "2"]
    pq.write_table(pa.table({"left": [1.0], "right": [2]}), tmp_path / "l.parquet")
    links = known_links([link_source(str(tmp_path / "l.parquet")).read()], *[graph.entities["id"]] * 2, within=True)
    assert (links.left.tolist(), links.right.tolist()) == ([0], [1])


def test_what_was_imported_comes_back_from_the_store_without_a_forgotten_entity(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, right = sides(env, tmp_path)
    rows = [(f"a{row:03d}", f"b{row:03d}", 1) for row in range(50)]
    path = table(tmp_path, "pairs.csv", rows, "left,right,label")
    decided = table(tmp_path, "r.csv", [("a055", "b055", "yes")], "left,right,label")
    links = import_links.execute(env, left, right, link_source(path), ReviewedLinks(decided), params=LinkParams())

    nothing = StoredGraphs(env.store, links, Suppressed(b"salt", frozenset()))
    other = world(tmp_path / "other")
    assert nothing.right is not None
    again = [
        import_graph.execute(other, source, params=ImportParams(), side=side)
        for source, side in ((nothing.left, "left"), (nothing.right, "right"))
    ]
    for ref, made in zip((left, right), again, strict=True):
        assert env.store.manifest(ref).identity["files"] == other.store.manifest(made).identity["files"]
        assert quality(env, ref) == quality(other, made)
    linked = import_links.execute(other, *again, *nothing.links, params=LinkParams())
    assert (
        env.store.open(links, contracts.LINKS)
        .read("links")
        .equals(other.store.open(linked, contracts.LINKS).read("links"))
    )

    for key in ("a003", "artist=artist 3"):
        suppressed = Suppressed.of([key], b"salt")
        stored, read = StoredGraphs(env.store, links, suppressed), []
        by_file = graph_source(
            songs(tmp_path, "a"), name="title", kind="song", shared=("artist",), suppressed=suppressed
        )
        for source in (stored.left, by_file):
            found = source.read()
            assert key not in found.entities["id"].to_pylist()
            read.append(found)
        assert all(part.equals(read[1].tables()[name]) for name, part in read[0].tables().items())
        assert stored.left.identity() != nothing.left.identity()
        assert (
            by_file.identity() != graph_source(by_file.path, name="title", kind="song", shared=("artist",)).identity()
        )  # type: ignore[attr-defined]
        kept = stored.links[0].read().links
        assert kept.num_rows == 51 - (key == "a003")
        assert stored.links[0].identity() != nothing.links[0].identity()


def test_a_graph_without_links_comes_back_without_and_its_own_entities_go_along(tmp_path: Path) -> None:
    env = world(tmp_path)
    path = table(tmp_path, "t.csv", [("a", "red"), ("b", "blue"), ("c", "red")], "id,colour")
    shop = import_graph.execute(env, graph_source(path, shared=("colour",)), params=ImportParams(), side="left")
    links = import_links.execute(env, shop, shop, params=LinkParams())
    stored = StoredGraphs(env.store, links, Suppressed.of(["b"], b"salt"))
    assert (stored.right, stored.links) == (None, ())
    assert stored.left.read().entities["id"].to_pylist() == ["a", "c", "colour=red"]


def test_values_that_say_a_forgotten_key_go_but_numbers_stay(tmp_path: Path) -> None:
    env = world(tmp_path)
    path = table(tmp_path, "t.csv", [("ann@x.org", "bob@x.org", 7), ("7", "ann@x.org", 8)], "id,friend,age")
    ref = import_graph.execute(env, graph_source(path), params=ImportParams(), side="left")
    for key, left in (("ann@x.org", [("7", "8")]), ("7", [("ann@x.org", "7"), ("ann@x.org", "bob@x.org")])):
        suppressed = Suppressed.of([key], b"salt")
        for graph in (graph_source(path, suppressed=suppressed).read(), StoredGraph(env.store, ref, suppressed).read()):
            ids = graph.entities["id"].to_pylist()
            assert [(ids[row["entity"]], row["value"]) for row in graph.attributes.to_pylist()] == left


def test_tables_as_other_tools_write_them(tmp_path: Path) -> None:
    plain = table(tmp_path, "plain.csv", [("1", "Ann"), ("2", "Bob")], "id,name")
    wanted = graph_source(plain).read()
    (tmp_path / "mark.csv").write_bytes(b"\xef\xbb\xbfid,name\r\n1,Ann\r\n2,Bob\r\n")
    # pandas writes the numbers of rows along: without a name in CSV, under a name of its own in Parquet.
    table(tmp_path, "numbered.csv", [("0", "1", "Ann"), ("1", "2", "Bob")], ",id,name")
    frame = pa.table({"id": ["1", "2"], "name": ["Ann", "Bob"], "__index_level_0__": [0, 1]})
    pq.write_table(frame, tmp_path / "frame.parquet")
    for name in ("mark.csv", "numbered.csv", "frame.parquet"):
        found = graph_source(str(tmp_path / name)).read()
        assert {key: part.to_pylist() for key, part in found.tables().items()} == {
            key: part.to_pylist() for key, part in wanted.tables().items()
        }, name
    (tmp_path / "semicolons.csv").write_text("id;name\n1;Ann\n")
    with pytest.raises(InputError, match=r"found one column 'id;name'; separate them by commas, not by ';'"):
        graph_source(str(tmp_path / "semicolons.csv")).check()


def test_numbers_with_a_point_on_one_side_alone_are_the_same_ids(tmp_path: Path) -> None:
    plain, floats = (
        graph_source(table(tmp_path, name, rows, "id,name")).read().entities["id"]
        for name, rows in (("t.csv", [(1, "Ann"), (20, "Bob")]), ("f.csv", [("1.0", "Ann"), ("20.0", "Bob")]))
    )
    path = table(tmp_path, "l.csv", [("1.0", "1"), (20, "20.0"), ("2", "2")], "left,right")
    batch = link_source(path).read()
    for left, right in ((plain, floats), (floats, plain), (plain, plain)):
        links = known_links([batch], left, right, within=False)
        assert links.labels.tolist() == [1, 1]
    assert batch.quarantine.reasons() == {"unknown entity": 1}
