"""Inputs without the rows that are to be forgotten: from outside, or rebuilt from what a store still holds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas import corpus, metric, xmr
from schemas.inputs.documents import read_documents
from schemas.inputs.embeddings import EMBEDDINGS
from schemas.inputs.files import input_files
from schemas.inputs.formats import Reading, read_file
from schemas.inputs.forms import DOCUMENTS, TEXT_COLUMNS, DocumentBatch, Form, checked_mapping
from schemas.inputs.merging import PAIR_SCHEMA, InteractionBatch
from schemas.inputs.negatives import NEGATIVE_SCHEMA
from schemas.inputs.sources import Distribution, FileSource, PythonDocsSource
from schemas.inputs.suppression import Suppressed
from schemas.matrices import sparse_from_arrow
from schemas.refs import Ref, digest_of
from schemas.store import Artifact, Store

#: Columns in which no key stands, whatever the form of the rows.
_SAID = frozenset({*TEXT_COLUMNS, "vector", "image", "weight", "name", "group"} - {"id"})


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

    def distribution(self, name: str) -> Distribution:
        """The other documents of one distribution, and what they refer to among others."""
        found = self.source.distribution(name)
        links = rows_without(found.links, self.suppressed)
        targets = [[key for key in row if not self.suppressed.match(key)] for row in links["targets"].to_pylist()]
        place = links.column_names.index("targets")
        links = links.set_column(place, links.schema.field(place), pa.array(targets, pa.list_(pa.string())))
        return Distribution(rows_without(found.documents, self.suppressed), links, found.unparsed)

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
        bad, reasons = _set_aside(self.store, self.documents, self.suppressed)
        return DocumentBatch(rows_without(opened.read("documents"), self.suppressed), bad, reasons)


@dataclass(frozen=True)
class StoredLabelled(StoredInput):
    """Labelled embeddings or images whose input is gone, without suppressed rows."""

    def read(self) -> DocumentBatch:
        """The other rows (id, label, and a group of embeddings; the vector or the pixels), and those that were set aside."""
        opened = self.store.open(self.documents, metric.EMBEDDINGS, metric.IMAGES, corpus.DOCUMENTS)
        rows = opened.read(opened.contract.tables[0].name)
        if opened.contract is corpus.DOCUMENTS:  # as version 0.1 kept them
            rows = rows.select(["id", "package", "kind", "vector"]).rename_columns(list(EMBEDDINGS.names))
        bad, reasons = _set_aside(self.store, self.documents, self.suppressed)
        return DocumentBatch(rows_without(rows, self.suppressed), bad, reasons)


@dataclass(frozen=True)
class StoredInteractions:
    """Interactions whose input is gone, as they and their quarantine are in the store, without suppressed queries and labels."""

    store: Store
    interactions: Ref
    suppressed: Suppressed

    def __str__(self) -> str:
        return f"what {self.interactions} was made of"

    def identity(self) -> str:
        """That of the input that is gone, and the digests of the suppressed keys."""
        (given,) = self.store.manifest(self.interactions).identity["input_identities"].values()
        return with_digests(str(given), sorted(digest for digest, _ in self.suppressed.entries))

    def read(self) -> InteractionBatch:
        """The other queries, labels and pairs, and the rows that were set aside.

        A query that has no label any more goes, and a label of which nothing but its id was known if no query is left to it.
        """
        opened = self.store.open(self.interactions, xmr.INTERACTIONS)
        queries, labels = opened.read("queries").drop_columns(["split"]), opened.read("labels")
        weights = sparse_from_arrow(opened.read("targets"), columns=labels.num_rows).tocoo()
        row, column = weights.row.astype(np.int64), weights.col.astype(np.int64)
        asked = ~np.array(holding(queries, self.suppressed, xmr.INTERACTIONS.table("queries").key_columns), dtype=bool)
        wanted = ~np.array(holding(labels, self.suppressed), dtype=bool)
        pairs = asked[row] & wanted[column]
        asked &= np.bincount(row[pairs], minlength=len(asked)) > 0
        lost = np.bincount(column, minlength=len(wanted)).astype(bool)
        lost[column[pairs]] = False
        wanted &= ~(lost & _known_by_id(labels))
        new_row, new_column = np.cumsum(asked) - 1, np.cumsum(wanted) - 1
        order = np.flatnonzero(pairs)[np.lexsort((column[pairs], row[pairs]))]
        found = (new_row[row[order]], new_column[column[order]], weights.data[order])
        types = (np.int32, np.int32, np.float32)
        table = pa.table([pa.array(a.astype(t)) for a, t in zip(found, types, strict=True)], schema=PAIR_SCHEMA)
        bad, reasons = _set_aside(self.store, self.interactions, self.suppressed)
        unwanted = _unwanted(opened, asked, wanted)
        return InteractionBatch(
            queries.filter(pa.array(asked)), labels.filter(pa.array(wanted)), table, bad, reasons, negatives=unwanted
        )


def _unwanted(opened: Artifact, asked: np.ndarray, wanted: np.ndarray) -> pa.Table | None:
    """The negatives of the queries and labels that stay, in the new row numbers; None where no input said so."""
    if "negatives" not in opened.quality:
        return None
    found = sparse_from_arrow(opened.read("negatives"), columns=len(wanted)).tocoo()
    stays = asked[found.row] & wanted[found.col]
    rows, columns = (np.cumsum(asked) - 1)[found.row[stays]], (np.cumsum(wanted) - 1)[found.col[stays]]
    return pa.table([pa.array(rows.astype(np.int32)), pa.array(columns.astype(np.int32))], schema=NEGATIVE_SCHEMA)


def _known_by_id(labels: pa.Table) -> np.ndarray:
    """Which labels have neither a name of their own nor a text (bool)."""
    rows = zip(*(labels[name].to_pylist() for name in ("id", "name", "text")), strict=True)
    return np.array([key == name and not text for key, name, text in rows], dtype=bool)


def _set_aside(store: Store, made: Ref, suppressed: Suppressed) -> tuple[pa.Table, dict[str, int]]:
    """The quarantine of an import without suppressed rows, and how often each reason occurs."""
    companion = Ref.parse(store.manifest(made).run["companions"][corpus.QUARANTINE.name])
    bad = rows_without(store.open(companion, corpus.QUARANTINE).read("rows"), suppressed)
    return bad, dict(sorted(Counter(bad["reason"].to_pylist()).items()))


def suppressing(
    source: "FileSource | PythonDocsSource", suppressed: Suppressed | None
) -> "FileSource | PythonDocsSource | SuppressedFile | SuppressedDocs":
    """The source without what is to be forgotten; the source itself where nothing is."""
    if suppressed is None:
        return source
    return SuppressedFile(source, suppressed) if isinstance(source, FileSource) else SuppressedDocs(source, suppressed)


def scan(source: FileSource, suppressed: Suppressed, *, form: Form = DOCUMENTS, keep: bool = False) -> Reading:
    """A reading of a whole file that counts its suppressed rows, and keeps their values if asked to."""
    mapping = checked_mapping(dict(source.mapping), form)
    reading = Reading(mapping, suppressed=suppressed, forgotten=[] if keep else None, keys_only=not keep, form=form)
    for file in input_files(source.path):
        for _ in read_file(file, reading):
            pass
    return reading


def rows_without(table: pa.Table, suppressed: Suppressed) -> pa.Table:
    """The rows of a table whose key is not suppressed; lines that were no rows go if they mention one."""
    return table.filter(pa.array([not found for found in holding(table, suppressed)], pa.bool_()))


def holding(table: pa.Table, suppressed: Suppressed, columns: Sequence[str] = ()) -> list[bool]:
    """Whether each row of documents, queries, labels or of a quarantine is about a suppressed key, by these columns."""
    is_quarantine = "detail" in table.column_names  # which has the key of a row as its id, whatever its column
    chosen = ("id",) if is_quarantine else columns or (suppressed.column,)
    found = [any(map(suppressed.match, keys)) for keys in zip(*(table[n].to_pylist() for n in chosen), strict=True)]
    if not is_quarantine:
        return found
    said = zip(table["reason"].to_pylist(), table["detail"].to_pylist(), strict=True)
    return [hit or _mentions(suppressed, *row) for hit, row in zip(found, said, strict=True)]


def _mentions(suppressed: Suppressed, reason: str, detail: str) -> bool:
    """Whether a line that is no row, a key that is no text, or a label that is not known holds a suppressed key."""
    reason = reason.rpartition(": ")[2]
    column, said, _ = detail.partition(" is ")
    no_text = reason == "wrong type" and bool(said) and (column == suppressed.column or column not in _SAID)
    return (no_text or reason in ("invalid line", "unknown label")) and bool(suppressed.mentioned(detail))


def with_digests(identity: str, digests: list[str]) -> str:
    """An identity that also says what was left out; itself where nothing was."""
    return digest_of([identity, digests]) if digests else identity
