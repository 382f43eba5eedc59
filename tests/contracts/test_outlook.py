"""What an input will bring, told from its metadata and first rows."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.outlook import outlook_of


def _vectors(path: Path, rows: int, *, lengths: tuple[int, ...] = (4,)) -> Path:
    given = [np.arange(lengths[row % len(lengths)], dtype=np.float32) + row for row in range(rows)]
    pq.write_table(pa.table({"key": [str(row) for row in range(rows)], "vector": given}), path)
    return path


def test_vectors_alone_are_expected_as_vectors_alone(tmp_path: Path) -> None:
    found = outlook_of(_vectors(tmp_path / "v.parquet", 20), {"id": "key"})
    assert (found.rows, found.texts, found.dimensions) == (20, False, 4)
    assert found.vectors is not None
    assert found.vectors[3].tolist() == [3, 4, 5, 6]


def test_the_rows_of_a_folder_are_those_of_all_its_files(tmp_path: Path) -> None:
    for name, rows in (("a", 5), ("b", 7)):
        _vectors(tmp_path / f"{name}.parquet", rows)
    assert outlook_of(tmp_path, {"id": "key"}).rows == 12


def test_vectors_of_different_lengths_promise_none(tmp_path: Path) -> None:
    found = outlook_of(_vectors(tmp_path / "v.parquet", 6, lengths=(3, 4)), {"id": "key"})
    assert (found.vectors, found.dimensions) == (None, 0)


def test_vectors_that_an_import_quarantines_are_left_out(tmp_path: Path) -> None:
    rows = [[float(row), 1.0, 2.0] for row in range(7)]
    rows += [[float("nan"), 1.0, 2.0], [1.0, float("inf"), 2.0], [0.0, 0.0, 0.0], [1.0, 2.0], [None, 1.0, 2.0], []]
    path = tmp_path / "v.parquet"
    keys = [str(row) for row in range(len(rows))]
    pq.write_table(pa.table({"id": keys, "vector": pa.array(rows, pa.list_(pa.float32()))}), path)
    found = outlook_of(path, {})
    assert found.vectors is not None
    assert (found.rows, found.texts, found.vectors.tolist()) == (13, False, rows[:7])
    pq.write_table(pa.table({"id": keys[:6], "vector": rows[7:8] * 6}), path)
    assert outlook_of(path, {}).vectors is None


@pytest.mark.parametrize("packed", [False, True])
def test_the_rows_of_text_files_are_counted_by_lines(tmp_path: Path, packed: bool) -> None:
    content = b"id,title,text\n" + b"".join(b"%d,name,some words\n" % row for row in range(9))
    path = tmp_path / ("d.csv.gz" if packed else "d.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    found = outlook_of(path, {})
    assert (found.rows, found.texts, found.dimensions) == (9, True, 0)


def test_an_input_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file or folder, found nothing there"):
        outlook_of(tmp_path / "none.csv", {})
