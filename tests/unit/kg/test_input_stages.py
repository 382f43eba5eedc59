"""The stages that import graphs and known pairs, without Prefect."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fingerpost.schemas import kg as contracts
from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.errors import InputError, QuarantineLimitError
from fingerpost.schemas.inputs.graph_links import LinkFile, ReviewedLinks
from fingerpost.schemas.inputs.graph_sources import GraphChoice, graph_source, own_links
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.splits import SplitParams
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
    choice = GraphChoice(name="title", kind="song", shared=("artist",))
    return [
        import_graph.execute(env, graph_source(songs(folder, side), choice), params=ImportParams(), side=name)
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
    ref = import_links.execute(env, left, right, given, decided, params=ImportParams(), splits=SplitParams())
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
        import_graph.execute(env, graph_source(path, GraphChoice()), params=ImportParams(), side=side)
        for side in ("left", "right", "left")
    ]
    assert refs[0] == refs[2] != refs[1]
    assert [record.computed for record in env.records] == [True, True, False]


def test_pairs_within_one_graph(tmp_path: Path) -> None:
    env = world(tmp_path)
    people = import_graph.execute(
        env, graph_source(songs(tmp_path, "a"), GraphChoice()), params=ImportParams(), side="left"
    )
    given = LinkFile(table(tmp_path, "pairs.csv", [("a005", "a001"), ("a001", "a005"), ("a002", "a003")], "left,right"))
    ref = import_links.execute(env, people, people, given, params=ImportParams(), splits=SplitParams(0, 0))
    links = env.store.open(ref, contracts.LINKS).read("links").to_pylist()
    assert [(link["left"], link["right"], link["split"]) for link in links] == [(1, 5, "training"), (2, 3, "training")]
    assert quality(env, ref)["repeated"] == 1


def test_decisions_alone_are_split_as_given_pairs_are_and_no_source_makes_no_links(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, right = sides(env, tmp_path)
    rows = [(f"a{row:03d}", f"b{row:03d}", 1) for row in range(30)]
    decided = ReviewedLinks(table(tmp_path, "r.csv", [*rows, ("a000", "gone", 1)], "left,right,label"))
    ref = import_links.execute(env, left, right, decided, params=ImportParams(), splits=SplitParams())
    found = quality(env, ref)
    assert found["validation"]
    assert found["test"]
    assert (found["reviewed"], found["reviewed_gone"], found["quarantined"]) == (30, 1, 0)
    nothing = import_links.execute(env, left, right, params=ImportParams(), splits=SplitParams())
    assert quality(env, nothing)["links"] == 0
    assert env.store.open(nothing, contracts.LINKS).read("links").num_rows == 0


def test_too_many_bad_rows_and_none_at_all_are_refused(tmp_path: Path) -> None:
    env = world(tmp_path)
    left, right = sides(env, tmp_path)
    wrong = LinkFile(table(tmp_path, "wrong.csv", [("a001", "b001"), ("x", "y")], "left,right"))
    with pytest.raises(
        QuarantineLimitError, match=r"at least one good known pair, found 1 bad and 1 good \(1 unknown entity\)"
    ):
        import_links.execute(env, left, right, wrong, params=ImportParams(), splits=SplitParams())
    double = table(tmp_path, "double.csv", [("a", 1), ("a", 2)], "id,x")
    with pytest.raises(QuarantineLimitError, match=r"1 duplicate id.*raise kg.quarantine_share"):
        import_graph.execute(env, graph_source(double, GraphChoice()), params=ImportParams(), side="left")


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
    choice = GraphChoice(columns=(("head", "s"), ("left", "x"), ("relation", "p"), ("tail", "o")))
    kinds = {
        path: type(graph_source(path, choice if path == mapped else GraphChoice())).__name__
        for path in (triples, mapped, str(tmp_path / "g.nt"), str(tmp_path / "kg"), songs(tmp_path, "a"))
    }
    assert list(kinds.values()) == ["TripleFile", "TripleFile", "NTriples", "Dbp15kSide", "TableGraph"]
    assert graph_source(mapped, choice).read().relations.num_rows == 1
    assert own_links(str(tmp_path / "kg"), GraphChoice()) is not None
    assert own_links(triples, GraphChoice()) is None
    assert type(graph_source(triples, GraphChoice(form="table"))).__name__ == "TableGraph"
    with pytest.raises(InputError, match=r"g.ttl: .*convert it to N-Triples"):
        graph_source(str(tmp_path / "g.ttl"), GraphChoice())
    with pytest.raises(InputError, match=r"kg.form: expected auto or one of"):
        graph_source(triples, GraphChoice(form="turtle"))


def test_keys_are_those_of_the_id_column_or_row_numbers(tmp_path: Path) -> None:
    keyed = graph_source(songs(tmp_path, "a", 2), GraphChoice(shared=("artist:;",))).read()
    assert keyed.entities["id"].to_pylist() == ["a000", "a001", "artist=artist 0", "artist=artist 1"]
    plain = graph_source(table(tmp_path, "p.csv", [("x",), ("y",)], "word"), GraphChoice()).read()
    assert plain.entities["id"].to_pylist() == ["0", "1"]
