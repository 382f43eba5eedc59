"""Times of events, in whatever form an input has them, as microseconds since 1970 in UTC."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: The time of an event without one.
NO_TIME = -1

#: What stands for a value that is no time.
_WRONG = -2
#: The end of the times that are understood, 2100-01-01, in seconds.
_END = 4_102_444_800
#: Seconds, milliseconds, microseconds and nanoseconds: units in a second, and the first number that is one of them: 1973,
#: for the others 2001. Smaller numbers may be dates in digits, such as 20060301 or 970916105432.
_UNITS = ((1, 10**8), (10**3, 10**12), (10**6, 10**15), (10**9, 10**18))
_INTEGER = re.compile(r"\d{1,18}")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_MOMENT = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?"
#: Formats whose directives mean the same on every system.
_PLAIN = re.compile(r"(?:%[YmdHMSyj%]|[^%])*")
#: Directives without a sign between them, where a number that lost its zeros would be read as another time.
_ADJACENT = re.compile(r"%[YmdHMSyj]%[YmdHMSyj]")
_START = datetime(1970, 1, 1, tzinfo=UTC)


def time_cells(
    cells: "pa.Array | Sequence[Any]", bad: Callable[[int], None], *, time_format: str = ""
) -> NDArray[np.int64]:
    """The times of a column, int64; -1 for empty cells, and for those that are not understood, given to ``bad``.

    Understood are Arrow's timestamps and dates; numbers and texts of digits, which count seconds, milliseconds,
    microseconds or nanoseconds since 1970, by their size; texts in ISO 8601. A time without a zone is in UTC. With
    ``time_format`` (of ``strptime``), texts and whole numbers are in that format. Times from 2100 are not understood.
    """
    plain = _plain(cells)
    if pa.types.is_timestamp(plain.type) or pa.types.is_date(plain.type):
        moments = plain.cast(pa.timestamp("us", getattr(plain.type, "tz", None)), safe=False).cast(pa.int64())
        times = pc.fill_null(moments, _WRONG).to_numpy(zero_copy_only=False).copy()
    elif pa.types.is_string(plain.type):
        texts = pc.utf8_trim_whitespace(plain)
        times = _formatted(texts, time_format) if time_format else _of_texts(texts)
    elif time_format:
        times = _formatted(_digits(plain), time_format)
    else:
        times = _of_numbers(plain.fill_null(0).to_numpy(zero_copy_only=False))
    times[_empty(plain)] = NO_TIME
    wrong = (times < NO_TIME) | (times >= _END * 10**6) | ((times == NO_TIME) & ~_empty(plain))
    for i in np.flatnonzero(wrong).tolist():
        bad(i)
    times[wrong] = NO_TIME
    return times


def _plain(cells: "pa.Array | Sequence[Any]") -> pa.Array:
    """The cells as timestamps, dates, whole numbers, numbers or texts; other values as a text that is no time."""
    if isinstance(cells, pa.Array):
        cells = cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells
        kind, types = cells.type, pa.types
        if types.is_timestamp(kind) or types.is_date(kind) or types.is_string(kind):
            return cells
        if types.is_null(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return cells.cast(pa.string())
        if types.is_integer(kind):
            return cells.cast(pa.int64(), safe=False)
        if types.is_floating(kind):
            return cells.cast(pa.float64())
        cells = cells.to_pylist()
    return pa.array([_as_text(value) for value in cells], pa.string())


def _as_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return "?"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _empty(cells: pa.Array) -> NDArray[np.bool_]:
    empty = cells.is_null()
    if pa.types.is_string(cells.type):
        empty = pc.or_(empty, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(cells), ""), True))
    elif pa.types.is_floating(cells.type):  # how pandas writes that there is none
        empty = pc.or_(empty, pc.fill_null(pc.is_nan(cells), True))
    return np.asarray(empty.to_numpy(zero_copy_only=False))


def _digits(numbers: pa.Array) -> pa.Array:
    """Whole numbers as texts; other numbers as a text that is no time."""
    return pa.array([_as_text(value) for value in numbers.to_pylist()], pa.string())


def _of_texts(texts: pa.Array) -> NDArray[np.int64]:
    """Times of trimmed texts of digits or in ISO 8601."""
    full = pc.fill_null(texts, "")
    if _all(full, r"^\d{1,18}$"):
        return _of_numbers(full.cast(pa.int64()).to_numpy(zero_copy_only=False))
    for ending, kind in (("$", pa.timestamp("us")), (r"(Z|[+-]\d\d:\d\d)$", pa.timestamp("us", "UTC"))):
        if _all(full, _MOMENT + ending):
            try:
                return np.array(full.cast(kind).cast(pa.int64()))
            except pa.ArrowInvalid:  # one of them is not in the calendar
                break
    return np.array([_of_text(text) for text in full.to_pylist()], dtype=np.int64)


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def _of_text(text: str) -> int:
    """The time of a text of digits or in ISO 8601."""
    if _INTEGER.fullmatch(text):
        return int(_of_numbers(np.array([int(text)]))[0])
    if _NUMBER.fullmatch(text):
        return int(_of_numbers(np.array([float(text)]))[0])
    try:
        return _microseconds(datetime.fromisoformat(text))
    except ValueError:
        return _WRONG


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _START) // timedelta(microseconds=1)


def _of_numbers(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """Times of numbers, whose size says what they count; a fraction of a microsecond is cut off."""
    times = np.full(len(numbers), _WRONG, dtype=np.int64)
    for units, first in _UNITS:
        mine = (numbers >= first) & (numbers < _END * units)
        chosen = numbers[mine]
        if units > 10**6:
            times[mine] = chosen // (units // 10**6)
        else:
            factor = 10**6 // units
            times[mine] = chosen * factor if chosen.dtype.kind == "i" else np.rint(chosen * factor)
    return times


def _formatted(texts: pa.Array, time_format: str) -> NDArray[np.int64]:
    """Times of trimmed texts in a format of ``strptime``."""
    full = pc.fill_null(texts, "")
    times = np.full(len(full), _WRONG, dtype=np.int64)
    if _PLAIN.fullmatch(time_format):
        # Much faster than Python, but it takes what other systems may not: only what it writes the same again counts.
        moments = pc.strptime(full, format=time_format, unit="s", error_is_null=True)
        same = pc.fill_null(pc.equal(pc.strftime(moments, format=time_format), full), False)
        known = np.asarray(same.to_numpy(zero_copy_only=False))
        times[known] = moments.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)[known] * 10**6
        if _ADJACENT.search(time_format):
            return times
    for i in np.flatnonzero(times == _WRONG).tolist():
        try:
            times[i] = _microseconds(datetime.strptime(full[i].as_py(), time_format))
        except (ValueError, OverflowError):
            continue
    return times
