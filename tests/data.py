"""Where the real data sets lie: ``FINGERPOST_DATA``, or ``../shared/data`` beside the checkout."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def data_root() -> Path:
    """The folder of the data sets; it may be absent."""
    return Path(os.environ.get("FINGERPOST_DATA") or ROOT.parent / "shared" / "data")


def data_folder(name: str) -> Path:
    """The folder of one data set, or a skipped test that says which one is missing."""
    folder = data_root() / name
    if not folder.is_dir():
        pytest.skip(
            f"data set '{name}' is not in {data_root().name}/ (set FINGERPOST_DATA to the folder that holds it)"
        )
    return folder


def data_file(folder: str, name: str) -> Path:
    """One file of a data set for a benchmark, which ends with a readable line where it is missing."""
    file = data_root() / folder / name
    if not file.is_file():
        raise SystemExit(
            f"{folder}: expected {name} in a folder of that name below {data_root()}, found none; set FINGERPOST_DATA"
        )
    return file
