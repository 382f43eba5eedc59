"""Conversion of the values of a column to texts, vectors or numbers, whatever types an input has."""

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.errors import InputError

#: Called with the index of a bad cell in its column, the reason, and what was found.
Report = Callable[[int, str, str], None]

#: The columns whose values are keys, for which integers are accepted as texts; readers of other columns pass their own.
KEYS = frozenset({"id", "label", "query_id", "group"})

#: Where the table of a zone's changes ends and its rule begins, and where Python's calendar ends in every zone.
_RULES_END, _CALENDAR_END = (int(datetime(*day, tzinfo=UTC).timestamp()) for day in ((2037, 12, 1), (9999, 12, 30)))
VECTORS = pa.list_(pa.float32())
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBERS = frozenset({int, float, type(None)})
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "an object",
    "str": "text",
    "Decimal": "a decimal number",
}
#: From here on not every whole number is a float.
_EXACT = 2**53


def text_cells(
    name: str, cells: "pa.Array | Sequence[Any]", report: Report, *, keys: Collection[str] = KEYS
) -> pa.Array:
    """A text column with "" for absent and bad cells; dates are accepted in ``day`` only.

    In ``keys`` whole numbers are accepted, also as decimals and as floats that hold them exactly, and UUIDs.
    """
    is_key = name in keys
    cells = _plain(cells) if isinstance(cells, pa.Array) else cells
    if isinstance(cells, pa.Array) and not _is_textual(name, cells.type, is_key=is_key):
        cells = pa.array(
            [_text_of(name, i, value, report, is_key=is_key) for i, value in enumerate(cells.to_pylist())], pa.string()
        )
    elif not isinstance(cells, pa.Array):
        cells = _texts_of(name, cells, report, is_key=is_key)
    elif pa.types.is_timestamp(cells.type):
        cells = _local_time(cells).cast(pa.date32(), safe=False)
    texts = cells.cast(pa.date32(), safe=False) if pa.types.is_date64(cells.type) else cells
    texts = texts.cast(pa.string()).fill_null("")
    if name == "day":
        texts = pc.utf8_trim_whitespace(texts)
        days = [day for day in texts.unique().to_pylist() if day and not _is_day(day)]
        wrong = pc.is_in(texts, value_set=pa.array(days, pa.string()))
        for i in np.flatnonzero(wrong.to_numpy(zero_copy_only=False)).tolist():
            report(i, "wrong type", f"day is {texts[i].as_py()!r}, not YYYY-MM-DD")
    return texts


def vector_cells(cells: "pa.Array | Sequence[Any]", report: Report) -> pa.Array:
    """A column of float32 lists, null for absent cells and for cells that are not lists of numbers.

    Null numbers stay null.
    """
    cells = _plain(cells) if isinstance(cells, pa.Array) else cells
    if isinstance(cells, pa.Array):
        if pa.types.is_null(cells.type) or (_is_list(cells.type) and _is_number(cells.type.value_type)):
            return cells.cast(VECTORS, safe=False)
        if _is_list(cells.type) and pa.types.is_decimal(cells.type.value_type):  # numbers as they are written in SQL
            return cells.cast(pa.list_(pa.float64()), safe=False).cast(VECTORS, safe=False)
        cells = cells.to_pylist()
    lists: list[list[Any] | None] = []
    for i, value in enumerate(cells):
        good = value is None or (isinstance(value, list) and _NUMBERS.issuperset(map(type, value)))
        if not good:
            report(i, "wrong type", f"vector is {_named(value)}, not a list of numbers")
        lists.append(value if good else None)
    try:
        numbers = pa.array(lists, pa.list_(pa.float64()))
    except pa.ArrowInvalid:  # integers that float64 cannot hold
        rounded = [value and [None if number is None else _rounded(number) for number in value] for value in lists]
        numbers = pa.array(rounded, pa.list_(pa.float64()))
    return numbers.cast(VECTORS, safe=False)


def number_cells(name: str, cells: "pa.Array | Sequence[Any]", report: Report) -> pa.Array:
    """A column of float64, null for cells that are not numbers; numbers beyond float64 become infinite."""
    cells = _plain(cells) if isinstance(cells, pa.Array) else cells
    if isinstance(cells, pa.Array):
        if _is_number(cells.type) or pa.types.is_decimal(cells.type):
            return cells.cast(pa.float64(), safe=False)
        cells = cells.to_pylist()
    numbers: list[float | None] = []
    for i, value in enumerate(cells):
        good = type(value) in _NUMBERS
        if not good:
            report(i, "wrong type", f"{name} is {_named(value)}, not a number")
        numbers.append(_rounded(value) if good and value is not None else None)
    return pa.array(numbers, pa.float64())


@dataclass(frozen=True)
class VectorFigures:
    """Each vector's length (int64, -1 for null), number of values that are not finite, and number of zeros."""

    lengths: np.ndarray
    not_finite: np.ndarray
    zeros: np.ndarray


def vector_figures(vectors: pa.Array) -> VectorFigures:
    """The figures of a column of type ``VECTORS``; a null number is not finite."""
    lengths = pc.list_value_length(vectors).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = vectors.flatten().fill_null(float("nan")).to_numpy(zero_copy_only=False)
    stops = np.cumsum(np.maximum(lengths, 0))

    def count(flags: np.ndarray) -> np.ndarray:
        sums = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
        return np.asarray(sums[stops] - sums[stops - np.maximum(lengths, 0)])

    return VectorFigures(lengths, count(~np.isfinite(values)), count(values == 0))


def _local_time(moments: pa.Array) -> pa.Array:
    """Timestamps as clocks in their own zone show them: a day in Berlin begins an hour or two before one in UTC."""
    if moments.type.tz is None:
        return moments
    try:
        return _with_late_rules(moments, pc.local_timestamp(moments))
    except pa.ArrowInvalid as problem:
        raise InputError(
            f"day: expected timestamps of a known time zone, got {moments.type.tz!r} ({problem}); write them without"
            " a zone, or as text YYYY-MM-DD"
        ) from problem


def _with_late_rules(moments: pa.Array, local: pa.Array) -> pa.Array:
    """Local times with those after 2037 as zoneinfo has them: Arrow (26.0) forgets a zone's summer time there."""
    seconds = moments.cast(pa.timestamp("s", moments.type.tz), safe=False)
    since = seconds.cast(pa.int64())
    late = pc.fill_null(pc.and_(pc.greater(since, _RULES_END), pc.less(since, _CALENDAR_END)), False)
    if not pc.any(late).as_py():
        return local
    shown = [moment.replace(tzinfo=None) for moment in seconds.filter(late).to_pylist()]
    return pc.replace_with_mask(local, late, pa.array(shown, pa.timestamp("s")).cast(local.type))


def _texts_of(name: str, cells: Sequence[Any], report: Report, *, is_key: bool) -> pa.Array:
    try:
        return pa.array(cells, pa.string())
    except (TypeError, ValueError):
        return pa.array([_text_of(name, i, value, report, is_key=is_key) for i, value in enumerate(cells)], pa.string())


def _text_of(name: str, i: int, value: Any, report: Report, *, is_key: bool) -> str | None:
    if is_key and (number := _whole(value)) is not None:
        return str(number)
    if is_key and isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):  # some writers of Parquet do not mark texts as such
        with suppress(UnicodeDecodeError):
            return value.decode()
    if value is None or isinstance(value, str):
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            report(i, "wrong type", f"{name} holds half of a surrogate pair, which is no text: {value!r}")
            return None
        return value
    expected = f"text or a whole number{_cure(name, value)}" if is_key else "text"
    report(i, "wrong type", f"{name} is {_named(value)}, not {expected}")
    return None


def _whole(value: Any) -> int | None:
    """The whole number that a cell holds exactly; None for any other value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else None
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return int(value) if isinstance(exponent, int) and exponent >= 0 else None
    return value if isinstance(value, int) else None


def _cure(name: str, value: Any) -> str:
    """Why a value of a key that comes from a typed column does not do, and what to write instead."""
    if isinstance(value, float) and abs(value) >= _EXACT:
        return f": such a number has lost digits; write it as text, CAST({name} AS VARCHAR)"
    if isinstance(value, Decimal | bytes):
        return f"; write it as text, CAST({name} AS VARCHAR)"
    return ""


def _named(value: Any) -> str:
    shown = repr(value)
    return (
        f"{_KINDS.get(type(value).__name__, type(value).__name__)}"
        f" ({shown if len(shown) <= 40 else shown[:37] + '...'})"
    )


def _rounded(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _plain(cells: pa.Array) -> pa.Array:
    """The array with extension types (but for UUIDs), dictionaries and views replaced by plain ones."""
    if isinstance(cells, pa.ExtensionArray) and not isinstance(cells.type, pa.UuidType):
        cells = cells.storage
    cells = cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells
    if pa.types.is_list_view(cells.type) or pa.types.is_large_list_view(cells.type):
        return pa.array(cells.to_pylist(), pa.list_(cells.type.value_type))
    return cells


def _is_textual(name: str, found: pa.DataType, *, is_key: bool) -> bool:
    """Whether all values of an Arrow type are accepted as texts in this column."""
    types = pa.types
    if types.is_null(found) or types.is_string(found) or types.is_large_string(found) or types.is_string_view(found):
        return True
    return (is_key and types.is_integer(found)) or (
        name == "day" and (types.is_date(found) or types.is_timestamp(found))
    )


def _is_list(found: pa.DataType) -> bool:
    return pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)


def _is_number(found: pa.DataType) -> bool:
    return pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_null(found)
