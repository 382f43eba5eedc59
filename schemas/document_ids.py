"""The texts of documents by row, and the rows of documents by id, read where a table has them."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fingerpost.schemas.errors import CorruptArtifactError

#: Rows from which ids are taken by Arrow at once, which costs more for a few.
_MANY = 64
#: Single look-ups that read through the ids; from then on a sorted order, which costs as much as these, finds them.
_SCANS = 500
_OFFSETS: dict[pa.DataType, Literal["i", "q"]] = {pa.string(): "i", pa.large_string(): "q"}


class TextColumn:
    """The texts of a column; nothing is copied but what is asked for. Any number of threads may use it.

    CorruptArtifactError for bytes that are no text: those of a mapped file are not read before.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._chunks = [_cells(chunk) for chunk in chunks]
        self._starts = [0, *np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64).tolist()[:-1]]
        self._all = column.null_count == 0

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: int) -> Any:
        """The text of a row; None where it has none."""
        with _as_text():
            return str(self._bytes(row), "utf-8") if self._all else self._column[row].as_py()

    def at(self, rows: Sequence[int] | NDArray[np.integer]) -> list[Any]:
        """The texts of rows."""
        if len(rows) >= _MANY:
            with _as_text():
                found: list[Any] = self._column.take(pa.array(rows, pa.int64())).to_pylist()
            return found
        return [self[row] for row in (rows.tolist() if isinstance(rows, np.ndarray) else rows)]

    def _bytes(self, row: int) -> memoryview:
        chunk = bisect_right(self._starts, row) - 1
        offsets, values = self._chunks[chunk]
        at = row - self._starts[chunk]
        return values[offsets[at] : offsets[at + 1]]


class DocumentIds(TextColumn):
    """The ids of documents, distinct texts, and the row of each."""

    #: Single look-ups so far.
    _scans = 0

    def row_of(self, key: str) -> int | None:
        """The row of the document with an id; None where no document has it."""
        if self._scans < _SCANS:
            self._scans += 1
            row = self._column.index(key).as_py()
            return row if row >= 0 else None
        return self._in_order(key.encode())

    def rows_of(self, keys: Sequence[str]) -> list[int | None]:
        """The rows of documents with these ids; None for one that no document has."""
        if len(keys) < _MANY:
            return [self.row_of(key) for key in keys]
        import pyarrow.compute as pc  # imported here: most callers look up few

        distinct = list(dict.fromkeys(keys))
        places = pc.index_in(self._column, value_set=pa.array(distinct, self._column.type))
        known = np.flatnonzero(pc.is_valid(places).to_numpy(zero_copy_only=False))
        numbers = places.drop_null().to_numpy().tolist()
        row_of = dict(zip((distinct[number] for number in numbers), known.tolist(), strict=True))
        return [row_of.get(key) for key in keys]

    @cached_property
    def _order(self) -> NDArray[np.uint32]:
        """The rows in the order of their ids' bytes."""
        import pyarrow.compute as pc

        return np.asarray(pc.sort_indices(self._column)).astype(np.uint32)

    def _in_order(self, key: bytes) -> int | None:
        order, low, high = self._order, 0, len(self._column)
        while low < high:
            middle = (low + high) // 2
            if bytes(self._bytes(int(order[middle]))) < key:
                low = middle + 1
            else:
                high = middle
        row = int(order[low]) if low < len(order) else -1
        return row if row >= 0 and bytes(self._bytes(row)) == key else None


@contextmanager
def _as_text() -> Iterator[None]:
    """A scope in which bytes are read as texts; CorruptArtifactError for others."""
    try:
        yield
    except UnicodeDecodeError as problem:
        raise CorruptArtifactError(
            f"documents: expected texts in UTF-8, found others ({problem}); rebuild the index with --force pack_index"
        ) from problem


def _cells(chunk: pa.Array) -> tuple[memoryview, memoryview]:
    """The offsets of a chunk's texts in their bytes, and these bytes."""
    _, offsets, values = chunk.buffers()
    ends = memoryview(offsets).cast("B").cast(_OFFSETS[chunk.type])[chunk.offset :]
    return ends, memoryview(b"" if values is None else values).cast("B")
