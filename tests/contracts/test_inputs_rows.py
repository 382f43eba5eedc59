"""Every kind of bad row is set aside with its position, its id, the reason and what was found."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fingerpost.schemas.corpus import DOCUMENTS, QUARANTINE
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.forms import DOCUMENT_SCHEMA, QUARANTINE_SCHEMA, DocumentBatch
from fingerpost.schemas.inputs.sources import InputSource, PythonDocsSource, check_rows, read_distribution


def read_lines(folder: Path, *lines: str, name: str = "rows.jsonl") -> DocumentBatch:
    (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    batch = read_documents(folder / name)
    DOCUMENTS.table("documents").check(batch.accepted, where="accepted")
    QUARANTINE.table("rows").check(batch.quarantined, where="quarantined")
    return batch


def test_columns_of_the_contracts() -> None:
    assert pa.schema([(f.name, f.type) for f in DOCUMENTS.table("documents").fields]) == DOCUMENT_SCHEMA
    assert pa.schema([(f.name, f.type) for f in QUARANTINE.table("rows").fields]) == QUARANTINE_SCHEMA


@pytest.mark.parametrize(
    ("line", "key", "reason", "detail"),
    [
        ('{"title": "t"}', "", "no id", "the id is empty"),
        ('{"id": null, "title": "t"}', "", "no id", "the id is empty"),
        ('{"id": " \\t", "title": "t"}', "", "no id", "the id is empty"),
        ('{"id": 1.5, "title": "t"}', "1.5", "wrong type", "id is a number (1.5), not text or a whole number"),
        ('{"id": true, "title": "t"}', "True", "wrong type", "id is true or false (True), not text or a whole number"),
        ('{"id": [7], "title": "t"}', "[7]", "wrong type", "id is a list ([7]), not text or a whole number"),
        ('{"id": "good", "title": "t"}', "good", "duplicate id", "row 0 has it"),
        ('{"id": " good ", "title": "t"}', "good", "duplicate id", "row 0 has it"),
        ('{"id": "b"}', "b", "empty text", "neither title nor text nor vector"),
        ('{"id": "b", "title": " ", "text": null}', "b", "empty text", "neither title nor text nor vector"),
        ('{"id": "b", "text": 5}', "b", "wrong type", "text is a whole number (5), not text"),
        ('{"id": "b", "title": "t", "text": NaN}', "b", "wrong type", "text is a number (nan), not text"),
        ('{"id": "b", "text": ["x"]}', "b", "wrong type", "text is a list (['x']), not text"),
        ('{"id": "b", "text": {"x": 1}}', "b", "wrong type", "text is an object ({'x': 1}), not text"),
        ('{"id": "b", "title": "t", "kind": false}', "b", "wrong type", "kind is true or false (False), not text"),
        (
            '{"id": "b", "text": "\\ud800"}',
            "b",
            "wrong type",
            "text holds half of a surrogate pair, which is no text: '\\ud800'",
        ),
        ('{"id": "\\ud800", "text": "x"}', "\\ud800", "wrong type", "id holds half of a surrogate pair"),
        ('{"id": "b", "text": "x", "day": "2024-02-30"}', "b", "wrong type", "day is '2024-02-30', not YYYY-MM-DD"),
        ('{"id": "b", "text": "x", "day": "20240201"}', "b", "wrong type", "day is '20240201', not YYYY-MM-DD"),
        ('{"id": "b", "text": "x", "day": "2024-W01-1"}', "b", "wrong type", "day is '2024-W01-1', not YYYY-MM-DD"),
        ('{"id": "b", "text": "x", "day": 20240201}', "b", "wrong type", "day is a whole number (20240201), not text"),
        ('{"id": "b", "vector": "1 2"}', "b", "wrong type", "vector is text ('1 2'), not a list of numbers"),
        ('{"id": "b", "vector": [1, "2"]}', "b", "wrong type", "vector is a list ([1, '2']), not a list of numbers"),
        ('{"id": "b", "vector": [1, true]}', "b", "wrong type", "vector is a list ([1, True]), not a list of numbers"),
        ('{"id": "b", "vector": [[1, 2]]}', "b", "wrong type", "vector is a list ([[1, 2]]), not a list of numbers"),
        ('{"id": "b", "vector": [1, NaN]}', "b", "vector not finite", "number 1 of 2 is null, NaN, infinite or over"),
        ('{"id": "b", "vector": [-Infinity, 1]}', "b", "vector not finite", "number 0 of 2 is null, NaN, infinite"),
        ('{"id": "b", "vector": [null, 1]}', "b", "vector not finite", "number 0 of 2 is null"),
        (
            '{"id": "b", "vector": [1e39, 1]}',
            "b",
            "vector not finite",
            "number 0 of 2 is null, NaN, infinite or over the range of",
        ),
        ('{"id": "b", "vector": [1' + 400 * "0" + ", 1]}", "b", "vector not finite", "number 0 of 2"),
        ('{"id": "b", "vector": [1, 2, 3]}', "b", "vector of wrong length", "3 numbers, most have 2"),
        ('{"id": "b", "vector": []}', "b", "vector of wrong length", "0 numbers, most have 2"),
        ('{"id": "b", "vector": [0, 0.0]}', "b", "zero vector", "all its 2 numbers are 0"),
        ('{"id": "b", "vector": [0, 1e-60]}', "b", "zero vector", "all its 2 numbers are 0"),
        ('{"id": "b", ', "", "invalid line", "line 2: not JSON ("),
        ('["id", "b"]', "", "invalid line", 'line 2: list where an object is expected: ["id", "b"]'),
        ("[" * 100_000, "", "invalid line", "line 2: not JSON (maximum recursion depth"),
        ('{"id": ' + "9" * 5000 + "}", "", "invalid line", "line 2: not JSON (Exceeds the limit"),
    ],
)
def test_bad_row(tmp_path: Path, line: str, key: str, reason: str, detail: str) -> None:
    good = '{"id": "good", "text": "x", "vector": [1, 2]}', '{"id": "last", "text": "x", "vector": [-1, 0]}'
    batch = read_lines(tmp_path, good[0], line, good[1])
    assert batch.accepted["id"].to_pylist() == ["good", "last"]
    assert batch.accepted["vector"].to_pylist() == [[1, 2], [-1, 0]]
    (bad,) = batch.quarantined.to_pylist()
    assert (bad["row"], bad["id"], bad["reason"]) == (1, key, reason)
    assert detail in bad["detail"]
    assert batch.reasons == {reason: 1}


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("b,t", "invalid line", "line 3: 2 fields where the header has 3: b,t"),
        ("b,t,,,", "invalid line", "line 3: 5 fields where the header has 3: b,t,,,"),
        ('b,"t"t,', "invalid line", "line 3: ',' expected after '\"'"),
        (",t,", "no id", "the id is empty"),
        ("b, ,", "empty text", "neither title nor text nor vector"),
        ("good,t,", "duplicate id", "row 0 has it"),
        ("b,t,1 2", "wrong type", "vector is text ('1 2'), not a list of numbers"),
        ('b,t,"{""x"": 1}"', "wrong type", "vector is text ('{\"x\": 1}'), not a list of numbers"),
        ('b,t,"[1, NaN]"', "vector not finite", "number 1 of 2 is null, NaN"),
        ('b,t,"[0, 0]"', "zero vector", "all its 2 numbers are 0"),
        ("b,t,[1]", "vector of wrong length", "1 numbers, most have 2"),
    ],
)
def test_bad_row_of_a_csv(tmp_path: Path, line: str, reason: str, detail: str) -> None:
    batch = read_lines(tmp_path, "id,title,vector", 'good,t,"[1, 2]"', line, 'last,t,"[3, 4]"', name="rows.csv")
    assert batch.accepted["id"].to_pylist() == ["good", "last"]
    (bad,) = batch.quarantined.to_pylist()
    assert (bad["row"], bad["reason"]) == (1, reason)
    assert detail in bad["detail"]


@pytest.mark.parametrize(
    ("column", "values", "detail"),
    [
        ("id", pa.array([1.5, None]), "id is a number (1.5), not text or a whole number"),
        ("id", pa.array([True, None]), "id is true or false (True), not text or a whole number"),
        ("text", pa.array([3, None]), "text is a whole number (3), not text"),
        ("text", pa.array([["x"], None]), "text is a list (['x']), not text"),
        ("text", pa.array([b"\xff", b"x"]), "text is bytes (b'\\xff'), not text"),
        ("vector", pa.array([["1"], None]), "vector is a list (['1']), not a list of numbers"),
        ("vector", pa.array([[True], None]), "vector is a list ([True]), not a list of numbers"),
        ("vector", pa.array([3.0, None]), "vector is a number (3.0), not a list of numbers"),
    ],
)
def test_bad_row_of_a_parquet_file(tmp_path: Path, column: str, values: pa.Array, detail: str) -> None:
    columns = {"id": pa.array(["a", "b"]), "title": pa.array(["t", "t"]), "text": pa.array(["", ""])}
    pq.write_table(pa.table({**columns, column: values}), tmp_path / "rows.parquet")
    batch = read_documents(tmp_path / "rows.parquet")
    first = batch.quarantined.to_pylist()[0]
    assert (first["row"], first["reason"], first["detail"]) == (0, "wrong type", detail)
    assert batch.accepted["id"].to_pylist() == ([] if column == "id" else ["b"])


def test_first_good_row_of_an_id_stays(tmp_path: Path) -> None:
    batch = read_lines(tmp_path, '{"id": 7}', '{"id": "7", "title": "x"}', '{"id": 7, "title": "y"}')
    assert batch.accepted["title"].to_pylist() == ["x"]
    assert [(bad["row"], bad["reason"], bad["detail"]) for bad in batch.quarantined.to_pylist()] == [
        (0, "empty text", "neither title nor text nor vector"),
        (2, "duplicate id", "row 1 has it"),
    ]


def test_equally_frequent_lengths_take_the_smaller(tmp_path: Path) -> None:
    lines = [json.dumps({"id": i, "vector": [1.0] * n}) for i, n in enumerate((3, 2, 3, 2, 1))]
    batch = read_lines(tmp_path, *lines)
    assert batch.accepted["id"].to_pylist() == ["1", "3"]
    assert batch.reasons == {"vector of wrong length": 3}


def test_text_without_vector_beside_vectors(tmp_path: Path) -> None:
    batch = read_lines(tmp_path, '{"id": 1, "title": "t"}', '{"id": 2, "vector": [1]}')
    assert batch.accepted["vector"].to_pylist() == [None, [1.0]]
    assert batch.quarantined.num_rows == 0


def test_rows_over_many_batches(tmp_path: Path) -> None:
    count = 20_000
    lines = [f"{i % (count - 1)},t{i}" for i in range(count)]
    lines[9_000] = "ragged"
    batch = read_lines(tmp_path, "id,title", *lines, name="rows.csv")
    assert batch.accepted["id"].to_pylist() == [str(i) for i in range(count - 1) if i != 9_000]
    assert [(bad["row"], bad["id"], bad["reason"]) for bad in batch.quarantined.to_pylist()] == [
        (9_000, "", "invalid line"),
        (count - 1, "0", "duplicate id"),
    ]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.floats(width=16), max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(DOCUMENT_SCHEMA.names, VALUES)), max_size=6))
@example(
    rows=[{"id": 0.0, "title": "0"}, {"id": -2.0, "text": "a"}, {"id": 2.0**53, "text": "a"}, {"id": 0.5, "text": "a"}]
)
def test_rows_against_their_definition(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    first = {"id": "first", "title": "t", "text": "t", "vector": [1.0] * 9}
    path.write_text("".join(json.dumps(row) + "\n" for row in [first, first | {"id": "next"}, *rows]))
    accepted = read_documents(path).accepted["id"].to_pylist()
    assert accepted == ["first", "next", *_good_ids(rows, taken={"first", "next"})]


def _good_ids(rows: list[dict[str, Any]], *, taken: set[str]) -> list[str]:
    """The rows that are documents, by definition; two rows before them have vectors of 9 numbers."""
    good, candidates = [], []
    for row in rows:
        key, vector = row.get("id"), row.get("vector")
        texts = [row.get(name) for name in ("title", "text", "kind", "package", "signature", "day")]
        if isinstance(key, float) and key.is_integer() and abs(key) < 2**53:
            key = int(key)
        if isinstance(key, bool) or not isinstance(key, str | int) or not str(key).strip():
            continue
        if any(not (text is None or isinstance(text, str)) for text in texts) or (texts[-1] or "").strip():
            continue  # no day of 3 characters is one
        if not (vector is None or isinstance(vector, list)):
            continue
        if vector and (not np.isfinite(vector).all() or not any(vector)):
            continue
        if vector is None and not ((texts[0] or "").strip() or (texts[1] or "").strip()):
            continue
        candidates.append((str(key).strip(), vector))
    votes = [9, 9] + [len(vector) for _, vector in candidates if vector]
    usual = min(set(votes), key=lambda length: (-votes.count(length), length))
    for key, vector in candidates:
        if (vector is None or len(vector) == usual) and key not in taken:
            taken.add(key)
            good.append(key)
    return good


def test_check_rows_of_extracts() -> None:
    row = {"id": "a", "title": "t", "text": "", "kind": "", "package": "", "signature": "", "day": "", "vector": None}
    table = pa.Table.from_pylist([row, row, {**row, "id": "b"}], schema=DOCUMENT_SCHEMA)
    batch = check_rows(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert batch.accepted["id"].to_pylist() == ["a", "b"]
    assert batch.quarantined["row"].to_pylist() == [1]
    assert check_rows(DOCUMENT_SCHEMA.empty_table()).accepted.num_rows == 0


def test_python_docs_source() -> None:
    rows, unparsed = read_distribution("threadpoolctl")
    DOCUMENTS.table("documents").check(rows, where="threadpoolctl")
    assert unparsed == 0
    source: InputSource = PythonDocsSource(("threadpoolctl", "toolz"))
    batch = source.read()
    assert batch.accepted.slice(0, rows.num_rows).equals(rows)
    assert set(batch.accepted["package"].to_pylist()) == {"threadpoolctl", "toolz"}
    assert batch.reasons == {}
    assert source.identity() == source.identity() != PythonDocsSource(("toolz",)).identity()
    assert str(source) == "python-docs"
