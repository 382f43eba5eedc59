"""A forgotten entity, its attributes and its links: found in inputs and in the store, left out, and proven absent."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from fingerpost.flows import domains
from fingerpost.flows.ops.erase.absence import Needles, needles_of, search
from fingerpost.flows.ops.erase.affected import affected_by, texts_in, wanted_keys
from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.graph_sources import graph_source, link_source
from fingerpost.schemas.inputs.rewriting import count_rows, remove_rows
from fingerpost.schemas.inputs.stored_graphs import StoredGraphs
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.splits import LinkParams
from fingerpost.tasks.kg.stages.inputs import import_graph, import_links

#: What nobody else has: of one entity its id, its name, and a value; its town is that of others too.
KEY = "customer-ann@example.org"
ROWS = [
    (KEY, "Annabella Quistgaard", "Copperhill", "tangerine bicycle"),
    ("customer-2", "Bob Miller", "Copperhill", "green kettle"),
    ("customer-3", "Annabella Miller", "Riverside", "green bicycle"),
    ("zq7", "Zed", "Riverside", "kettle"),
]
OTHERS = [(f"other-{row}", f"Other {row}", "Riverside", "kettle") for row in range(20)]


def table(folder: Path, name: str, rows: Sequence[Sequence[object]], columns: str = "id,name,town,text") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(folder / name)


def world(folder: Path) -> Environment:
    return Environment(Store(str(folder / "store")).prepare(), "shop", "2026-01-02")


def imported(folder: Path) -> tuple[Environment, dict[str, Ref]]:
    env, sides = world(folder), {}
    for side, rows in (("left", ROWS), ("right", OTHERS)):
        source = graph_source(table(folder, f"{side}.csv", rows), name="name", shared=("town",))
        sides[side] = import_graph.execute(env, source, params=ImportParams(), side=side)
    pairs = table(folder, "pairs.csv", [(KEY, "other-1"), ("customer-2", "other-2"), ("zq7", "other-3")], "left,right")
    links = import_links.execute(env, *sides.values(), link_source(pairs), params=LinkParams())
    return env, sides | {"links": links}


def needles(store: Store, key: str, refs: Sequence[Ref]) -> Needles:
    wanted = wanted_keys(store, key)
    found = [texts_in(store, str(ref), wanted) for ref in refs]
    texts = [text for one in found for text in one.own]
    return needles_of(store, wanted, key, texts, {}, [], others=[part for one in found for part in one.others])


@pytest.mark.parametrize(
    ("key", "words"), [(KEY, {"Annabella Quistgaard", "Quistgaard", "tangerine bicycle", "tangerine"}), ("zq7", set())]
)
def test_what_holds_an_entity_is_found_and_a_store_without_it_is_proven(
    tmp_path: Path, key: str, words: set[str]
) -> None:
    env, refs = imported(tmp_path / "first")
    affected = affected_by(env.store, key, "shop")
    assert list(affected.holders) == [str(refs["left"])]
    assert {str(refs["left"]), str(refs["links"])} <= set(affected.condemned)
    assert str(refs["right"]) not in affected.condemned

    looked_for = needles(env.store, key, list(refs.values()))
    # Words that others have too are no trace of this one.
    assert words <= set(looked_for.distinct)
    assert not {"Annabella", "bicycle", "Copperhill"} & set(looked_for.distinct)
    assert {path.split("/")[0] for path in search(env.store, looked_for).findings} == {"kg.graph"}

    other = world(tmp_path / "second")
    stored = StoredGraphs(env.store, refs["links"], wanted_keys(env.store, key))
    assert stored.right is not None
    again = [
        import_graph.execute(other, source, params=ImportParams(), side=side)
        for source, side in ((stored.left, "left"), (stored.right, "right"))
    ]
    links = import_links.execute(other, *again, *stored.links, params=LinkParams())
    assert other.store.open(links, contracts.LINKS).read("links").num_rows == 2
    assert search(other.store, looked_for).findings == []
    assert affected_by(other.store, key, "shop").holders == {}


def test_an_id_that_others_have_as_a_name_or_a_number_is_the_key_of_one_entity_alone(tmp_path: Path) -> None:
    env = world(tmp_path)
    rows = [("7", "Seven", 1), ("8", "7", 7)]
    source = graph_source(table(tmp_path, "t.csv", rows, "id,name,age"), name="name")
    ref = import_graph.execute(env, source, params=ImportParams(), side="left")
    assert affected_by(env.store, "7", "shop").holders == {str(ref): 1}


# Files


def without(path: Path, key: str, form: str) -> int:
    """The number of removed lines, which is the number that was announced."""
    wanted, known = Suppressed.of([key], b"salt"), domains.form_of(form)
    announced = count_rows(path, {}, wanted, known)
    assert remove_rows(path, {}, wanted, known) == announced
    assert count_rows(path, {}, wanted, known) == 0
    return announced


@pytest.mark.parametrize("ending", ["nt", "nt.gz"])
def test_lines_of_n_triples_about_an_entity_are_removed(tmp_path: Path, ending: str) -> None:
    lines = [
        "<http://x/ann> <http://x/knows> <http://x/bob> .",
        "<http://x/bob> <http://x/knows> <http://x/\\u0061nn> .  # the same entity, written otherwise",
        '<http://x/bob> <http://x/page> "http://x/ann" .',
        '<http://x/bob> <http://x/name> "about http://x/anna" .',
        "<http://x/anna> <http://x/knows> <http://x/bob> .",
        "broken <http://x/ann> ",
        "broken <http://x/bob>",
        "# a comment",
    ]
    path, content = tmp_path / f"g.{ending}", "\r\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    assert without(path, "http://x/ann", "n-triples") == 4
    left = gzip.decompress(path.read_bytes()) if ending.endswith("gz") else path.read_bytes()
    assert left == "\r\n".join([*lines[3:5], *lines[6:]]).encode()
    suppressed = Suppressed.of(["http://x/ann"], b"salt")
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    graph = graph_source(str(path), suppressed=suppressed).read()
    assert graph.quarantined["row"].to_pylist() == [6]
    assert "http://x/ann" not in graph.entities["id"].to_pylist()
    assert graph.attributes.num_rows == 1


def test_a_forgotten_entity_is_removed_from_all_files_of_a_folder_of_dbp15k(tmp_path: Path) -> None:
    files = {
        "ent_ids_1": "0\thttp://zh/A\n1\thttp://zh/B\n",
        "ent_ids_2": "0\thttp://en/A\n1\thttp://en/B\n",
        "triples_1": "0\t7\t1\n1\t0\t1\n1\t7\t0\n",
        "triples_2": "0\t7\t1\n1\t8\t0\n",
        "ref_ent_ids": "0\t0\n1\t1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert without(tmp_path, "http://zh/A", "dbp15k") == 4
    assert {name: (tmp_path / name).read_text() for name in files} == files | {
        "ent_ids_1": "1\thttp://zh/B\n",
        "triples_1": "1\t0\t1\n",
        "ref_ent_ids": "1\t1\n",
    }
    assert without(tmp_path, "http://zh/A", "dbp15k") == 0
    (tmp_path / "ent_ids_2").unlink()
    with pytest.raises(InputError, match="expected a file of a graph, found none"):
        without(tmp_path, "http://zh/B", "dbp15k")


def test_rows_of_tables_triples_and_links_are_removed(tmp_path: Path) -> None:
    files = {
        "graph rows": table(tmp_path, "t.csv", ROWS),
        "triples": table(
            tmp_path, "triples.csv", [(KEY, "a", "b"), ("b", "a", KEY), ("b", "a", "c")], "head,relation,tail"
        ),
        "links": table(tmp_path, "l.csv", [(KEY, "x", 1), ("y", KEY, 0), ("y", "x", 1)], "left,right,label"),
        "reviewed links": table(tmp_path, "r.csv", [(KEY, "x", 1), ("y", "x", "")], "left,right,label"),
    }
    counts = {form: without(Path(path), KEY, form) for form, path in files.items()}
    assert counts == {"graph rows": 1, "triples": 2, "links": 2, "reviewed links": 1}
