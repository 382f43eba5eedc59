"""Files for other programs that take their place when they are complete, and what kills leave of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.rankings import SCHEMA, RowWriter
from fingerpost.schemas.partial_files import partial_of

#: Begins to write answers to several files, says so, and waits to be killed.
_WRITES = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from fingerpost.schemas.inputs import rankings
rankings._ROWS = 10
with ExitStack() as stack:
    writers = [stack.enter_context(rankings.RowWriter(Path(path))) for path in sys.argv[1:]]
    for row in range(25):
        for writer in writers:
            writer.add(str(row), "a query", 1, "an-id", "a name", 0.5, None)
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_kill_leaves_the_file_of_before_and_the_next_writer_clears_up(tmp_path: Path) -> None:
    paths = [tmp_path / f"answers.{form}" for form in ("parquet", "csv", "jsonl")]
    for path in paths:
        path.write_text("of before")
    command = [sys.executable, "-c", _WRITES, *map(str, paths)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writing:
        assert writing.stdout
        assert writing.stdout.readline() == b"begun\n"
        writing.send_signal(signal.SIGKILL)
    assert [path.read_text() for path in paths] == ["of before"] * 3
    assert len(os.listdir(tmp_path)) == 6
    other = tmp_path / ".answers.csv.other"
    other.touch()
    for path in paths:
        with RowWriter(path) as writer:
            writer.add("1", "a query", 1, "an-id", "a name", 0.5, None)
    assert set(tmp_path.iterdir()) == {*paths, other}
    assert pq.read_table(paths[0]).schema == SCHEMA


def test_what_another_writer_holds_stays(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    with partial_of(path, folder=True) as first, partial_of(path) as second:
        (first / "table").touch()
        with partial_of(path):
            assert first.is_dir()
            assert second.is_file()
        os.replace(second, path)
    assert os.listdir(tmp_path) == ["graph"]


def test_a_writer_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fingerpost.schemas.inputs.rankings.pq.ParquetWriter", full)
    said = r"answers\.parquet: expected a file that can be written, got No space left on device; free space"
    with pytest.raises(FingerpostError, match=said), RowWriter(tmp_path / "answers.parquet"):
        raise AssertionError("expected no writer")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_gets_full_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr("fingerpost.schemas.inputs.rankings._ROWS", 2)

    def write() -> None:
        with RowWriter(tmp_path / "answers.parquet") as writer:
            monkeypatch.setattr(writer, "_parquet", SimpleNamespace(write_table=full, close=full))
            for row in range(3):
                writer.add(str(row), "a query", 1, "an-id", "a name", 0.5, None)

    with pytest.raises(FingerpostError, match="got No space left on device; free space or name another"):
        write()
    assert os.listdir(tmp_path) == []
