"""What an input will bring, told from its metadata and first rows: for plans of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.schemas.arrow_files import owned, parquet_file
from fingerpost.schemas.inputs.checks_cells import vector_cells
from fingerpost.schemas.inputs.files import input_files, is_compressed, kind_of, opened
from fingerpost.schemas.inputs.formats import RawBatch, Reading, read_file
from fingerpost.schemas.inputs.forms import DOCUMENTS, Form, checked_mapping

#: The power of the rows by which distinct values grow beyond the first rows.
_HEAPS = 0.7
#: The most of the first rows whose vectors are kept: enough to build a small graph of.
_VECTORS = 8192
#: The fraction of distinct values from which a column is expected to repeat none.
_NEARLY_ALL = 0.98


@dataclass(frozen=True)
class ColumnOutlook:
    """A column of texts as it is expected of all rows: the number of distinct values, and the mean length of a cell."""

    distinct: float
    length: float


@dataclass(frozen=True)
class TableOutlook:
    """What an input of rows is expected to bring.

    rows: exact for Parquet, the number of lines for other formats. bytes: of its files. columns: of texts, by our name.
    """

    rows: int
    bytes: int
    columns: Mapping[str, ColumnOutlook]

    def distinct(self, column: str) -> float:
        """The expected number of distinct values of a column; as many as rows for one that was not found."""
        return self.columns[column].distinct if column in self.columns else float(self.rows)

    def length(self, *columns: str) -> float:
        """The expected length of a row's texts in the columns."""
        return sum(self.columns[column].length for column in columns if column in self.columns)


@dataclass(frozen=True, eq=False)
class Outlook:
    """What an input of documents is expected to bring.

    rows: exact for Parquet, the number of lines for other formats. texts: whether any of the first rows has a title or
    a text. vectors: float32 (m, d), those of the first rows; None unless each of these has one, all of one length.
    length: mean number of characters of a document.
    """

    rows: int
    texts: bool
    vectors: np.ndarray | None
    length: float = 0.0

    @property
    def dimensions(self) -> int:
        """The length of the vectors; 0 without them."""
        return 0 if self.vectors is None else self.vectors.shape[1]


def outlook_of(path: str | Path, mapping: Mapping[str, str]) -> Outlook:
    """The outlook of a file, or of a folder of Parquet files; InputError if its first rows cannot be read."""
    files = input_files(path)
    first = _first(files[0], DOCUMENTS, mapping)
    length = sum(_length(first.columns[name]) for name in ("title", "text") if name in first.columns)
    return Outlook(sum(row_count(file) for file in files), _has_texts(first), _vectors(first), length)


def table_outlook(path: str | Path, form: Form, mapping: Mapping[str, str]) -> TableOutlook:
    """The outlook of a file of rows of a form, or of a folder of them; InputError if its first rows cannot be read."""
    files = input_files(path)
    first = _first(files[0], form, mapping)
    rows = sum(row_count(file) for file in files)
    columns = {name: _column(cells, rows) for name, cells in first.columns.items() if _is_text(cells)}
    return TableOutlook(rows, sum(file.stat().st_size for file in files), columns)


def _first(file: Path, form: Form, mapping: Mapping[str, str]) -> RawBatch:
    return next(read_file(file, Reading(checked_mapping(mapping, form), form=form)), RawBatch({}, ()))


def row_count(file: Path) -> int:
    """The rows of a file: exact for Parquet, the number of lines for other formats."""
    with opened(file) as content:
        if kind_of(file) == "Parquet":
            return int(parquet_file(owned(content.read()) if is_compressed(file) else file).metadata.num_rows)
        lines = sum(1 for _ in content)
    return max(lines - (kind_of(file) == "CSV"), 0)


def _has_texts(batch: RawBatch) -> bool:
    columns = [batch.columns[name] for name in ("title", "text") if name in batch.columns]
    return any(any(_plain(cell) for cell in column) for column in columns)


def _is_text(cells: "pa.Array | Sequence[Any]") -> bool:
    if isinstance(cells, pa.Array | pa.ChunkedArray):
        return not pa.types.is_nested(cells.type)
    return not any(isinstance(cell, list | dict) for cell in cells)


def _column(cells: "pa.Array | Sequence[Any]", rows: int) -> ColumnOutlook:
    values = [_plain(cell) for cell in cells]
    return ColumnOutlook(expected_distinct(values, rows), _length(values))


def expected_distinct(values: Sequence[Any], rows: float) -> float:
    """The expected number of distinct values of ``rows`` rows, the first of which have these values."""
    seen, known = len(values), len(set(values))
    most = known * rows / max(seen, 1)
    few = known * (rows / max(seen, 1)) ** _HEAPS
    # Where rows of a value stand together, later rows are of other values.
    changes = 1 + sum(one != other for one, other in pairwise(values))
    apart = known >= _NEARLY_ALL * min(seen, changes)
    return most if apart else max(few, float(known))


def _length(cells: "pa.Array | Sequence[Any]") -> float:
    """The mean length of cells as texts; 0 without any."""
    texts = [cell for cell in map(_plain, cells) if cell is not None]
    return sum(len(str(text)) for text in texts) / max(len(cells), 1)


def _plain(cell: Any) -> Any:
    return cell.as_py() if isinstance(cell, pa.Scalar) else cell


def _vectors(batch: RawBatch) -> np.ndarray | None:
    """The vectors of the rows, without those that an import quarantines; None where a row has none, or most are bad."""
    cells = vector_cells(batch.columns.get("vector", pa.nulls(len(batch.rows))), lambda *_: None)
    if cells.null_count or not len(cells):
        return None
    lengths = pc.list_value_length(cells).to_numpy()
    known, counts = np.unique(lengths, return_counts=True)
    if not (usual := int(known[counts.argmax()])):
        return None
    alike = cells.filter(pa.array(lengths == usual))
    vectors: np.ndarray = alike.flatten().to_numpy(zero_copy_only=False).reshape(-1, usual)
    good = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    # A copy: a view would keep all that was read.
    return vectors[np.flatnonzero(good)[:_VECTORS]] if 2 * int(good.sum()) > len(cells) else None
