"""Graphs gathered in columns are those gathered row by row: random tables and triples, read both ways."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fingerpost.schemas.inputs.graph_cells import Cells, cells_of
from fingerpost.schemas.inputs.graph_columns import GraphColumns
from fingerpost.schemas.inputs.graphs import Attribute, GraphBatch, GraphRows
from fingerpost.schemas.inputs.graphs_tables import SharedColumn, TableGraph
from fingerpost.schemas.inputs.graphs_triples import TripleFile
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.kg import GRAPH

XSD = "http://www.w3.org/2001/XMLSchema#"
SHARED = (SharedColumn("artists", ";", "artist"), SharedColumn("town"))
_FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def equal(one: GraphBatch, other: GraphBatch) -> None:
    for name, table in one.tables().items():
        GRAPH.table(name).check(table, where=name)
        assert table.to_pylist() == other.tables()[name].to_pylist(), name
    assert one.quarantined.to_pylist() == other.quarantined.to_pylist()
    assert (one.reasons, one.rows) == (other.reasons, other.rows)


def text_of(value: Any) -> tuple[str, str] | None:
    """The oracle of a cell."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return ("true" if value else "false"), f"{XSD}boolean"
    if isinstance(value, int):
        return str(value), f"{XSD}integer"
    if isinstance(value, float):
        return repr(value), f"{XSD}double"
    return (value.strip(), "") if value.strip() else None


def row_by_row(rows: list[dict[str, Any]], suppressed: Suppressed | None = None) -> GraphBatch:
    """The oracle of a table with the columns id and name, and of what its rows share."""
    found, met, taken = GraphRows(suppressed=suppressed), set[str](), set[str]()
    for place, row in enumerate(rows):
        key = row.get("id")
        key = int(key) if isinstance(key, float) and key == key and key.is_integer() else key
        named = text_of(key)
        if suppressed is not None and suppressed.match(key):
            continue
        if named is None:
            found.quarantine.add(place, None, "no id", "the cell of id is empty")
            continue
        wrong = next((name for name in row if name != "id" and isinstance(row[name], list)), None)
        if wrong is not None:
            found.quarantine.add(place, named[0], "wrong type", f"{wrong} is a list")
            continue
        cells = {name: text_of(value) for name, value in row.items() if name != "id"}
        others = [(one.type, *pair) for one in SHARED if (cell := cells.get(one.column)) for pair in one.keys(cell[0])]
        # Also of what is left out: that an id is taken does not depend on what was forgotten.
        if named[0] in met or named[0] in taken or any(other in met for _, other, _ in others):
            found.quarantine.add(place, named[0], "duplicate id", "an earlier row or a shared value has it")
            continue
        met.add(named[0])
        found.rows += 1
        found.entity(named[0], kind="song", name=(cells.get("name") or ("", ""))[0])
        for kind, other, name in others:
            taken.add(other)
            found.entity(other, kind=kind, name=name)
            found.relation(named[0], kind, other)
        for name, cell in cells.items():
            if cell is not None and name not in ("artists", "town"):
                found.attribute(named[0], Attribute(name, *cell))
    return found.batch()


_WORDS = st.sampled_from(["a", " A ", "b c", "B  C;a", "", " ", ";", "town=b c", "artist=a", "x", "é", "　x"])
_VALUES = st.one_of(_WORDS, st.none(), st.integers(-3, 3), st.floats(-2, 2), st.just(float("nan")), st.booleans())
_ROW = st.fixed_dictionaries(
    {
        "id": st.one_of(_WORDS, st.none(), st.sampled_from([1, 1.0, 2.5, "1"])),
        "name": st.one_of(_WORDS, st.none()),
        "artists": st.one_of(_WORDS, st.none()),
        "town": st.one_of(_WORDS, st.none()),
        "year": st.one_of(_VALUES, st.just([1])),
        "note": _VALUES,
    }
)


@_FEW
@given(st.lists(_ROW, min_size=1, max_size=12), st.sampled_from([None, "a", "artist=a", "1", "b c"]))
def test_a_table_of_json_lines(tmp_path: Path, rows: list[dict[str, Any]], forgotten: str | None) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    suppressed = Suppressed.of([forgotten], b"salt") if forgotten else None
    table = TableGraph(str(path), "song", "id", "name", SHARED, suppressed=suppressed)
    equal(table.read(), row_by_row(rows, suppressed))


@_FEW
@given(
    st.lists(
        st.tuples(_WORDS, _WORDS, st.integers(0, 2) | st.none(), st.floats(0, 1) | st.none()), min_size=1, max_size=9
    )
)
def test_a_table_of_parquet(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    named = [dict(zip(("id", "town", "year", "price"), row, strict=True)) for row in rows]
    schema = pa.schema([("id", pa.string()), ("town", pa.string()), ("year", pa.int64()), ("price", pa.float64())])
    pq.write_table(pa.Table.from_pylist(named, schema), tmp_path / "t.parquet")
    equal(TableGraph(str(tmp_path / "t.parquet"), "song", shared=SHARED[1:]).read(), row_by_row(named))


_KEYS = st.sampled_from(["a", "b", " c ", "é", "", "a b"])


@_FEW
@given(st.lists(st.tuples(_KEYS, _KEYS, _KEYS), min_size=1, max_size=20), st.sampled_from([None, "b", "c"]))
def test_triples(tmp_path: Path, rows: list[tuple[str, str, str]], forgotten: str | None) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(dict(zip(("head", "relation", "tail"), row, strict=True))) for row in rows))
    suppressed = Suppressed.of([forgotten], b"salt") if forgotten else None
    found = GraphRows()
    for place, row in enumerate(rows):
        triple = [text.strip() for text in row]
        if suppressed is not None and (suppressed.match(triple[0]) or suppressed.match(triple[2])):
            continue
        if all(triple):
            found.relation(*triple)
            found.rows += 1
        else:
            name = ("head", "relation", "tail")[triple.index("")]
            found.quarantine.add(place, row[0] or None, f"no {name}", "the cell is empty")
    equal(TripleFile(str(path), suppressed=suppressed).read(), found.batch())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("kl"), st.sampled_from("uvwé"), st.sampled_from(["", "t"]))
    ),
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "y", "x"]), st.sampled_from(["", "Z", "é"]))),
    st.sampled_from([None, "b", "u", "x"]),
)
def test_attributes_and_names_in_any_order(
    values: list[tuple[str, str, str, str]], named: list[tuple[str, str, str]], forgotten: str | None
) -> None:
    suppressed = Suppressed.of([forgotten], b"salt") if forgotten else None
    rows, columns = GraphRows(suppressed=suppressed), GraphColumns(suppressed=suppressed)
    for key, kind, name in named:
        rows.entity(key, kind=kind, name=name)
        columns.entities(pa.array([key]), kind=kind, names=pa.array([name]))
    for owner, key, value, datatype in values:
        rows.attribute(owner, Attribute(key, value, datatype))
        columns.attributes(pa.array([owner]), key, pa.array([value]), pa.array([datatype]))
    equal(columns.batch(), rows.batch())
    assert columns.dropped == rows.dropped


@pytest.mark.parametrize("sign", [chr(code) for code in range(0x3001) if chr(code).isspace()])
def test_blanks_around_a_text_are_those_of_python(sign: str) -> None:
    assert cells_of([f"{sign}x{sign}", sign]).texts.to_pylist() == ["x", None]


def test_values_of_other_types() -> None:
    def texts(found: Cells) -> list[tuple[str | None, str]]:
        kinds = (
            [found.datatypes] * len(found.texts) if isinstance(found.datatypes, str) else found.datatypes.to_pylist()
        )
        return list(zip(found.texts.to_pylist(), kinds, strict=True))

    assert texts(cells_of(pa.array(["a", "b", None]).dictionary_encode())) == [("a", ""), ("b", ""), (None, "")]
    assert texts(cells_of(pa.array([b"caf\xc3\xa9"]))) == [("café", "")]
    found = cells_of(pa.array([b"\xff", b"x"]))
    assert (found.wrong, found.texts.to_pylist()) == ({0: "no text in UTF-8"}, [None, "x"])
    assert cells_of(["\ud800", "x"]).wrong == {0: "half of a surrogate pair, which is no text"}
    moments = pa.array([0, None], pa.timestamp("us"))
    assert texts(cells_of(moments)) == [("1970-01-01T00:00:00", f"{XSD}dateTime"), (None, "")]
    assert texts(cells_of(pa.array([0], pa.date32()))) == [("1970-01-01", f"{XSD}date")]
    assert texts(cells_of([1, 2**70, 1.5, True])) == [
        ("1", f"{XSD}integer"),
        (str(2**70), f"{XSD}integer"),
        ("1.5", f"{XSD}double"),
        ("true", f"{XSD}boolean"),
    ]
