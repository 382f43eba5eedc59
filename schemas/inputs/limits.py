"""Bounds of what is read from a user's file, so that a damaged or foreign one ends early and not in all memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow.parquet as pq

from fingerpost.schemas.errors import InputError

#: What any file may unpack to, in bytes.
_ALWAYS = 2**24


@dataclass(frozen=True)
class Limits:
    """Bounds of input files.

    line_mb: maximum megabytes of a line, or of a record of a CSV.
    columns: maximum number of columns of a file.
    unpacked_times: maximum number of bytes that a compressed file unpacks to, as a multiple of its own; 16 MB are
        always allowed.
    """

    line_mb: int = 16
    columns: int = 10_000
    unpacked_times: int = 200

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) < 1:
                raise ValueError(
                    f"{entry.name}: expected at least 1, got {getattr(self, entry.name)}; {entry.default} is usual"
                )

    @property
    def line_bytes(self) -> int:
        """Bytes of a line, or of a record of a CSV."""
        return self.line_mb * 10**6

    def check_columns(self, file: Path, count: int) -> None:
        """InputError for a file with too many columns."""
        if count > self.columns:
            raise InputError(
                f"{file}: expected at most {self.columns:,} columns, found {count:,}; leave out those that are not"
                " needed, or raise input.limits.columns"
            )

    def check_line(self, file: Path, size: int, line: int) -> None:
        """InputError for a line, or a record that begins in it, of too many bytes."""
        if size > self.line_bytes:
            raise InputError(
                f"{file}: expected at most {self.line_mb} MB in each line and record, found more in that of line"
                f" {line:,}; close a quote that is open, break the line, or raise input.limits.line_mb"
            )

    def check_unpacked(self, file: Path, size: int) -> None:
        """InputError for a file that unpacks to too many bytes."""
        if size > self.unpacked_most(file):
            raise InputError(
                f"{file}: expected it to unpack to at most {self.unpacked_times} times its"
                f" {file.stat().st_size:,} bytes, found more; check what it holds, or raise"
                " input.limits.unpacked_times"
            )

    def unpacked_most(self, file: Path) -> int:
        """The number of bytes that a file may unpack to."""
        return max(_ALWAYS, self.unpacked_times * file.stat().st_size)


#: For files that were read before.
UNLIMITED = Limits(10**6, 10**9, 10**9)
USUAL = Limits()
_limits: ContextVar[Limits] = ContextVar("fingerpost_input_limits", default=USUAL)


def limits() -> Limits:
    """The bounds in force."""
    return _limits.get()


@contextmanager
def limited(bounds: Limits) -> Iterator[None]:
    """A context in which other bounds are in force."""
    token = _limits.set(bounds)
    try:
        yield
    finally:
        _limits.reset(token)


def largest(several: Iterable[Limits]) -> Limits:
    """The bounds that allow what any of several allow."""
    bounds = [Limits(), *several]
    return Limits(**{entry.name: max(getattr(one, entry.name) for one in bounds) for entry in fields(Limits)})


def check_parquet(file: Path, metadata: pq.FileMetaData) -> None:
    """InputError for a Parquet file with too many columns, or whose columns unpack to too many bytes."""
    bounds = limits()
    bounds.check_columns(file, metadata.num_columns)
    groups = range(metadata.num_row_groups)
    # A row takes some bytes, however well its values are packed.
    bounds.check_unpacked(
        file, max(4 * metadata.num_rows, sum(metadata.row_group(group).total_byte_size for group in groups))
    )
