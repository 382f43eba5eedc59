"""Queries of a file against the live index: answers as a table, JSON lines, or a file, batch by batch. Imports no Prefect."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fingerpost.flows.domains.ann.answer_tables import heading_of
from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo, echo_json
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs.asked import AskedRows, read_asked
from fingerpost.schemas.inputs.rankings import RowWriter
from fingerpost.tasks.ann.answers import Answers
from fingerpost.tasks.ann.open import LiveIndex

#: Queries that are answered together.
_TOGETHER = 1024
#: The columns of the written file; a query without an answer is one row without rank, id, name and score.
ANSWERS = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("rank", pa.int32()),
        ("id", pa.string()),
        ("name", pa.string()),
        ("score", pa.float32()),
        ("measure", pa.string()),
    ]
)


class AnswerRow(NamedTuple):
    """A row of the answers: which query, its text or id, and one of its answers with what its score is."""

    query_id: str | None
    query: str | None
    rank: int | None
    id: str | None
    name: str | None
    score: float | None
    measure: str | None


def ask_file(
    index: LiveIndex,
    source: Path,
    output: Path | None,
    *,
    mapping: Mapping[str, str],
    options: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Answers the queries of a file in its order; ``options`` are those of a query. Writes or prints rows as they come."""
    writer = RowWriter(output, ANSWERS) if output is not None else None
    with writer or nullcontext():
        for rows in _answered(index, source, mapping, options):
            if writer is not None:
                for row in rows:
                    writer.add(*row)
            elif as_json:
                for row in rows:
                    echo_json(row._asdict(), indent=None)
            else:
                _show(rows)
    if output is not None:
        echo(output)


def _answered(
    index: LiveIndex, source: Path, mapping: Mapping[str, str], options: Mapping[str, Any]
) -> Iterator[list[AnswerRow]]:
    for batch in read_asked(source, mapping):
        for start in range(0, len(batch.values), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            asked = AskedRows(batch.by, batch.names[part], batch.values[part], batch.rows[part])
            if asked.by == "vector" and not options["distinct"]:
                yield _together(index, source, asked, options)
            else:
                yield _one_by_one(index, source, asked, options)


def _together(index: LiveIndex, source: Path, asked: AskedRows, options: Mapping[str, Any]) -> list[AnswerRow]:
    """The answers to vectors, searched together."""
    filters = [*options["filters"], *(f"{name} == {options[name]!r}" for name in ("kind", "package") if options[name])]
    names = [name if name is not None else str(row) for name, row in zip(asked.names, asked.rows, strict=True)]
    try:
        found = index.search_batch(
            pa.table({"id": names, "vector": pa.array(asked.values, pa.list_(pa.float64()))}),
            k=options["k"],
            ef=options["ef"],
            filters=" and ".join(f"({one})" for one in filters) or None,
            within=options["within"],
        )
    except FingerpostError as problem:
        raise InputError(f"{source}: {problem}") from problem
    titles = index.documents["title"]
    rows: list[AnswerRow] = []
    for name, ids, places, scores in zip(asked.names, found.ids, found.rows, found.scores, strict=True):
        answers = [
            AnswerRow(name, None, rank, key, titles[place].as_py() or key, float(score), found.measure)
            for rank, (key, place, score) in enumerate(zip(ids, places.tolist(), scores, strict=True), start=1)
            if place >= 0
        ]
        rows += answers or [AnswerRow(name, None, *[None] * 5)]
    return rows


def _one_by_one(index: LiveIndex, source: Path, asked: AskedRows, options: Mapping[str, Any]) -> list[AnswerRow]:
    rows: list[AnswerRow] = []
    for name, value, row in zip(asked.names, asked.values, asked.rows, strict=True):
        try:
            found = _answers(index, asked.by, value, options)
        except FingerpostError as problem:
            texts = "; texts are asked by a column query, or --map query=COLUMN" if asked.by == "id" else ""
            raise InputError(f"{source}, row {row}: {problem}{texts}") from problem
        text = None if asked.by == "vector" else value
        answers = [
            AnswerRow(name, text, rank, answer.id, answer.title or answer.id, answer.score, found.measure)
            for rank, answer in enumerate(found.answers, start=1)
        ]
        rows += answers or [AnswerRow(name, text, *[None] * 5)]
    return rows


def _answers(index: LiveIndex, by: str, value: Any, options: Mapping[str, Any]) -> Answers:
    if by == "query":
        return index.query(value, **{name: one for name, one in options.items() if name != "ef"})
    return index.similar(value, **options) if by == "id" else index.search(value, **options)


def _show(rows: Sequence[AnswerRow]) -> None:
    measure = next((row.measure for row in rows if row.measure), "score")
    table = table_of("", "query", "rank>", "id", "name", f"{heading_of(measure)}>")
    for row in rows:
        asked = row.query_id if row.query_id is not None else row.query or ""
        score = "" if row.score is None else f"{row.score:.3f}"
        table.add_row(asked, str(row.rank or ""), row.id or "no answer", row.name or "", score)
    wide_console().print(table)
