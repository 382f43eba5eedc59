"""Texts packed as the UTF-8 of all and where each begins, as Arrow holds them in its columns."""

import numpy as np
import pyarrow as pa

from fingerpost.schemas.arrow_files import lent_texts


def packed_from_arrow(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The offsets, int64 (n + 1,), from 0, and letters, uint8, of a column of texts without nulls; no text is made."""
    if column.num_chunks == 1 and column.type == pa.large_string() and column.chunk(0).offset == 0:
        texts = column.chunk(0)  # where it lies: of one that is mapped nothing is read
    else:
        texts = pa.concat_arrays([pa.array([], pa.large_string()), *column.cast(pa.large_string()).chunks])
    _, offsets, letters = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(texts) + 1) if len(texts) else np.zeros(1, np.int64)
    return bounds, np.frombuffer(letters or b"", np.uint8)[: bounds[-1]]


def packed_to_arrow(offsets: np.ndarray, letters: np.ndarray, *, name: str = "term") -> pa.Table:
    """Packed texts as a table of one column, of one batch, over the same memory: the inverse of `packed_from_arrow`."""
    return pa.table({name: lent_texts(np.ascontiguousarray(offsets, np.int64), letters)})
