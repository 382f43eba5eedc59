"""Results are sequences and tables."""

from dataclasses import dataclass

import numpy as np
import pytest

from fingerpost.tasks.results import Batch, Rows, arrow_table, drawn


@dataclass(frozen=True)
class Cell:
    """A row with a field that is no plain one, and one that may be missing."""

    name: str
    score: float
    place: int | None = None
    parts: tuple[str, ...] = ()


ONE = Rows([Cell("a", 1.5, 3, ("x",)), Cell("b" * 60, 0.25)], Cell)


def test_a_listing_is_a_sequence_and_a_table() -> None:
    assert len(ONE) == 2
    assert [row.name[0] for row in ONE] == ["a", "b"]
    assert ONE[-1].score == 0.25
    assert ONE[:1] == [ONE[0]]
    table = ONE.to_arrow()
    assert table.to_pydict() == {"rank": [1, 2], "name": ["a", "b" * 60], "score": [1.5, 0.25], "place": [3, None]}
    assert list(ONE.to_pandas().columns) == ["rank", "name", "score", "place"]
    lines = repr(ONE).splitlines()
    assert lines[0].split() == ["rank", "name", "score", "place"]
    assert lines[2].split() == ["2", "b" * 47 + "…", "0.25"]


def test_a_table_without_rows_has_the_same_types() -> None:
    assert Rows([], Cell).to_arrow().schema == ONE.to_arrow().schema
    assert repr(Rows([], Cell)).split() == ["rank", "name", "score", "place"]


def test_a_batch_names_the_question_of_each_row() -> None:
    both = Batch(["first", "second", "third"], [ONE, Rows([], Cell), ONE], Cell)
    assert len(both) == 3
    assert both[2] is ONE
    assert both[1:].queries == ["second", "third"]
    assert both.to_pandas()["query"].tolist() == ["first", "first", "third", "third"]
    assert both.to_arrow().drop_columns(["query"]).slice(0, 2) == ONE.to_arrow()
    assert repr(both).splitlines()[1].split()[:3] == ["first", "1", "a"]


def test_a_field_called_query_leaves_its_name_to_the_rows() -> None:
    @dataclass(frozen=True)
    class Asked:
        query: str

    table = Batch(["p"], [Rows([Asked("pandas")], Asked)], Asked).to_pandas()
    assert table.to_dict("list") == {"request": ["p"], "rank": [1], "query": ["pandas"]}


def test_what_is_shown_controls_no_terminal_and_keeps_its_columns() -> None:
    both = Batch(["\x9b31m"], [Rows([Cell("a\x1b[2J\u202e", 0.5), Cell("日本語", 0.25)], Cell)], Cell)
    lines = repr(both).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["\\x9b31m"] * 2
    assert lines[1].split()[2] == "a\\x1b[2J\\u202e"
    # A wide letter takes two places.
    assert lines[1].index("0.5") == lines[2].index("0.25") + 1 + len("日本語")
    assert both[0][0].name == "a\x1b[2J\u202e"


def test_long_tables_are_cut() -> None:
    table = arrow_table({"n": np.arange(1234), "text": np.array(["é\n1"] * 1234, dtype=object)})
    lines = drawn(table, rows=2).splitlines()
    assert lines == ["n  text", "0  é 1", "1  é 1", "… 1,232 more"]


@pytest.mark.parametrize("slice_", [slice(0, 1), slice(5, 9)])
def test_slices_of_batches_are_batches(slice_: slice) -> None:
    both = Batch(["first"], [ONE], Cell)
    assert isinstance(both[slice_], Batch)
