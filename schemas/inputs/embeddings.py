"""Labelled embeddings from users' files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.inputs.checks_cells import text_cells, vector_cells
from fingerpost.schemas.inputs.checks_rows import check_batches
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.formats import RawBatch, Reading
from fingerpost.schemas.inputs.forms import DocumentBatch, Form, Quarantine, checked_mapping
from fingerpost.schemas.inputs.keyed_files import keyed_identity, read_files
from fingerpost.schemas.inputs.suppression import Suppressed

EMBEDDINGS = Form(
    ("id", "label", "group", "vector"), needed=("id", "label", "vector"), option="--set metric.columns.", keys=("id",)
)


@dataclass(frozen=True)
class EmbeddingFile:
    """A Parquet, CSV or JSON Lines file (or a folder of Parquet files) of id, label, group and vector.

    mapping: pairs (our column, the file's) where they differ. suppressed: ids to leave out.
    """

    path: str
    mapping: tuple[tuple[str, str], ...] = ()
    suppressed: Suppressed | None = None

    def __str__(self) -> str:
        return self.path

    def check(self) -> None:
        """InputError if there are no readable files."""
        input_files(self.path)

    def identity(self) -> str:
        """sha256 over contents, mapping and the digests of suppressed ids in them; InputError if it cannot be read."""
        reading = Reading(dict(self.mapping), suppressed=self.suppressed, keys_only=True, form=EMBEDDINGS)
        return keyed_identity(self.path, reading)

    def read(self) -> DocumentBatch:
        """The rows, bad ones quarantined; InputError if it cannot be read."""
        return read_embeddings(self.path, mapping=dict(self.mapping), suppressed=self.suppressed)


def read_embeddings(
    path: str | Path,
    *,
    mapping: Mapping[str, str] | None = None,
    suppressed: Suppressed | None = None,
    form: Form = EMBEDDINGS,
) -> DocumentBatch:
    """The rows (id, label, group, vector) of a file; label and group are "" if a row has none.

    Bad rows are quarantined with a reason each: the reasons of documents, and rows without a vector. InputError for a
    file that cannot be read.
    """
    reading = Reading(checked_mapping(mapping or {}, form), suppressed=suppressed, form=form)
    batches = read_files(path, reading)
    return check_batches(
        _with_vectors(batches, reading.quarantine), quarantine=reading.quarantine, columns=EMBEDDINGS.names
    )


def _with_vectors(batches: Iterator[RawBatch], quarantine: Quarantine) -> Iterator[RawBatch]:
    """The rows with their texts trimmed; those without a vector are quarantined."""
    for batch in batches:
        keys: Any = batch.columns["id"]

        def report(i: int, reason: str, detail: str, batch: RawBatch = batch, keys: Any = keys) -> None:
            key = keys[i].as_py() if isinstance(keys[i], pa.Scalar) else keys[i]
            quarantine.add(batch.rows[i], key, reason, detail)

        texts = {
            name: pc.utf8_trim_whitespace(text_cells(name, batch.columns.get(name, pa.nulls(len(batch.rows))), report))
            for name in ("label", "group")
        }
        vectors = vector_cells(batch.columns["vector"], report)
        for i, missing in enumerate(vectors.is_null().to_pylist()):
            if missing:
                report(i, "no vector", "the vector is missing")
        yield RawBatch({"id": keys, **texts, "vector": vectors}, batch.rows)
