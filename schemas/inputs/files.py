"""The files of an input: their paths, their formats by name, and their bytes and lines."""

import gzip
import hashlib
import json
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.limits import limits

_KINDS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".csv": "CSV",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
}
#: What files of other formats begin with, what they are called, and what to do with them.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, as Excel workbooks are", "unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", "save the sheet as CSV"),
    (b"\x1f\x8b", "a gzip file", "add .gz to its name"),
    (b"BZh91AY&SY", "a bzip2 file", "unpack it"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it"),
    (b"(\xb5/\xfd", "a Zstandard file", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
    (b"ARROW1\0\0", "an Arrow file", "write it as Parquet"),
    (b"SQLite format 3\0", "a SQLite database", "export the table as CSV"),
    (b"%PDF-", "a PDF document", "export the table as CSV"),
    (b"\xff\xfe", "text in UTF-16", "convert it to UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "convert it to UTF-8"),
)
_PARQUET = b"PAR1"
#: Bytes read at a time.
_CHUNK = 2**20
_NODES = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def input_files(path: str | Path) -> list[Path]:
    """The files of an input, sorted by name; InputError if there are no readable files.

    A folder holds only Parquet files; names that start with a dot or an underscore are ignored.
    """
    root = Path(path)
    with readable(root):
        if not root.exists():
            raise InputError(f"{path}: expected a file or folder, found nothing there; check the path")
        if not root.is_dir():
            check_regular(root)
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
        check_regular(file)
    return files


def check_regular(file: Path) -> None:
    """InputError for a pipe, a socket or a device, or a link to one: it may never end, and is not read twice."""
    with readable(file):
        mode = file.stat().st_mode
    for is_such, name in _NODES:
        if is_such(mode):
            raise InputError(f"{file}: expected a file, found {name}; write its content to a file and name that")


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
        with readable(file), open(file, "rb") as content:
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
    """The decompressed bytes of a file; InputError if it is empty, of another format, or cannot be read."""
    check_regular(file)
    with readable(file):
        if not file.stat().st_size:
            raise InputError(f"{file}: expected rows, found an empty file; write it again, or remove it")
        with open(file, "rb") as handle:
            if is_compressed(file):
                yield cast(IO[bytes], _Content(file, cast(IO[bytes], gzip.GzipFile(fileobj=handle))))
                return
            _check_format(file, handle)
            # Parquet is read in any order.
            yield handle if kind_of(file) == "Parquet" else cast(IO[bytes], _Content(file, handle))


def _check_format(file: Path, handle: IO[bytes]) -> None:
    """InputError for a file that begins as one of another format; ``handle`` is at its beginning, and stays there."""
    head = handle.read(16)
    handle.seek(0)
    for mark, found, advice in _FOREIGN:
        if head.startswith(mark):
            raise InputError(f"{file}: expected {kind_of(file)}, found {found}; {advice}")
    if head.startswith(_PARQUET) and kind_of(file) != "Parquet" and _ends_with(handle, _PARQUET):
        raise InputError(f"{file}: expected {kind_of(file)}, found Parquet; rename it to end in .parquet")


def _ends_with(handle: IO[bytes], mark: bytes) -> bool:
    """Whether a file ends with some bytes; ``handle`` is at its beginning, and stays there."""
    handle.seek(-len(mark), 2)
    end = handle.read()
    handle.seek(0)
    return end == mark


class _Content:
    """The bytes of a file, and its lines as they are iterated over.

    InputError as soon as a line is too long, or what was unpacked is out of proportion to the file.
    """

    def __init__(self, file: Path, handle: IO[bytes]) -> None:
        self._file, self._handle = file, handle

    def read(self) -> bytes:
        """All bytes."""
        return b"".join(self._chunks())

    def __iter__(self) -> Iterator[bytes]:
        bounds, number, rest = limits(), 0, b""
        most = bounds.line_bytes
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                if len(line) > most:
                    bounds.check_line(self._file, len(line), number)
                yield line + b"\n"
            bounds.check_line(self._file, len(rest), number + 1)
        if rest:
            yield rest

    def _chunks(self) -> Iterator[bytes]:
        size, most = 0, limits().unpacked_most(self._file)
        while chunk := self._handle.read(_CHUNK):
            size += len(chunk)
            if size > most:
                limits().check_unpacked(self._file, size)
            yield chunk


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """A scope in which a file is read; InputError for one that is damaged or cannot be read."""
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
