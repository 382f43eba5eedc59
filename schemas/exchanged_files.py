"""Files for other programs: written whole or not at all, and never over another file unless that is asked for."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.partial_files import partial_of, writing

#: Rows of a row group.
_ROWS = 1 << 16


def check_new(path: Path, *, force: bool) -> None:
    """InputError for a path that cannot be written to: a folder, one without a folder, a file unless ``force``."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(
            f"{path}: expected a file in a folder that exists, found none; name another or make the folder"
        )
    if path.exists() and not force:
        raise InputError(f"{path}: expected nothing there, found a file; name another, or replace it with --force")


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> int:
    """Writes the parts of a file one after the other; its size in bytes."""
    with _replacing(path) as partial, partial.open("wb") as file:
        for part in parts:
            file.write(part)
    return path.stat().st_size


def write_vectors(path: Path, ids: pa.Array | pa.ChunkedArray, vectors: np.ndarray) -> int:
    """Writes ids (n,) and vectors float32 (n, d) as a Parquet file of ``id`` and ``vector``; its size in bytes."""
    columns = vectors.shape[1]
    schema = pa.schema([("id", ids.type), ("vector", pa.list_(pa.float32(), columns))])
    with _replacing(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for begin in range(0, len(vectors), _ROWS):
            rows = np.ascontiguousarray(vectors[begin : begin + _ROWS], dtype=np.float32)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), columns)
            keys = ids.slice(begin, len(rows))
            one = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
            writer.write_table(pa.table([one, lists], schema=schema))
    return path.stat().st_size


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """The path of a file that takes the place of another when it is complete; FingerpostError if the disk fails."""
    with writing(path), partial_of(path) as partial:
        yield partial
        os.replace(partial, path)
