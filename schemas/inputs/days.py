"""The files of a path with ``{day}`` in it, one per calendar day."""

import glob
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from pathlib import Path

from fingerpost.schemas.inputs.files import input_files

#: The placeholder for the day in an input's path.
DAY = "{day}"

_DIGITS = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"

#: Within :func:`unchanging_files`, the identities of files by kind, path, sizes and times of change.
_known: ContextVar[dict[tuple[object, ...], str] | None] = ContextVar("fingerpost_files", default=None)


def files_by_day(pattern: str) -> dict[str, str]:
    """The existing files or folders of a path with ``{day}``, by day, oldest first; empty for a path without it."""
    if DAY not in pattern:
        return {}
    hits = glob.iglob(_DIGITS.join(glob.escape(part) for part in pattern.split(DAY)))
    days = {day for hit in hits for day in re.findall(_DIGITS, hit) if _is_day(day)}
    paths = {day: pattern.replace(DAY, day) for day in sorted(days)}
    return {day: path for day, path in paths.items() if os.path.exists(path)}


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


@contextmanager
def unchanging_files() -> Iterator[None]:
    """Remembers the identity of each day's file inside it, for many plans in a row over the same files."""
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def identity_once(path: str, identity: Callable[[], str], *parts: object) -> str:
    """The result of ``identity()`` for a file or folder; within :func:`unchanging_files` computed once while it stays.

    parts: what the identity depends on besides the contents.
    """
    known = _known.get()
    if known is None:
        return identity()
    states = tuple((str(file), *_state(file)) for file in input_files(path))
    key = (parts, states)
    if key not in known:
        known[key] = identity()
    return known[key]


def _state(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
