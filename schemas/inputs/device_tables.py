"""Tables of latencies measured on a device: operators, networks or cells, one per row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import input_fingerprint
from fingerpost.schemas.inputs.formats import Reading
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.keyed_files import check_columns, read_files
from fingerpost.schemas.inputs.rankings import RowWriter
from fingerpost.schemas.nas import MEASUREMENTS
from fingerpost.schemas.wording import shown

#: What an operator is.
OPERATOR = tuple(one.name for one in MEASUREMENTS.table("operators").fields[:9])
_WHOLE = ("size", "inputs", "outputs", "kernel", "stride", "output_size")
_FLAGS = ("relu", "added")
#: About all rows: the device's name, the operations that it executes at once, and the bytes of a value.
ABOUT = ("device", "parallelism", "bytes_per_value")
FORM = Form(
    (*OPERATOR, "architecture", "latency_ms", "spread_ms", "repeats", *ABOUT),
    needed=("latency_ms",),
    some=("kind", "architecture"),
    option="",
    keys=(),
    vectors=(),
    numbers=(),
)
_SCHEMA = pa.schema(
    [("kind", pa.string())]
    + [(name, pa.int64()) for name in _WHOLE]
    + [(name, pa.bool_()) for name in _FLAGS]
    + [("architecture", pa.string()), ("latency_ms", pa.float64()), ("spread_ms", pa.float64())]
    + [("repeats", pa.int64()), ("device", pa.string()), ("parallelism", pa.int64()), ("bytes_per_value", pa.float64())]
)
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class MeasuredRow:
    """A row: an operator by the values of OPERATOR, or a network or cell by its text; its latency, spread and repeats."""

    operator: tuple[Any, ...]
    architecture: str
    latency_ms: float
    spread_ms: float
    repeats: int


@dataclass(frozen=True)
class DeviceTable:
    """The rows of a table, and what it says of the device, by the names of ABOUT."""

    rows: tuple[MeasuredRow, ...]
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceTableFile:
    """A Parquet, CSV or JSON Lines file of latencies."""

    path: str

    def __str__(self) -> str:
        return self.path

    def check(self) -> None:
        """InputError for a file that is missing or lacks a column; reads no rows."""
        check_columns(self.path, Reading({}, form=FORM))

    def identity(self) -> str:
        """sha256 over its content; InputError if it cannot be read."""
        return input_fingerprint(self.path, {})

    def read(self) -> DeviceTable:
        """Its rows; InputError for a row that cannot be used, with its position.

        kind, size, inputs and outputs are needed of an operator; its kernel and stride are 1 by default, its output has
        as many pixels as its stride leaves, spread is 0, repeats 1.
        """
        rows, about = list[MeasuredRow](), dict[str, str]()
        reading = Reading({}, form=FORM)
        for batch in read_files(self.path, reading):
            columns = {name: _values(values) for name, values in batch.columns.items()}
            for place, position in enumerate(batch.rows):
                cells = {name: values[place] for name, values in columns.items() if values[place] not in (None, "")}
                rows.append(_row(cells, f"{self.path}: row {position}"))
                self._add(about, cells, position)
        if reading.quarantine.reasons():
            raise InputError(f"{self.path}: expected rows of the header's columns, found lines of others; correct them")
        _check_distinct(rows, self.path)
        return DeviceTable(tuple(rows), about)

    def _add(self, about: dict[str, str], cells: Mapping[str, Any], position: int) -> None:
        for name in ABOUT:
            if name not in cells:
                continue
            own = _cell(cells, name, f"{self.path}: row {position}", _ABOUT[name], None)
            if about.setdefault(name, own) != own:
                raise InputError(
                    f"{self.path}: expected one {name} in all rows, found {about[name]!r} and in row {position}"
                    f" {shown(own)}; give each device a table of its own"
                )


def check_table_name(path: Path) -> None:
    """InputError for a path that write_device_table refuses."""
    RowWriter(path, _SCHEMA)


def write_device_table(path: Path, rows: Iterable[MeasuredRow], about: Mapping[str, str]) -> None:
    """Writes rows as Parquet (.parquet) or CSV (.csv), which DeviceTableFile reads; about: by the names of ABOUT."""
    last = (about["device"], int(about["parallelism"]), float(about["bytes_per_value"]))
    with RowWriter(path, _SCHEMA) as writer:
        for row in rows:
            operator = row.operator or (None,) * len(OPERATOR)
            text = row.architecture or None
            writer.add(*operator, text, row.latency_ms, row.spread_ms, row.repeats, *last)


def _values(column: "pa.Array | Sequence[Any]") -> Sequence[Any]:
    found: Sequence[Any] = column.to_pylist() if isinstance(column, pa.Array) else column
    return [value.strip() if isinstance(value, str) else value for value in found]


def _row(cells: Mapping[str, Any], where: str) -> MeasuredRow:
    """The row of some cells, empty ones left out."""

    def number(name: str, least: float, default: float | None = None, *, whole: bool = False) -> Any:
        return _cell(cells, name, where, lambda value: _number(value, least, whole=whole), default)

    if ("kind" in cells) == ("architecture" in cells):
        found = "both" if "kind" in cells else "neither"
        raise InputError(
            f"{where}: expected the kind of an operator or an architecture, found {found}; give one of them"
        )
    latency = number("latency_ms", 1e-12)
    spread, repeats = number("spread_ms", 0.0, 0.0), number("repeats", 1, 1, whole=True)
    if "architecture" in cells:
        return MeasuredRow((), str(cells["architecture"]), latency, spread, repeats)
    size, inputs, outputs = (number(name, 1, whole=True) for name in ("size", "inputs", "outputs"))
    kernel, stride = (number(name, 1, 1, whole=True) for name in ("kernel", "stride"))
    default = 1 if cells["kind"] in ("pool", "linear") else -(-size // stride)
    output_size = number("output_size", 1, default, whole=True)
    flags = [_cell(cells, name, where, _truth, False) for name in _FLAGS]
    return MeasuredRow(
        (str(cells["kind"]), size, inputs, outputs, kernel, stride, output_size, *flags), "", latency, spread, repeats
    )


def _cell(cells: Mapping[str, Any], name: str, where: str, parse: Callable[[Any], Any], default: Any) -> Any:
    """A parsed cell; InputError for one that is needed and missing, or that cannot be parsed."""
    if name not in cells:
        if default is None:
            raise InputError(f"{where}: expected {name}, found none; add it")
        return default
    try:
        return parse(cells[name])
    except ValueError as problem:
        raise InputError(f"{where}: expected {problem} as {name}, found {shown(cells[name])}; correct it") from problem


def _number(value: Any, least: float, *, whole: bool) -> float | int:
    words = f"a {'whole number' if whole else 'number'} of at least {least:g}"
    try:
        found = float(value)
    except (TypeError, ValueError) as problem:
        raise ValueError(words) from problem
    if not least <= found < 2**53 or (whole and found != int(found)) or isinstance(value, bool):
        raise ValueError(words)
    return int(found) if whole else found


#: What a row says of the device as text: its name, a whole number, a number of bytes.
_ABOUT: Mapping[str, Callable[[Any], str]] = {
    "device": str,
    "parallelism": lambda value: str(_number(value, 1, whole=True)),
    "bytes_per_value": lambda value: f"{_number(value, 1e-3, whole=False):g}",
}


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in _TRUTH:
        raise ValueError("true or false")
    return _TRUTH[str(value).lower()]


def _check_distinct(rows: Iterable[MeasuredRow], path: str) -> None:
    """InputError for what has two latencies."""
    seen: dict[tuple[Any, ...], int] = {}
    for number, row in enumerate(rows):
        key = row.operator or (row.architecture,)
        if key in seen:
            raise InputError(
                f"{path}: expected each operator and architecture once, found {shown(key)} in rows {seen[key]} and"
                f" {number}; keep one of them"
            )
        seen[key] = number
