"""What is written for other programs, beside its place until it is complete, so that a kill leaves nothing half-written there."""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fingerpost.schemas.errors import FingerpostError


@contextmanager
def partial_of(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """An empty hidden file, or folder, beside a path, to be moved there once it is complete; else it is removed at the end.

    Whoever writes one holds a lock on it, which ends with its process. So what killed processes left of the same path is
    known, and is removed.
    """
    for name in os.listdir(path.absolute().parent):
        if re.fullmatch(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}", name):
            _remove_left(path.with_name(name))
    partial, held = _new(path, folder=folder)
    try:
        yield partial
    finally:
        _remove(partial)
        os.close(held)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A scope in which a file is written; FingerpostError where the disk fails."""
    try:
        yield
    except OSError as problem:
        # Arrow's words repeat those of the system.
        why = os.strerror(problem.errno) if problem.errno else str(problem)
        raise FingerpostError(
            f"{path}: expected a file that can be written, got {why}; free space or name another"
        ) from problem


def _new(path: Path, *, folder: bool) -> tuple[Path, int]:
    """A new partial file or folder, and the descriptor that holds its lock."""
    while True:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        if folder:
            partial.mkdir()
        else:
            partial.touch(exist_ok=False)
        held = os.open(partial, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks removes nothing either
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if partial.exists():  # another process may have taken it for one that was left, before it was locked
            return partial, held
        os.close(held)


def _remove_left(partial: Path) -> None:
    """Removes a partial file that nobody holds."""
    try:
        held = os.open(partial, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(partial)
    except OSError:
        return
    finally:
        os.close(held)


def _remove(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)
