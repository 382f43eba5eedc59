"""Lines of graph files whose names say nothing of their format, with or without gzip."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from fingerpost.schemas.inputs.files import is_compressed, lines_of, readable
from fingerpost.schemas.inputs.limits import limits


@contextmanager
def opened_lines(file: Path) -> Iterator[Iterator[str]]:
    """The lines of a text file in UTF-8, unpacked where its name ends in .gz.

    InputError for a file that cannot be read, is not UTF-8, or has lines or contents beyond the limits.
    """
    with readable(file), gzip.open(file) if is_compressed(file) else open(file, "rb") as handle:
        yield lines_of(file, _bounded(file, cast(IO[bytes], handle)))


def _bounded(file: Path, handle: IO[bytes]) -> Iterator[bytes]:
    bounds, size, number = limits(), 0, 0
    most_of_line, most = bounds.line_bytes, bounds.unpacked_most(file) if is_compressed(file) else None
    while line := handle.readline(most_of_line + 2):
        number, size = number + 1, size + len(line)
        if len(line) > most_of_line:
            bounds.check_line(file, len(line.rstrip(b"\n")), number)
        if most is not None and size > most:
            bounds.check_unpacked(file, size)
        yield line
