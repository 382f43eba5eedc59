"""The files of an input: their paths, their formats by name, and their bytes and lines."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError

_KINDS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".csv": "CSV",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
}


def input_files(path: str | Path) -> list[Path]:
    """The files of an input, sorted by name; InputError if there are no readable files.

    A folder holds only Parquet files; names that start with a dot or an underscore are ignored.
    """
    root = Path(path)
    if not root.exists():
        raise InputError(f"{path}: expected a file or folder, found nothing there; check the path")
    if not root.is_dir():
        kind_of(root)
        return [root]
    files = sorted(file for file in root.iterdir() if not file.name.startswith((".", "_")))
    if not files:
        raise InputError(f"{path}: expected a folder with Parquet files, found it empty; check the path")
    for file in files:
        if file.is_dir() or kind_of(file) != "Parquet":
            what = "the folder " if file.is_dir() else ""
            raise InputError(
                f"{path}: expected a folder with only Parquet files, found {what}{file.name}; "
                "move it away, or pass files of other formats individually"
            )
    return files


def kind_of(file: Path) -> str:
    """The format of a file by its name: Parquet, CSV or JSON Lines; InputError for another name."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    suffix = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if suffix not in _KINDS:
        raise InputError(
            f"{file}: expected a name that ends in {', '.join(_KINDS)}, or in one of them and .gz, "
            f"found {suffix or 'no ending'!r}; rename or convert it"
        )
    return _KINDS[suffix]


def input_fingerprint(path: str | Path, mapping: Mapping[str, str]) -> str:
    """sha256 over the contents of an input's files, their formats and the mapping; independent of their paths.

    Files whose days are moments of a time zone have another one than before such days were those of the zone.
    """
    digest = hashlib.sha256(json.dumps(sorted(mapping.items())).encode())
    for file in input_files(path):
        digest.update(f"\0{kind_of(file)}\0{is_compressed(file)}\0".encode())
        with _readable(file), open(file, "rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
        if kind_of(file) == "Parquet" and _has_zoned(file, mapping.get("day", "day")):
            digest.update(b"\0days of their zone")
    return digest.hexdigest()


def _has_zoned(file: Path, column: str) -> bool:
    """Whether a column of a Parquet file holds moments of a time zone other than UTC."""
    try:
        with opened(file) as handle:
            schema = parquet_file(owned(handle.read()) if is_compressed(file) else file).schema_arrow
    except (pa.ArrowException, OSError, InputError):
        return False  # the reader names what is wrong with it
    found = schema.field(column).type if schema.names.count(column) == 1 else pa.null()
    return bool(pa.types.is_timestamp(found) and found.tz not in (None, "UTC"))


def is_compressed(file: Path) -> bool:
    """Whether a file is compressed with gzip, by its name."""
    return file.name.lower().endswith(".gz")


@contextmanager
def opened(file: Path) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file; InputError if it is empty or cannot be read."""
    with _readable(file):
        if not file.stat().st_size:
            raise InputError(f"{file}: expected rows, found an empty file; write it again, or remove it")
        with open(file, "rb") as handle:
            yield cast(IO[bytes], gzip.GzipFile(fileobj=handle)) if is_compressed(file) else handle


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise InputError(f"{file}: expected a complete gzip file, found {problem}; compress it again") from problem
    except OSError as problem:
        raise InputError(
            f"{file}: expected a file that can be read, found {problem.strerror or problem}; check its permissions and"
            " disk"
        ) from problem


def lines_of(file: Path, handle: Iterable[bytes]) -> Iterator[str]:
    """The lines of UTF-8 text, with or without byte order mark, including line ends; InputError for other encodings."""
    for number, line in enumerate(handle, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            raise InputError(
                f"{file}: expected UTF-8, found byte {line[problem.start]:#04x} in line {number}; convert it to UTF-8"
            ) from problem
