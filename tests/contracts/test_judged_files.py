"""Judged queries in users' files: what is read, what is quarantined with which reason, and what is left out as forgotten."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.judged import JudgedBatch, JudgedFile
from fingerpost.schemas.inputs.suppression import Suppressed

QUERIES = [{"id": "q1", "query": "lift of a wing"}, {"id": "q2", "query": " boundary\n layer "}]
JUDGED = [
    {"query_id": "q2", "document_id": "d7", "grade": 2},
    {"query_id": "q1", "document_id": "d3", "grade": 1},
    {"query_id": "q1", "document_id": "d7", "grade": 0},
]


def written(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(
    tmp_path: Path, queries: Sequence[dict[str, Any]], judged: Sequence[dict[str, Any]], **more: Any
) -> JudgedBatch:
    files = (written(tmp_path / "queries.jsonl", queries), written(tmp_path / "judged.jsonl", judged))
    return JudgedFile(*files, **more).read()


def triples(batch: JudgedBatch) -> list[tuple[str, str, float]]:
    ids = batch.queries["id"].to_pylist()
    return [(ids[row["query"]], row["document"], row["grade"]) for row in batch.judgements.to_pylist()]


def reasons(batch: JudgedBatch) -> dict[str, int]:
    return batch.quarantine.reasons() | batch.bad_queries.reasons()


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_every_kind_of_file_is_read(tmp_path: Path, suffix: str) -> None:
    files = (
        written(tmp_path / f"queries.{suffix}", QUERIES),
        written(tmp_path / f"judgements.{suffix}", JUDGED),
    )
    batch = JudgedFile(*files).read()
    assert batch.queries.to_pylist() == [
        {"id": "q1", "text": "lift of a wing"},
        {"id": "q2", "text": "boundary layer"},
    ]
    assert triples(batch) == [("q2", "d7", 2.0), ("q1", "d3", 1.0), ("q1", "d7", 0.0)]
    assert reasons(batch) == {}


def test_the_columns_of_other_collections_are_known_or_mapped(tmp_path: Path) -> None:
    queries = [{"_id": 1, "text": "lift"}]
    judged = [{"query-id": 1, "corpus-id": 5, "score": 1}]
    assert triples(read(tmp_path, queries, judged)) == [("1", "5", 1.0)]
    own, theirs = [{"number": "1", "topic": "lift"}], [{"topic": "1", "doc": "5", "rel": 2}]
    names = {"id": "number", "query": "topic", "query_id": "topic", "document_id": "doc", "grade": "rel"}
    batch = read(tmp_path, own, theirs, mapping=tuple(sorted(names.items())))
    assert triples(batch) == [("1", "5", 2.0)]


def test_one_file_has_queries_and_judgements(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"query": "lift", "id": "d1", "grade": 2},
        {"query": "drag", "id": None, "grade": None},
        {"query": "lift ", "id": "d2", "grade": 0},
    ]
    batch = JudgedFile(written(tmp_path / "judged.jsonl", rows)).read()
    assert batch.queries["id"].to_pylist() == batch.queries["text"].to_pylist() == ["lift", "drag"]
    assert triples(batch) == [("lift", "d1", 2.0), ("lift", "d2", 0.0)]
    assert reasons(batch) == {}


def test_without_grades_all_are_relevant(tmp_path: Path) -> None:
    batch = read(tmp_path, QUERIES, [{"query_id": "q1", "document_id": "d1"}])
    assert triples(batch) == [("q1", "d1", 1.0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"query_id": "", "document_id": "d1", "grade": 1}, "no query"),
        ({"query_id": "q1", "document_id": " ", "grade": 1}, "no document"),
        ({"query_id": "q1", "document_id": "d1", "grade": None}, "no grade"),
        ({"query_id": "q1", "document_id": "d1", "grade": -1}, "negative grade"),
        ({"query_id": "q1", "document_id": "d1", "grade": 101}, "grade too large"),
        ({"query_id": "q1", "document_id": "d1", "grade": 1e999}, "grade not finite"),
        ({"query_id": "q1", "document_id": "d1", "grade": float("nan")}, "grade not finite"),
        ({"query_id": "q1", "document_id": "d1", "grade": "very"}, "wrong type"),
        ({"query_id": ["q1"], "document_id": "d1", "grade": 1}, "wrong type"),
        ({"query_id": "q9", "document_id": "d1", "grade": 1}, "unknown query"),
        ({"query_id": "q1", "document_id": "d3", "grade": 2}, "duplicate judgement"),
    ],
)
def test_bad_judgements_are_quarantined(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    batch = read(tmp_path, QUERIES, [*JUDGED, row])
    assert reasons(batch) == {reason: 1}
    assert list(batch.quarantine.found) == [3]
    assert len(triples(batch)) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "", "query": "lift"}, "query: no id"),
        ({"id": "q3", "query": "\n"}, "query: no query"),
        ({"id": "q1", "query": "drag"}, "query: duplicate id"),
        ({"id": "q3", "query": 7}, "query: wrong type"),
    ],
)
def test_bad_queries_are_quarantined(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    batch = read(tmp_path, [*QUERIES, row], JUDGED)
    assert reasons(batch) == {reason: 1}
    assert batch.queries["text"].to_pylist() == ["lift of a wing", "boundary layer"]


def test_words_in_place_of_grades_are_quarantined_in_csv_too(tmp_path: Path) -> None:
    (tmp_path / "judged.csv").write_text("query,id,grade\nlift,d1,good\nlift,d2,2\n")
    batch = JudgedFile(str(tmp_path / "judged.csv")).read()
    assert triples(batch) == [("lift", "d2", 2.0)]
    assert reasons(batch) == {"wrong type": 1}


@pytest.mark.parametrize("key", ["q1", "lift of a wing"])
def test_forgotten_queries_leave_nothing(tmp_path: Path, key: str) -> None:
    suppressed = Suppressed.of([key], b"salt")
    batch = read(tmp_path, QUERIES, JUDGED, suppressed=suppressed)
    assert batch.queries["id"].to_pylist() == ["q2"]
    assert triples(batch) == [("q2", "d7", 2.0)]
    assert reasons(batch) == {}


def test_forgotten_documents_leave_no_judgements(tmp_path: Path) -> None:
    files = (written(tmp_path / "queries.csv", QUERIES), written(tmp_path / "judged.csv", JUDGED))
    plain, without = JudgedFile(*files), JudgedFile(*files, suppressed=Suppressed.of(["d7"], b"salt"))
    assert triples(without.read()) == [("q1", "d3", 1.0)]
    assert plain.identity() != without.identity()
    assert plain.identity() == JudgedFile(*files, suppressed=Suppressed.of(["d8"], b"salt")).identity()


def test_another_mapping_or_content_is_another_identity(tmp_path: Path) -> None:
    files = (written(tmp_path / "queries.csv", QUERIES), written(tmp_path / "judged.csv", JUDGED))
    before = JudgedFile(*files).identity()
    assert JudgedFile(*files, mapping=(("grade", "grade"),)).identity() != before
    written(tmp_path / "judged.csv", JUDGED[:2])
    assert JudgedFile(*files).identity() != before


def test_missing_columns_are_named_with_the_setting_that_maps_them(tmp_path: Path) -> None:
    queries, judged = tmp_path / "queries.csv", tmp_path / "judged.csv"
    queries.write_text("id,query\nq1,lift\n")
    judged.write_text("query_id,page\nq1,d1\n")
    with pytest.raises(
        InputError, match=r"judged.csv: expected a column 'document_id'.*ann.judged.columns.document_id="
    ):
        JudgedFile(str(queries), str(judged)).check()
    with pytest.raises(InputError, match=r"judged.csv: expected a column 'query', found query_id, page"):
        JudgedFile(str(judged)).check()
    with pytest.raises(InputError, match=r"expected one of id, query, query_id, document_id, grade before '='"):
        JudgedFile(str(queries), str(judged), mapping=(("document", "page"),)).check()
