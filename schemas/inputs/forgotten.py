"""Inputs without the rows that are to be forgotten: from outside, or rebuilt from what a store still holds."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from schemas import corpus
from schemas.inputs.columns import DocumentBatch, checked_mapping
from schemas.inputs.documents import read_documents
from schemas.inputs.files import input_files
from schemas.inputs.formats import Reading, read_file
from schemas.inputs.sources import FileSource, PythonDocsSource
from schemas.inputs.suppression import Suppressed
from schemas.refs import Ref, digest_of
from schemas.store import Store


@dataclass(frozen=True)
class SuppressedFile:
    """A file of documents without suppressed rows; one that holds none of them is what it was."""

    source: FileSource
    suppressed: Suppressed

    def __str__(self) -> str:
        return str(self.source)

    def identity(self) -> str:
        """The file's, and the digests of the suppressed keys that it holds."""
        found = sorted(scan(self.source, self.suppressed).dropped)
        return with_digests(self.source.identity(), found)

    def read(self) -> DocumentBatch:
        """Its other rows, the bad ones set aside."""
        return read_documents(self.source.path, mapping=dict(self.source.mapping), suppressed=self.suppressed)


@dataclass(frozen=True)
class SuppressedDocs:
    """The built-in sample without suppressed documents. All suppressed keys count: to look for them is to parse everything."""

    source: PythonDocsSource
    suppressed: Suppressed

    def __str__(self) -> str:
        return str(self.source)

    def identity(self) -> str:
        """The sample's, and the digests of all suppressed keys."""
        return with_digests(self.source.identity(), sorted(digest for digest, _ in self.suppressed.entries))

    def distribution(self, name: str) -> tuple[pa.Table, int]:
        """The other documents of one distribution, and how many of its sources could not be parsed."""
        rows, unparsed = self.source.distribution(name)
        return rows_without(rows, self.suppressed), unparsed

    def read(self) -> DocumentBatch:
        """The other documents of all distributions."""
        found = self.source.read()
        return DocumentBatch(rows_without(found.accepted, self.suppressed), found.quarantined, found.reasons)


@dataclass(frozen=True)
class StoredInput:
    """An input that is gone, as its documents and quarantine are in the store, without suppressed rows."""

    store: Store
    documents: Ref
    suppressed: Suppressed

    def __str__(self) -> str:
        return f"what {self.documents} was made of"

    def identity(self) -> str:
        """That of the input that is gone, and the digests of the suppressed keys."""
        (given,) = self.store.manifest(self.documents).identity["input_identities"].values()
        return with_digests(str(given), sorted(digest for digest, _ in self.suppressed.entries))

    def read(self) -> DocumentBatch:
        """The other rows, and those that were set aside."""
        opened = self.store.open(self.documents, corpus.DOCUMENTS)
        companion = Ref.parse(opened.manifest.run["companions"][corpus.QUARANTINE.name])
        bad = rows_without(self.store.open(companion, corpus.QUARANTINE).read("rows"), self.suppressed)
        reasons = dict(sorted(Counter(bad["reason"].to_pylist()).items()))
        return DocumentBatch(rows_without(opened.read("documents"), self.suppressed), bad, reasons)


def suppressing(source: "FileSource | PythonDocsSource", suppressed: Suppressed | None) -> (
    "FileSource | PythonDocsSource | SuppressedFile | SuppressedDocs"
):  # fmt: skip
    """The source without what is to be forgotten; the source itself where nothing is."""
    if suppressed is None:
        return source
    return SuppressedFile(source, suppressed) if isinstance(source, FileSource) else SuppressedDocs(source, suppressed)


def scan(source: FileSource, suppressed: Suppressed, *, keep: bool = False) -> Reading:
    """A reading of a whole file that counts its suppressed rows, and keeps their values if asked to."""
    mapping = checked_mapping(dict(source.mapping))
    reading = Reading(mapping, suppressed=suppressed, forgotten=[] if keep else None, keys_only=not keep)
    for file in input_files(source.path):
        for _ in read_file(file, reading):
            pass
    return reading


def rows_without(table: pa.Table, suppressed: Suppressed) -> pa.Table:
    """The rows of a table whose key is not suppressed; lines that were no rows go if they mention one."""
    return table.filter(pa.array([not found for found in holding(table, suppressed)], pa.bool_()))


def holding(table: pa.Table, suppressed: Suppressed) -> list[bool]:
    """Whether each row of documents or of a quarantine is about a suppressed key."""
    is_quarantine = "detail" in table.column_names  # which has the key of a row as its id, whatever its column
    keys = table["id" if is_quarantine else suppressed.column].to_pylist()
    if not is_quarantine:
        return [bool(suppressed.match(key)) for key in keys]
    rows = zip(keys, table["reason"].to_pylist(), table["detail"].to_pylist(), strict=True)
    return [bool(suppressed.match(key) or _mentions(suppressed, *row)) for key, *row in rows]


def _mentions(suppressed: Suppressed, reason: str, detail: str) -> bool:
    """Whether a line that is no row, or a key that is no text, holds a suppressed key."""
    no_text = reason == "wrong type" and detail.startswith(f"{suppressed.column} is ")
    return (no_text or reason == "invalid line") and bool(suppressed.mentioned(detail))


def with_digests(identity: str, digests: list[str]) -> str:
    """An identity that also says what was left out; itself where nothing was."""
    return digest_of([identity, digests]) if digests else identity
