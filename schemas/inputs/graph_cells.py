"""The cells of a table's column as texts with their datatypes, whatever types an input has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

_XSD = "http://www.w3.org/2001/XMLSchema#"
#: From here on not every whole number is a float.
_EXACT = 2**53


@dataclass(frozen=True)
class Cells:
    """The cells of a column.

    texts: without blanks around them, null for an empty cell and for a number that is none. datatypes: the IRI of the type
    of each, or of all; empty for text. wrong: what is in cells that hold no single value, by row.
    """

    texts: pa.Array
    datatypes: "pa.Array | str" = ""
    wrong: Mapping[int, str] = field(default_factory=dict)

    def take(self, rows: pa.Array) -> "Cells":
        """The cells of some rows."""
        of_rows = self.datatypes if isinstance(self.datatypes, str) else self.datatypes.take(rows)
        return Cells(self.texts.take(rows), of_rows)


def cells_of(values: "pa.Array | Sequence[Any]") -> Cells:
    """The cells of a column as it was read."""
    if isinstance(values, pa.Array):
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            return Cells(_trimmed(values.cast(pa.string())))
        if pa.types.is_integer(values.type):
            return Cells(values.cast(pa.string()), f"{_XSD}integer")
        return _one_by_one(values.to_pylist())
    try:
        return Cells(_trimmed(pa.array(values, pa.string())))
    except (TypeError, ValueError):  # other values than texts, and texts that UTF-8 cannot hold
        return _one_by_one(values)


def keys_of(values: "pa.Array | Sequence[Any]") -> list[str]:
    """The keys in a column: as of links, a whole number may be written as a float; empty for none."""
    if isinstance(values, pa.Array) and pa.types.is_floating(values.type):
        values = values.to_pylist()
    if not isinstance(values, pa.Array):
        values = [int(value) if isinstance(value, float) and _is_whole(value) else value for value in values]
    texts: list[str] = cells_of(values).texts.fill_null("").to_pylist()
    return texts


def _is_whole(value: float) -> bool:
    return value.is_integer() and abs(value) < _EXACT


def _trimmed(texts: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _one_by_one(values: Sequence[Any]) -> Cells:
    found = [_text_of(value) for value in values]
    wrong = {i: what for i, value in enumerate(values) if (what := _wrong(value))}
    texts = [None if one is None or i in wrong else one[0] for i, one in enumerate(found)]
    return Cells(pa.array(texts, pa.string()), pa.array([one[1] if one else "" for one in found], pa.string()), wrong)


def _wrong(value: Any) -> str:
    """What a value is that is no single one, or no text; empty for any other."""
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__}"
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return "no text in UTF-8"
    if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
        return "half of a surrogate pair, which is no text"
    return ""


def _text_of(value: Any) -> tuple[str, str] | None:
    """A cell's text without blanks around it and the datatype; None for an empty cell, and for a number that is none."""
    if value is None or value != value:
        return None
    if isinstance(value, bytes):  # some writers of Parquet do not mark texts as such
        value = value.decode("utf-8", "replace")
    if isinstance(value, str | UUID):
        text = str(value).strip()
        return (text, "") if text else None
    written, kind = next((how for types, how in _WRITTEN if isinstance(value, types)), (str, ""))
    return written(value), f"{_XSD}{kind}" if kind else ""


#: How values of a type are written, and the datatype; true and false are integers too, and moments are days.
_WRITTEN: tuple[tuple[type | tuple[type, ...], tuple[Callable[[Any], str], str]], ...] = (
    (bool, (lambda value: "true" if value else "false", "boolean")),
    (int, (str, "integer")),
    (Decimal, (str, "decimal")),
    (float, (repr, "double")),
    (datetime, (lambda value: value.isoformat(), "dateTime")),
    (date, (lambda value: value.isoformat(), "date")),
)
