"""Judged queries from users' files: queries and the grades of documents for them, in two files or in one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import number_cells, text_cells
from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.interaction_rows import RowReport
from fingerpost.schemas.inputs.keyed_files import check_columns, columns_of, dropped_in, read_files, with_digests
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import digest_of

_OPTION = "--set ann.judged.columns."
#: The two files, and the one in which each row has a query, a document and its grade, as replayed queries have.
JUDGED_QUERIES = Form(
    ("id", "query"),
    needed=("id", "query"),
    option=_OPTION,
    keys=("id", "query"),
    numbers=(),
    texts=("query",),
    # As the collections of BEIR call them.
    other_names={"id": ("_id", "query_id"), "query": ("text",)},
)
JUDGEMENTS = Form(
    ("query_id", "document_id", "grade"),
    needed=("query_id", "document_id"),
    option=_OPTION,
    keys=("query_id", "document_id"),
    numbers=("grade",),
    other_names={"query_id": ("query-id",), "document_id": ("corpus-id",), "grade": ("score",)},
)
JUDGED_ROWS = Form(
    ("query", "id", "grade"), needed=("query",), option=_OPTION, keys=("query", "id"), numbers=("grade",)
)
#: Gains are 2 to the power of the grade.
LARGEST_GRADE = 100.0
JUDGED_QUERY_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
#: Judgements with their positions in an input, the rows of their queries, and the ids of their documents.
JUDGEMENT_SCHEMA = pa.schema(
    [("row", pa.int64()), ("query", pa.int64()), ("document", pa.string()), ("grade", pa.float64())]
)


@dataclass(frozen=True)
class JudgedBatch:
    """Distinct queries, their judgements by the ids of documents, and the quarantined rows of both.

    queries: in the columns of ``JUDGED_QUERY_SCHEMA``. judgements: in those of ``JUDGEMENT_SCHEMA``. bad_queries: of the
    file of queries, where that is another than that of judgements.
    """

    queries: pa.Table
    judgements: pa.Table
    quarantine: Quarantine
    bad_queries: Quarantine


class JudgedSource(Protocol):
    """Judged queries from outside the store; ``str`` is their name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of their content."""
        ...

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        ...

    def read(self) -> JudgedBatch:
        """The queries and judgements, bad rows quarantined."""
        ...


@dataclass(frozen=True)
class JudgedFile:
    """Parquet, CSV or JSON Lines files of queries (id, query) and of judgements (query_id, document_id, grade).

    Without a file of judgements, that of queries has both: each row a query, the id of a document and its grade (or no id,
    for a query of which nothing is judged); a query is known by its text. The grade is 1 where there is no such column.
    mapping: pairs (our column, the file's) where they differ. suppressed: keys to leave out, ids of queries and documents and
    texts of queries.
    """

    path: str
    judgements_path: str = ""
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return f"{self.path} and {self.judgements_path}" if self.judgements_path else self.path

    def identity(self) -> str:
        """sha256 over contents, mapping and the digests of suppressed keys in them; InputError if it cannot be read."""
        prints, digests = list[str](), set[str]()
        for path, form in self._files():
            reading = self._reading(form, keys_only=True)
            prints.append(input_fingerprint(path, reading.mapping))
            digests |= set(dropped_in(path, reading))
        return with_digests(digest_of(prints), sorted(digests))

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        for path, form in self._files():
            check_columns(path, self._reading(form))

    def read(self) -> JudgedBatch:
        """The queries and judgements, and the quarantined rows.

        Reasons: wrong type, no id, no query, duplicate id, no document, no grade, grade not finite, negative grade, grade too
        large, unknown query, duplicate judgement; those of the file of queries begin with "query: ". InputError if a file
        cannot be read.
        """
        return self._of_two() if self.judgements_path else self._of_one()

    def _files(self) -> list[tuple[str, Form]]:
        if self.judgements_path:
            return [(self.path, JUDGED_QUERIES), (self.judgements_path, JUDGEMENTS)]
        return [(self.path, JUDGED_ROWS)]

    def _reading(self, form: Form, *, keys_only: bool = False) -> Reading:
        mapping = dict(part_of_mapping(self.mapping, form, alone=not self.judgements_path))
        bad = Quarantine(prefix="query: " if form is JUDGED_QUERIES else "")
        forgotten: list[dict[str, object]] | None = None if keys_only else []
        return Reading(mapping, bad, suppressed=self.suppressed, forgotten=forgotten, keys_only=keys_only, form=form)

    def _of_two(self) -> JudgedBatch:
        reading = self._reading(JUDGED_QUERIES)
        queries = _distinct(_Rows.read(self.path, reading, _query_cells), reading.quarantine)
        # A query that is left out for its text leaves no judgements without a query.
        gone = {_text(row.get("id")) for row in reading.forgotten or ()} - queries.keys()
        bad, judged = reading.quarantine, self._reading(JUDGEMENTS)
        rows = _Rows.read(self.judgements_path, judged, _judgement_cells(self.judgements_path, judged))
        rows = rows.where(np.array([key not in gone for key in rows.table["query_id"].to_pylist()], dtype=bool))
        table = pa.table([list(queries), list(queries.values())], schema=JUDGED_QUERY_SCHEMA)
        return JudgedBatch(table, _judgements(rows, "query_id", "document_id", table, judged), judged.quarantine, bad)

    def _of_one(self) -> JudgedBatch:
        reading = self._reading(JUDGED_ROWS)
        rows = _Rows.read(self.path, reading, _judged_cells(self.path, reading))
        texts = list(dict.fromkeys(rows.table["query"].to_pylist()))
        table = pa.table([texts, texts], schema=JUDGED_QUERY_SCHEMA)
        rows = rows.where(pc.not_equal(rows.table["id"], "").to_numpy())
        return JudgedBatch(table, _judgements(rows, "query", "id", table, reading), reading.quarantine, Quarantine())


def part_of_mapping(
    mapping: "tuple[tuple[str, str], ...]", form: Form, *, alone: bool = False
) -> tuple[tuple[str, str], ...]:
    """The pairs of a mapping for the columns of one of the forms; InputError for a column that neither file has."""
    forms = (JUDGED_ROWS,) if alone else (JUDGED_QUERIES, JUDGEMENTS)
    every = tuple(dict.fromkeys(name for one in forms for name in one.names))
    checked = checked_mapping(dict(mapping), Form(every, needed=every[:1], option=_OPTION))
    return tuple((ours, theirs) for ours, theirs in checked.items() if ours in form.names)


@dataclass(frozen=True)
class _Rows:
    """Checked rows: texts trimmed, grades as numbers, and their positions in the input (int64)."""

    table: pa.Table
    rows: np.ndarray

    @classmethod
    def read(cls, path: str, reading: Reading, cells: "_Cells") -> "_Rows":
        """The rows that are not quarantined."""
        tables, rows = (
            [cells(RawBatch({}, ()), RowReport(RawBatch({}, ()), reading.quarantine))],
            [np.zeros(0, np.int64)],
        )
        for batch in read_files(path, reading):
            tables.append(cells(batch, RowReport(batch, reading.quarantine)))
            rows.append(np.asarray(batch.rows, dtype=np.int64))
        found = cls(pa.concat_tables(tables), np.concatenate(rows))
        return found.where(~np.isin(found.rows, list(reading.quarantine.found)))

    def where(self, good: np.ndarray) -> "_Rows":
        """The rows of a mask (bool)."""
        return self if good.all() else _Rows(self.table.filter(pa.array(good)), self.rows[good])

    def columns(self, *names: str) -> list[list[str]]:
        """The values of columns."""
        return [self.table[name].to_pylist() for name in names]


_Cells = Callable[[RawBatch, RowReport], pa.Table]


def _query_cells(batch: RawBatch, report: RowReport) -> pa.Table:
    """The ids and texts of queries; reports those without one of them."""
    ids, texts = _cells(batch, "id", report), _on_one_line(_cells(batch, "query", report))
    report.keys = (ids,)
    report.every(pc.equal(ids, ""), "no id", "the id is empty")
    report.every(pc.equal(texts, ""), "no query", "the query is empty")
    return pa.table({"id": ids, "query": texts})


def _distinct(rows: _Rows, quarantine: Quarantine) -> dict[str, str]:
    """The texts of queries by id; a row with the id of an earlier one is quarantined."""
    queries, first = dict[str, str](), dict[str, int]()
    for position, key, text in zip(rows.rows.tolist(), *rows.columns("id", "query"), strict=True):
        if first.setdefault(key, position) != position:
            quarantine.add(position, key, "duplicate id", f"row {first[key]} has it")
        else:
            queries[key] = text
    return queries


def _judgement_cells(path: str, reading: Reading) -> _Cells:
    graded = _has_grades(path, reading)

    def cells(batch: RawBatch, report: RowReport) -> pa.Table:
        queries, documents = (_cells(batch, name, report) for name in ("query_id", "document_id"))
        report.keys = (queries,)
        report.every(pc.equal(queries, ""), "no query", "the id of the query is empty")
        report.every(pc.equal(documents, ""), "no document", "the id of the document is empty")
        return pa.table({"query_id": queries, "document_id": documents, "grade": _grades(batch, report, graded)})

    return cells


def _judged_cells(path: str, reading: Reading) -> _Cells:
    graded = _has_grades(path, reading)

    def cells(batch: RawBatch, report: RowReport) -> pa.Table:
        texts, documents = _on_one_line(_cells(batch, "query", report)), _cells(batch, "id", report)
        report.keys = (texts,)
        report.every(pc.equal(texts, ""), "no query", "the query is empty")
        grades = _grades(batch, report, graded, unless=pc.equal(documents, ""))
        return pa.table({"query": texts, "id": documents, "grade": grades})

    return cells


def _has_grades(path: str, reading: Reading) -> bool:
    """Whether an input has a column of grades; JSON Lines have a cell of every column that is looked for."""
    names = [name for file in input_files(path) for name in columns_of(file)]
    return reading.form.mapped(reading.mapping, names).get("grade", "grade") in names


def _cells(batch: RawBatch, name: str, report: RowReport) -> pa.Array:
    cells = batch.columns.get(name, pa.nulls(len(batch.rows)))
    return pc.utf8_trim_whitespace(text_cells(name, cells, report, keys={"id", "query_id", "document_id"}))


def _on_one_line(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, r"\s+", " ")


def _text(value: object) -> str:
    value = value.as_py() if isinstance(value, pa.Scalar) else value
    return "" if value is None else str(value).strip()


def _grades(batch: RawBatch, report: RowReport, graded: bool, *, unless: pa.Array | None = None) -> pa.Array:
    """The grades; 1 for each row of an input without them. ``unless`` masks rows that need none."""
    count = len(batch.rows)
    if not graded:
        return pa.array(np.ones(count))
    grades = number_cells("grade", batch.columns.get("grade", pa.nulls(count)), report)
    missing = grades.is_null()
    report.every(
        missing if unless is None else pc.and_not(missing, unless), "no grade", "the grade is empty or no number"
    )
    values = grades.fill_null(0.0).to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(~np.isfinite(values)).tolist():
        report(i, "grade not finite", f"grade is {values[i]:g}, expected a number from 0 to {LARGEST_GRADE:g}")
    for i in np.flatnonzero(values < 0).tolist():
        report(i, "negative grade", f"grade is {values[i]:g}, expected 0 or more")
    for i in np.flatnonzero(values > LARGEST_GRADE).tolist():
        report(i, "grade too large", f"grade is {values[i]:g}, expected at most {LARGEST_GRADE:g}")
    return pa.array(values)


def _judgements(rows: _Rows, query: str, document: str, queries: pa.Table, reading: Reading) -> pa.Table:
    """The judgements by rows of queries; those of unknown queries, and second ones of a pair, are quarantined."""
    places = pc.fill_null(pc.index_in(rows.table[query], value_set=queries["id"].combine_chunks()), -1).to_numpy()
    known, seen = rows.where(places >= 0), dict[tuple[str, str], int]()
    for i in np.flatnonzero(places < 0).tolist():
        reading.quarantine.add(
            int(rows.rows[i]), rows.table[query][i].as_py(), "unknown query", "no row of the queries has this id"
        )
    good = np.ones(len(known.rows), dtype=bool)
    for i, (position, *pair) in enumerate(zip(known.rows.tolist(), *known.columns(query, document), strict=True)):
        first = seen.setdefault((pair[0], pair[1]), position)
        if first != position:
            good[i] = False
            reading.quarantine.add(position, pair[0], "duplicate judgement", f"row {first} judges {pair[1]} for it")
    kept = known.where(good)
    columns = [kept.rows, places[places >= 0][good].astype(np.int64), kept.table[document], kept.table["grade"]]
    return pa.table(columns, schema=JUDGEMENT_SCHEMA)
