"""Texts packed as the UTF-8 of all and where each begins, as Arrow holds them in its columns."""

import numpy as np
import pyarrow as pa


def packed_from_arrow(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The offsets, int64 (n + 1,), from 0, and letters, uint8, of a column of texts without nulls; no text is made."""
    texts = pa.concat_arrays([pa.array([], pa.large_string()), *column.cast(pa.large_string()).chunks])
    _, offsets, letters = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(texts) + 1) if len(texts) else np.zeros(1, np.int64)
    return bounds, np.frombuffer(letters or b"", np.uint8)[: bounds[-1]]
