"""Text that others wrote, for people and programs to read: as it stands, and unable to control a terminal.

Everything that commands write goes through here or through :mod:`fingerpost.flows.run.console`. Imports no rich.
"""

import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import typer

from fingerpost.schemas.control_characters import CONTROLS, visible
from fingerpost.schemas.errors import UsageError

_SURROGATES = re.compile("[\ud800-\udfff]")


def check_arguments(arguments: Sequence[str]) -> None:
    """FingerpostError for an argument of a command that is no text, such as the name of a file in another encoding."""
    for argument in arguments:
        if _SURROGATES.search(argument):
            raise UsageError(
                f"argument '{visible(argument)}': expected text in UTF-8, got other bytes; rename the file, or write the"
                " argument in UTF-8"
            )


def echo(*lines: object, err: bool = False) -> None:
    """Writes lines to standard output, or to standard error."""
    for line in lines:
        typer.echo(visible(str(line)), err=err)


def echo_json(value: Any, *, indent: int | None = 1, default: Callable[[Any], Any] | None = None) -> None:
    """Writes a value as JSON to standard output; ``default`` as in :func:`json.dumps`."""
    text = json.dumps(value, indent=indent, ensure_ascii=not _encodes_all(sys.stdout), default=default)
    typer.echo(json_text(text))


def json_text(text: str) -> str:
    """A JSON text with the control characters that JSON allows in strings as escapes of JSON."""
    return CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


class _PlainRecord(logging.LogRecord):
    """A message of a log, which may quote what others wrote."""

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        return visible(super().getMessage(), keep="\n\t")


def reader_gone() -> NoReturn:
    """Ends the command as SIGPIPE would: whoever read its output has ended."""
    with suppress(OSError, ValueError):
        # What is still buffered is written nowhere at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(141)


def write_anything() -> None:
    """Lets standard output and error show characters that their encoding lacks as escapes, instead of failing.

    Logs show control characters as escapes too.
    """
    logging.setLogRecordFactory(_PlainRecord)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _encodes_all(stream: Any) -> bool:
    return str(getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "").startswith("utf")
