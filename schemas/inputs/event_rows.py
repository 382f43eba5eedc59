"""Rows of query logs: keys hashed, texts cleaned, bad rows quarantined by position and reason alone."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.checks_cells import text_cells
from fingerpost.schemas.inputs.daily import DELETED
from fingerpost.schemas.inputs.event_times import time_cells
from fingerpost.schemas.inputs.formats import RawBatch
from fingerpost.schemas.inputs.forms import Form, Quarantine
from fingerpost.schemas.inputs.suppression import hashed_key, without_rows

EVENTS = Form(
    ("user", "session", "time", "query"),
    needed=("query",),
    some=("user", "session"),
    option="--set autocomplete.columns.",
    keys=("user", "session", "query"),
    numbers=(),
    spelled=("query",),
    private=True,
)
DAILY_EVENTS = replace(EVENTS, names=(*EVENTS.names, DELETED))
EVENT_SCHEMA = pa.schema(
    [("user", pa.string()), ("session", pa.string()), ("time", pa.int64()), ("query", pa.string())]
)

#: The longest query, in characters: longer ones were pasted, not typed.
LONGEST_QUERY = 1000
#: Number of keys whose hashes are remembered while a file is read.
_REMEMBERED = 2**20
_SPACE = r"[\p{Z}\p{Cc}]+"

#: What is said of a bad row, and nothing else.
_NO_TEXT = {name: f"{name} is neither text nor a whole number" for name in ("user", "session", "query")}
_NO_USER = "neither a user nor a session is given"
_TOO_LONG = f"the query has more than {LONGEST_QUERY:,} characters"
_NO_TIME = "neither a time nor a session is given"
_NO_MOMENT = "neither ISO 8601, nor a time since 1970 in a usual unit, nor in autocomplete.time_format"
_DETAILS = frozenset({*_NO_TEXT.values(), _NO_USER, _TOO_LONG, _NO_TIME, _NO_MOMENT})
_LINE = re.compile(r"line \d+")


class PrivateQuarantine(Quarantine):
    """Bad rows by position and reason alone: keys are left out, and so are details that may quote a row."""

    def add(self, row: int, key: object, reason: str, detail: str) -> None:
        """Quarantines a row; ``row`` is its position in the input, from 0."""
        line = _LINE.match(detail) if reason == "invalid line" else None
        super().add(row, None, reason, line.group() if line else detail if detail in _DETAILS else "")


class KeyHashes:
    """The keyed hashes of users and sessions; FingerpostError for an empty salt."""

    def __init__(self, salt: bytes) -> None:
        if not salt:
            raise FingerpostError(
                "events: expected the salt of the store, with which keys of users are hashed, got none; give"
                " salt=salt_of(store)"
            )
        self._salt = salt
        self._known: dict[str, str] = {"": ""}

    def hashed(self, batches: Iterable[RawBatch], quarantine: Quarantine) -> Iterator[RawBatch]:
        """Batches with users and sessions as hashes and queries as clean texts, times as they are.

        A row without a user has its session in that place. Rows of another type are quarantined, their cells empty.
        """
        for batch in batches:
            absent = pa.nulls(len(batch.rows))
            texts = {name: self._texts(name, batch, quarantine) for name in ("user", "session", "query")}
            users = pc.if_else(pc.equal(texts["user"], ""), texts["session"], texts["user"])
            yield RawBatch(
                {
                    **batch.columns,
                    "user": self._of(users),
                    "session": self._of(texts["session"]),
                    "time": batch.columns.get("time", absent),
                    "query": pc.utf8_trim_whitespace(pc.replace_substring_regex(texts["query"], _SPACE, " ")),
                },
                batch.rows,
            )

    def _texts(self, name: str, batch: RawBatch, quarantine: Quarantine) -> pa.Array:
        def report(i: int, reason: str, detail: str) -> None:
            quarantine.add(batch.rows[i], None, "wrong type", _NO_TEXT[name])

        cells = batch.columns.get(name, pa.nulls(len(batch.rows)))
        return pc.utf8_trim_whitespace(text_cells(name, cells, report, keys=EVENTS.keys))

    def _of(self, keys: pa.Array) -> pa.Array:
        encoded = keys.dictionary_encode()
        if len(self._known) > _REMEMBERED:
            self._known = {"": ""}
        known, hashes = self._known, []
        for key in encoded.dictionary.to_pylist():
            found = known.get(key)
            if found is None:
                found = known[key] = hashed_key(self._salt, key)
            hashes.append(found)
        return pa.array(hashes, pa.string()).take(encoded.indices)


def check_events(batches: Iterable[RawBatch], *, quarantine: Quarantine, time_format: str = "") -> tuple[pa.Table, int]:
    """The valid events of hashed rows, and the number of rows without a query, which are left out.

    Others are quarantined, by position and reason alone. A row gets the first applicable reason of: wrong type, no user,
    query too long, time not understood, no time (where no session is named).
    """
    tables, empty = [EVENT_SCHEMA.empty_table()], 0
    for rows in batches:
        batch = _with_query(rows)
        empty += len(set(rows.rows) - set(batch.rows) - quarantine.found.keys()) if batch is not rows else 0
        report = _Report(batch, quarantine)
        users, sessions, queries = (batch.columns[name] for name in ("user", "session", "query"))
        report.every(pc.equal(users, ""), "no user", _NO_USER)
        long = pc.greater(pc.utf8_length(queries), LONGEST_QUERY)
        report.every(long, "query too long", _TOO_LONG)
        times = time_cells(batch.columns["time"], report.not_understood, time_format=time_format)
        untimed = pc.and_(pc.equal(sessions, ""), pa.array(times < 0))
        report.every(untimed, "no time", _NO_TIME)
        table = pa.Table.from_arrays([users, sessions, pa.array(times), queries], schema=EVENT_SCHEMA)
        tables.append(table.filter(pa.array(report.good())))
    return pa.concat_tables(tables), empty


def _with_query(batch: RawBatch) -> RawBatch:
    """The rows that have a query."""
    without = pc.equal(batch.columns["query"], "").to_numpy(zero_copy_only=False)
    if not without.any():
        return batch
    columns = without_rows(dict(batch.columns), set(np.flatnonzero(without).tolist()), len(batch.rows))
    return RawBatch(columns, np.asarray(batch.rows)[~without].tolist())


class _Report:
    """Quarantines rows of a batch."""

    def __init__(self, batch: RawBatch, quarantine: Quarantine) -> None:
        self.rows, self.quarantine = batch.rows, quarantine

    def every(self, mask: Any, reason: str, detail: str) -> None:
        """Quarantines all rows of a mask."""
        for i in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist():
            self.quarantine.add(self.rows[i], None, reason, detail)

    def not_understood(self, i: int) -> None:
        """Quarantines a row whose time is not understood."""
        self.quarantine.add(self.rows[i], None, "time not understood", _NO_MOMENT)

    def good(self) -> np.ndarray:
        """Mask of the rows that are not quarantined (bool)."""
        found = self.quarantine.found
        return np.fromiter((row not in found for row in self.rows), dtype=bool, count=len(self.rows))
