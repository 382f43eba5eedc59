"""What an input of documents will bring, told from its metadata and first rows: for plans of runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.inputs.checks_cells import vector_cells
from fingerpost.schemas.inputs.files import input_files, is_compressed, kind_of, opened
from fingerpost.schemas.inputs.formats import RawBatch, Reading, read_file
from fingerpost.schemas.inputs.forms import checked_mapping


@dataclass(frozen=True, eq=False)
class Outlook:
    """What an input is expected to bring.

    rows: exact for Parquet, the number of lines for other formats. texts: whether any of the first rows has a title or
    a text. vectors: float32 (m, d), those of the first rows; None unless each of these has one, all of one length.
    """

    rows: int
    texts: bool
    vectors: np.ndarray | None

    @property
    def dimensions(self) -> int:
        """The length of the vectors; 0 without them."""
        return 0 if self.vectors is None else self.vectors.shape[1]


def outlook_of(path: str | Path, mapping: Mapping[str, str]) -> Outlook:
    """The outlook of a file, or of a folder of Parquet files; InputError if its first rows cannot be read."""
    files = input_files(path)
    first = next(read_file(files[0], Reading(checked_mapping(mapping))))
    return Outlook(sum(_rows(file) for file in files), _has_texts(first), _vectors(first))


def _rows(file: Path) -> int:
    with opened(file) as content:
        if kind_of(file) == "Parquet":
            return int(parquet_file(owned(content.read()) if is_compressed(file) else file).metadata.num_rows)
        lines = sum(1 for _ in content)
    return max(lines - (kind_of(file) == "CSV"), 0)


def _has_texts(batch: RawBatch) -> bool:
    columns = [batch.columns[name] for name in ("title", "text") if name in batch.columns]
    return any(any(_plain(cell) for cell in column) for column in columns)


def _plain(cell: Any) -> Any:
    return cell.as_py() if isinstance(cell, pa.Scalar) else cell


def _vectors(batch: RawBatch) -> np.ndarray | None:
    cells = vector_cells(batch.columns.get("vector", pa.nulls(len(batch.rows))), lambda *_: None)
    lengths = pc.list_value_length(cells)
    if cells.null_count or not len(cells) or len(lengths.unique()) != 1 or not lengths[0].as_py():
        return None
    numbers = cells.flatten()
    return None if numbers.null_count else numbers.to_numpy(zero_copy_only=False).reshape(len(cells), -1)
