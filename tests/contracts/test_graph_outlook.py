"""What graphs and links are expected to bring, against what they bring when they are read."""

from pathlib import Path

import pytest

from fingerpost.schemas.inputs import graph_outlook as outlook_module
from fingerpost.schemas.inputs.graph_outlook import graph_outlook, links_outlook
from fingerpost.schemas.inputs.graph_sources import graph_source, link_source, reviewed_source
from tests.support.graph_files import GRAPHS, ROWS, dbp15k, table


@pytest.mark.parametrize("form", GRAPHS)
def test_a_small_graph_is_expected_as_it_is(form: str, tmp_path: Path) -> None:
    source = graph_source(str(GRAPHS[form](tmp_path)), id="number", shared=("authors:;", "venue"))
    found, read = graph_outlook(source), source.read()
    assert found is not None
    assert (found.entities, found.relations) == (
        read.entities.num_rows,
        pytest.approx(read.relations.num_rows, rel=0.1),
    )
    assert found.rows == (ROWS if form == "table" else found.entities)


@pytest.mark.parametrize("form", ["triples", "n-triples"])
def test_of_a_large_graph_the_first_lines_tell(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = graph_source(str(GRAPHS[form](tmp_path)))
    monkeypatch.setattr(outlook_module, "_LINES", ROWS // 2)
    found, read = graph_outlook(source), source.read()
    assert found is not None
    assert 0.5 < found.entities / read.entities.num_rows < 2
    assert 0.8 < found.relations / read.relations.num_rows < 1.25


def test_a_column_of_another_name_is_found(tmp_path: Path) -> None:
    source = graph_source(
        str(table(tmp_path)), id="number", shared=("writers:;",), renamed={"writers": "authors"}, side="right"
    )
    found = graph_outlook(source)
    assert found is not None
    assert found.entities == ROWS + 37
    assert graph_outlook(graph_source("python-objects")) is None


def test_links_are_counted_by_what_they_say(tmp_path: Path) -> None:
    plain, labelled, reviewed = (tmp_path / f"{name}.csv" for name in ("plain", "labelled", "reviewed"))
    plain.write_text("ltable_id,rtable_id\n" + "1,2\n" * 30)
    labelled.write_text("left,right,label\n" + "1,2,1\n" * 10 + "1,3,false\n" * 30)
    reviewed.write_text("left,right,label\n" + "1,2,yes\n" * 4 + "1,3,\n" * 5 + "1,4,n\n")
    assert links_outlook(link_source(str(plain))) == (30, 0)
    assert links_outlook(link_source(str(labelled))) == (10, 30)
    assert links_outlook(reviewed_source(str(reviewed))) == (4, 1)
    assert links_outlook(link_source(str(dbp15k(tmp_path)))) == (60, 0)
    assert links_outlook(link_source("python-objects")) == (0, 0)
