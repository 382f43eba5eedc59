"""All files of an input in one reading, and the identity of an input of which suppressed keys are left out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.formats import RawBatch, Reading, read_file
from fingerpost.schemas.refs import digest_of


def read_files(path: str | Path, reading: Reading) -> Iterator[RawBatch]:
    """The rows of a file, or of the Parquet files of a folder; InputError if there are none that can be read."""
    return (batch for file in input_files(path) for batch in read_file(file, reading))


def dropped_in(path: str | Path, reading: Reading) -> list[str]:
    """The sorted digests of the suppressed keys in an input, which is not read where nothing is suppressed."""
    if reading.suppressed is None:
        return []
    for _ in read_files(path, reading):
        pass
    return sorted(reading.dropped)


def keyed_identity(path: str | Path, reading: Reading) -> str:
    """sha256 over contents, mapping and the digests of suppressed keys in them; InputError if it cannot be read."""
    return with_digests(input_fingerprint(path, reading.mapping), dropped_in(path, reading))


def with_digests(identity: str, digests: Sequence[str]) -> str:
    """An identity combined with the digests of what was left out; the identity itself if nothing was."""
    return digest_of([identity, list(digests)]) if digests else identity
