"""Reader of users' documents: Parquet (a file or a folder of files), CSV and JSON Lines, also compressed with gzip."""

from collections.abc import Mapping
from pathlib import Path

from fingerpost.schemas.inputs.checks_rows import check_batches
from fingerpost.schemas.inputs.formats import Reading
from fingerpost.schemas.inputs.forms import DOCUMENTS, DocumentBatch, Form, checked_mapping
from fingerpost.schemas.inputs.keyed_files import read_files
from fingerpost.schemas.inputs.suppression import Suppressed


def read_documents(
    path: str | Path,
    *,
    mapping: Mapping[str, str] | None = None,
    suppressed: Suppressed | None = None,
    form: Form = DOCUMENTS,
) -> DocumentBatch:
    """Reads an input; ``mapping`` is our column to the input's, where they differ; ``suppressed`` rows are left out; ``form``: of its rows.

    Bad rows are quarantined with a reason each, by their position in the input, from 0, across all its files.
    InputError for an input that cannot be read at all.
    """
    reading = Reading(checked_mapping(mapping or {}, form), suppressed=suppressed, form=form)
    batches = read_files(path, reading)
    return check_batches(batches, quarantine=reading.quarantine)
