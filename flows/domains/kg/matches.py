"""The matches of an alignment as rows of ids, names, probability and the id of the joined entity. Imports no Prefect."""

from pathlib import Path

import pyarrow as pa

from fingerpost.schemas.alignments import MATCHES
from fingerpost.schemas.inputs.rankings import RowWriter
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.kg.open import LiveAlignment

#: Rows that are written together.
_TOGETHER = 65_536


def writer_of(output: Path) -> RowWriter:
    """The writer of a file of matches; InputError for another form, or a folder that does not exist."""
    return RowWriter(output, MATCHES)


def match_table(store: Store, alignment: Ref) -> pa.Table:
    """The matches of a release in falling order of their probability, ties by the rows of their entities."""
    return LiveAlignment(store, alignment).matches()


def write_matches(matches: pa.Table, writer: RowWriter) -> None:
    """Writes the rows of a table of matches to a file."""
    with writer:
        for batch in matches.to_batches(_TOGETHER):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                writer.add(*row)
