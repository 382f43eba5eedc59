"""Inputs without suppressed rows: from outside, or rebuilt from the artifacts of a store."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fingerpost.schemas import corpus, metric, xmr
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.embeddings import EMBEDDINGS
from fingerpost.schemas.inputs.formats import Reading
from fingerpost.schemas.inputs.forms import DOCUMENTS, TEXT_COLUMNS, DocumentBatch, Form, checked_mapping
from fingerpost.schemas.inputs.keyed_files import read_files, with_digests
from fingerpost.schemas.inputs.merging import PAIR_SCHEMA, InteractionBatch
from fingerpost.schemas.inputs.negatives import NEGATIVE_SCHEMA
from fingerpost.schemas.inputs.sources import Distribution, FileSource, PythonDocsSource
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.matrices import sparse_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store

#: Columns that hold no keys, whatever the form of the rows.
_SAID = frozenset({*TEXT_COLUMNS, "vector", "image", "weight", "name", "group"} - {"id"})


@dataclass(frozen=True)
class KeyTexts:
    """The texts of a suppressed key in an artifact, and those of all others (arrays of texts)."""

    own: tuple[str, ...] = ()
    others: tuple[pa.Array, ...] = ()


@dataclass(frozen=True)
class SuppressedFile:
    """A file of documents without suppressed rows; its identity is that of the file if it holds none."""

    source: FileSource
    suppressed: Suppressed

    def __str__(self) -> str:
        return str(self.source)

    def identity(self) -> str:
        """The identity of the file with the digests of the suppressed keys in it."""
        return with_digests(self.source.identity(), sorted(scan(self.source, self.suppressed).dropped))

    def read(self) -> DocumentBatch:
        """The other rows, bad ones quarantined."""
        return read_documents(self.source.path, mapping=dict(self.source.mapping), suppressed=self.suppressed)


@dataclass(frozen=True)
class SuppressedDocs:
    """The built-in sample without suppressed documents.

    All suppressed keys enter its identity, since finding those that occur would require parsing everything.
    """

    source: PythonDocsSource
    suppressed: Suppressed

    def __str__(self) -> str:
        return str(self.source)

    def identity(self) -> str:
        """The identity of the sample with the digests of all suppressed keys."""
        return with_digests(self.source.identity(), sorted(digest for digest, _ in self.suppressed.entries))

    def distribution(self, name: str) -> Distribution:
        """The other documents of one distribution, and their links to other documents."""
        extract = self.source.distribution(name)
        links = rows_without(extract.links, self.suppressed)
        targets = [[key for key in row if not self.suppressed.match(key)] for row in links["targets"].to_pylist()]
        column = links.column_names.index("targets")
        links = links.set_column(column, links.schema.field(column), pa.array(targets, pa.list_(pa.string())))
        return Distribution(rows_without(extract.documents, self.suppressed), links, extract.unparsed)

    def read(self) -> DocumentBatch:
        """The other documents of all distributions."""
        batch = self.source.read()
        return DocumentBatch(rows_without(batch.accepted, self.suppressed), batch.quarantined, batch.reasons)


@dataclass(frozen=True)
class StoredSource:
    """A missing input, rebuilt from its import in the store, without suppressed rows."""

    store: Store
    imported: Ref
    suppressed: Suppressed

    def __str__(self) -> str:
        return f"what {self.imported} was made of"

    def identity(self) -> str:
        """The identity of the missing input with the digests of the suppressed keys."""
        (original,) = self.store.manifest(self.imported).identity["input_identities"].values()
        return with_digests(str(original), sorted(digest for digest, _ in self.suppressed.entries))


@dataclass(frozen=True)
class StoredInput(StoredSource):
    """A missing input, rebuilt from its documents and quarantine in the store, without suppressed rows."""

    def read(self) -> DocumentBatch:
        """The other rows, and the quarantined ones."""
        opened = self.store.open(self.imported, corpus.DOCUMENTS)
        bad, reasons = quarantined_without(self.store, self.imported, self.suppressed)
        return DocumentBatch(rows_without(opened.read("documents"), self.suppressed), bad, reasons)


@dataclass(frozen=True)
class StoredLabelled(StoredInput):
    """Labelled embeddings or images whose input is missing, without suppressed rows."""

    def read(self) -> DocumentBatch:
        """The other rows and the quarantined ones.

        Columns: id, label, the group of embeddings, and the vector or the pixels.
        """
        opened = self.store.open(self.imported, metric.EMBEDDINGS, metric.IMAGES, corpus.DOCUMENTS)
        rows = opened.read(opened.contract.tables[0].name)
        if opened.contract is corpus.DOCUMENTS:  # as version 0.1 kept them
            rows = rows.select(["id", "package", "kind", "vector"]).rename_columns(list(EMBEDDINGS.names))
        bad, reasons = quarantined_without(self.store, self.imported, self.suppressed)
        return DocumentBatch(rows_without(rows, self.suppressed), bad, reasons)


@dataclass(frozen=True)
class StoredInteractions(StoredSource):
    """Missing interactions, rebuilt from the store with their quarantine, without suppressed queries and labels."""

    def read(self) -> InteractionBatch:
        """The other queries, labels and pairs, and the quarantined rows.

        Queries without a remaining label are removed, and so are labels without a remaining query, a name and a text.
        """
        opened = self.store.open(self.imported, xmr.INTERACTIONS)
        queries, labels = opened.read("queries").drop_columns(["split"]), opened.read("labels")
        weights = sparse_from_arrow(opened.read("targets"), columns=labels.num_rows).tocoo()
        row, column = weights.row.astype(np.int64), weights.col.astype(np.int64)
        key_columns = xmr.INTERACTIONS.table("queries").key_columns
        keep_query = ~np.array(holding(queries, self.suppressed, key_columns), dtype=bool)
        keep_label = ~np.array(holding(labels, self.suppressed), dtype=bool)
        pairs = keep_query[row] & keep_label[column]
        keep_query &= np.bincount(row[pairs], minlength=len(keep_query)) > 0
        lost = np.bincount(column, minlength=len(keep_label)).astype(bool)
        lost[column[pairs]] = False
        keep_label &= ~(lost & _known_by_id(labels))
        new_row, new_column = np.cumsum(keep_query) - 1, np.cumsum(keep_label) - 1
        order = np.flatnonzero(pairs)[np.lexsort((column[pairs], row[pairs]))]
        arrays = (new_row[row[order]], new_column[column[order]], weights.data[order])
        types = (np.int32, np.int32, np.float32)
        table = pa.table([pa.array(a.astype(t)) for a, t in zip(arrays, types, strict=True)], schema=PAIR_SCHEMA)
        bad, reasons = quarantined_without(self.store, self.imported, self.suppressed)
        negatives = _negatives(opened, keep_query, keep_label)
        return InteractionBatch(
            queries.filter(pa.array(keep_query)),
            labels.filter(pa.array(keep_label)),
            table,
            bad,
            reasons,
            negatives=negatives,
        )


def _negatives(opened: Artifact, keep_query: np.ndarray, keep_label: np.ndarray) -> pa.Table | None:
    """The negatives of the remaining queries and labels, in the new row numbers; None if there was no input of them."""
    if "negatives" not in opened.quality:
        return None
    stored = sparse_from_arrow(opened.read("negatives"), columns=len(keep_label)).tocoo()
    keep = keep_query[stored.row] & keep_label[stored.col]
    rows, columns = (np.cumsum(keep_query) - 1)[stored.row[keep]], (np.cumsum(keep_label) - 1)[stored.col[keep]]
    return pa.table([pa.array(rows.astype(np.int32)), pa.array(columns.astype(np.int32))], schema=NEGATIVE_SCHEMA)


def _known_by_id(labels: pa.Table) -> np.ndarray:
    """Mask of the labels that have neither a name of their own nor a text (bool)."""
    rows = zip(*(labels[name].to_pylist() for name in ("id", "name", "text")), strict=True)
    return np.array([key == name and not text for key, name, text in rows], dtype=bool)


def quarantined_without(store: Store, imported: Ref, suppressed: Suppressed) -> tuple[pa.Table, dict[str, int]]:
    """The quarantine of an import without suppressed rows, and the number of its rows by reason."""
    companion = Ref.parse(store.manifest(imported).run["companions"][corpus.QUARANTINE.name])
    bad = rows_without(store.open(companion, corpus.QUARANTINE).read("rows"), suppressed)
    return bad, dict(sorted(Counter(bad["reason"].to_pylist()).items()))


def suppressing(
    source: "FileSource | PythonDocsSource", suppressed: Suppressed | None
) -> "FileSource | PythonDocsSource | SuppressedFile | SuppressedDocs":
    """The source without suppressed rows; the source itself if no keys are suppressed."""
    if suppressed is None:
        return source
    return SuppressedFile(source, suppressed) if isinstance(source, FileSource) else SuppressedDocs(source, suppressed)


def scan(source: FileSource, suppressed: Suppressed, *, form: Form = DOCUMENTS, keep: bool = False) -> Reading:
    """Reads a complete input and counts its suppressed rows; keeps their values with ``keep``."""
    mapping = checked_mapping(dict(source.mapping), form)
    reading = Reading(mapping, suppressed=suppressed, forgotten=[] if keep else None, keys_only=not keep, form=form)
    for _ in read_files(source.path, reading):
        pass
    return reading


def rows_without(table: pa.Table, suppressed: Suppressed) -> pa.Table:
    """The rows of a table whose key is not suppressed, without malformed lines that mention a suppressed key."""
    return table.filter(pa.array([not hit for hit in holding(table, suppressed)], pa.bool_()))


def holding(
    table: pa.Table, suppressed: Suppressed, columns: Sequence[str] = (), *, spelled: Collection[str] = ()
) -> list[bool]:
    """Whether each row of documents, queries, labels, events or of a quarantine has a suppressed key in these columns.

    spelled: those of the columns in which texts are compared in every spelling.
    """
    is_quarantine = "detail" in table.column_names  # its column ``id`` has the key of a row, whatever the key's column
    chosen = ("id",) if is_quarantine else columns or (suppressed.column,)
    found = np.zeros(table.num_rows, dtype=bool)
    for name in chosen:
        found |= _matching(table[name], suppressed, spelled=name in spelled)
    hits: list[bool] = found.tolist()
    if not is_quarantine:
        return hits
    reasons = zip(table["reason"].to_pylist(), table["detail"].to_pylist(), strict=True)
    return [hit or _mentions(suppressed, *row) for hit, row in zip(hits, reasons, strict=True)]


def _matching(column: pa.ChunkedArray, suppressed: Suppressed, *, spelled: bool) -> np.ndarray:
    """Whether each cell is a suppressed key (bool); each distinct one is compared once a chunk."""
    parts = [np.zeros(0, dtype=bool)]
    for chunk in column.chunks:
        codes = chunk.dictionary_encode()
        matches = [bool(suppressed.match(value, spelled=spelled)) for value in codes.dictionary.to_pylist()]
        numbers = codes.indices.fill_null(len(matches)).to_numpy(zero_copy_only=False)
        parts.append(np.array([*matches, False], dtype=bool)[numbers])
    return np.concatenate(parts)


def _mentions(suppressed: Suppressed, reason: str, detail: str) -> bool:
    """Whether a malformed line, a key that is not text, or an unknown label holds a suppressed key."""
    reason = reason.rpartition(": ")[2]
    column, said, _ = detail.partition(" is ")
    no_text = reason == "wrong type" and bool(said) and (column == suppressed.column or column not in _SAID)
    return (no_text or reason in ("invalid line", "unknown label")) and bool(suppressed.mentioned(detail))
