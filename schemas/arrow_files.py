"""The one door to the contents of Parquet and Arrow files, whose bytes Arrow owns.

Arrow's threads may let go of a file's bytes after a read has returned, even while the interpreter ends. A Python object
that they hold then would need the interpreter's lock, and the process would be aborted
(https://github.com/apache/arrow/issues/34314). So nothing here gives them one: files are read by Arrow itself, and bytes
are copied into its memory.

Only Arrow files of the store's artifacts are mapped (`map_arrow`): these are never changed after they were written, only
removed, which leaves what is mapped as it is. A mapped file that another program cuts or overwrites kills the process.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:  # readers of mapped files get along without
    import pyarrow.parquet as pq

#: Bytes read at a time of a column of a file.
_PAGE = 2**20
#: Bytes of a Parquet file above which several threads read it.
_THREADED = 2**20


def owned(content: bytes) -> pa.Buffer:
    """A copy of bytes in Arrow's memory."""
    buffer = pa.allocate_buffer(len(content))
    memoryview(buffer).cast("B")[:] = content
    return buffer


def read_file(path: str) -> pa.Buffer:
    """The content of a local file, in Arrow's memory; OSError as for any file."""
    with pa.OSFile(path) as file:
        return file.read_buffer()


def parquet_file(source: "pa.Buffer | Path") -> "pq.ParquetFile":
    """A Parquet file in memory or of a path, open for reading by parts; pa.ArrowException or OSError for another."""
    import pyarrow.parquet as pq

    if isinstance(source, Path):
        # Column chunks by pages: a file of one row group would be in memory twice.
        return pq.ParquetFile(pa.OSFile(str(source)), buffer_size=_PAGE, pre_buffer=False)
    return pq.ParquetFile(pa.BufferReader(source))


def read_parquet(content: pa.Buffer) -> pa.Table:
    """The table of a Parquet file; pa.ArrowException or OSError for another."""
    import pyarrow.parquet as pq

    # Not read_table, which goes through the datasets of Arrow and imports pandas.
    # Few rows are read sooner than threads are started.
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=content.size > _THREADED)


def read_arrow(content: "bytes | pa.Buffer") -> pa.Table:
    """The table of an Arrow file; pa.ArrowException for another."""
    buffer = content if isinstance(content, pa.Buffer) else owned(content)
    return pa.ipc.open_file(pa.BufferReader(buffer)).read_all()


def map_arrow(path: str) -> pa.Table:
    """The table of an Arrow file, mapped: nothing but its schema is read, and processes share its memory.

    Its columns are valid as long as the table or a column of it is. pa.ArrowException or OSError for another file.
    """
    return pa.ipc.open_file(pa.memory_map(path)).read_all()


def new_file(path: str) -> pa.NativeFile:
    """A new local file that Arrow writes."""
    return pa.OSFile(path, "wb")


def write_arrow(sink: pa.NativeFile, table: pa.Table) -> None:
    """Writes a table as an Arrow file without compression, its batches as they are."""
    # Without compression Arrow's threads take no part, and so keep nothing that is lent to them.
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(use_threads=False)) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)


def lent_binary(array: "np.ndarray[Any, Any]") -> pa.LargeBinaryArray:
    """The bytes of a C-contiguous array as a column of one row, without a copy: to be written, not to be kept."""
    offsets = pa.py_buffer(np.array([0, array.nbytes], dtype=np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(array.reshape(-1).view(np.uint8))])


def lent_texts(offsets: "np.ndarray[Any, Any]", letters: "np.ndarray[Any, Any]") -> pa.LargeStringArray:
    """UTF-8 texts as a column, without a copy: to be written, not to be kept; text i is letters[offsets[i]:offsets[i + 1]].

    Offsets int64 (n + 1,) and letters uint8, both C-contiguous.
    """
    return pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
    )


def binary_cells(content: pa.Buffer, offsets: "np.ndarray[Any, Any]") -> pa.LargeBinaryArray:
    """Bytes in Arrow's memory as a column; cell i is content[offsets[i]:offsets[i + 1]], with offsets int64."""
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, [None, owned(offsets.tobytes()), content])
