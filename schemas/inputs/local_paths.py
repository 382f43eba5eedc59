"""Paths of input files, which are on file systems of this machine."""

import re
from pathlib import Path

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.urls import without_credentials

#: A URL, also one whose slashes were joined as those of paths are; a drive has one letter.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")


def url_of(path: str | Path) -> str:
    """The URL that a path is, with the slashes that it had; empty for a path."""
    found = _URL.match(str(path))
    return f"{found[1]}://{str(path)[found.end() :]}" if found and not Path(path).exists() else ""


def check_local(path: str | Path) -> None:
    """InputError for a URL."""
    if url := url_of(path):
        raise InputError(
            f"{without_credentials(url)}: expected a path on this machine, got a URL; copy the file to this machine, or"
            " mount what it is in, and name its path"
        )
