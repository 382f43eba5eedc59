"""Sources of documents: a user's file, or the built-in sample, whose reader is loaded only when it is used."""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.checks_rows import check_rows
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.files import input_fingerprint
from fingerpost.schemas.inputs.forms import DocumentBatch

__all__ = [
    "Distribution",
    "DistributionSource",
    "FileSource",
    "InputSource",
    "PythonDocsSource",
    "check_rows",
    "read_distribution",
]


@dataclass(frozen=True)
class Distribution:
    """The documents of a distribution, the links of its pages (`LINK_SCHEMA`), and its number of unparsed sources."""

    documents: pa.Table
    links: pa.Table
    unparsed: int


class DistributionSource(Protocol):
    """The documentation of installed distributions, each separately."""

    def identity(self) -> str:
        """A digest of its content."""
        ...

    def distribution(self, name: str) -> "Distribution":
        """The documentation of one distribution."""
        ...


class InputSource(Protocol):
    """An input from outside the store; ``str`` is its name for users."""

    def __str__(self) -> str:
        """The path or name."""
        ...

    def identity(self) -> str:
        """A digest of its content."""
        ...

    def read(self) -> DocumentBatch:
        """The rows, bad ones quarantined."""
        ...


@dataclass(frozen=True)
class FileSource:
    """A file of documents (or a folder of Parquet files), with pairs (our column, the file's) where they differ."""

    path: str
    mapping: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.path

    def identity(self) -> str:
        """sha256 over contents and mapping; InputError if it cannot be read."""
        return input_fingerprint(self.path, dict(self.mapping))

    def read(self) -> DocumentBatch:
        """The rows, bad ones quarantined; InputError if it cannot be read."""
        return read_documents(self.path, mapping=dict(self.mapping))


@dataclass(frozen=True)
class PythonDocsSource:
    """The documentation of installed distributions."""

    distributions: tuple[str, ...]

    def __str__(self) -> str:
        return SAMPLE

    def identity(self) -> str:
        """sha256 over names, versions and recorded hashes; reads no source."""
        from fingerpost.schemas.inputs.python_docs import python_docs_fingerprint

        return python_docs_fingerprint(self.distributions)

    def distribution(self, name: str) -> Distribution:
        """The documentation of one distribution."""
        from fingerpost.schemas.inputs.python_docs.links import extract_with_links

        return Distribution(*extract_with_links(name))

    def read(self) -> DocumentBatch:
        """The documents of all distributions."""
        return check_rows(pa.concat_tables([read_distribution(name)[0] for name in self.distributions]))


def read_distribution(name: str) -> tuple[pa.Table, int]:
    """The documents of one distribution, and its number of unparsed sources."""
    from fingerpost.schemas.inputs.python_docs import extract_distribution

    extraction = extract_distribution(name)
    return extraction.rows, extraction.unparsed
