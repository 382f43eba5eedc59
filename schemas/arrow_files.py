"""The one door to the contents of Parquet and Arrow files, whose bytes Arrow owns.

Arrow's threads may let go of a file's bytes after a read has returned, even while the interpreter ends. A Python object
that they hold then would need the interpreter's lock, and the process would be aborted
(https://github.com/apache/arrow/issues/34314). So nothing here gives them one: files are read by Arrow itself, and bytes
are copied into its memory. Files are not mapped: a mapped file that another program cuts kills the process.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: Bytes read at a time of a column of a file.
_PAGE = 2**20


def owned(content: bytes) -> pa.Buffer:
    """A copy of bytes in Arrow's memory."""
    buffer = pa.allocate_buffer(len(content))
    memoryview(buffer).cast("B")[:] = content
    return buffer


def read_file(path: str) -> pa.Buffer:
    """The content of a local file, in Arrow's memory; OSError as for any file."""
    with pa.OSFile(path) as file:
        return file.read_buffer()


def parquet_file(source: "pa.Buffer | Path") -> pq.ParquetFile:
    """A Parquet file in memory or of a path, open for reading by parts; pa.ArrowException or OSError for another."""
    if isinstance(source, Path):
        # Column chunks by pages: a file of one row group would be in memory twice.
        return pq.ParquetFile(pa.OSFile(str(source)), buffer_size=_PAGE, pre_buffer=False)
    return pq.ParquetFile(pa.BufferReader(source))


def read_parquet(content: pa.Buffer) -> pa.Table:
    """The table of a Parquet file; pa.ArrowException or OSError for another."""
    # Not read_table, which goes through the datasets of Arrow and imports pandas.
    return pq.ParquetFile(pa.BufferReader(content)).read()


def read_arrow(content: bytes) -> pa.Table:
    """The table of an Arrow file; pa.ArrowException for another."""
    return pa.ipc.open_file(pa.BufferReader(owned(content))).read_all()
