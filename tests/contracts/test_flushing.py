"""What is written survives a loss of power: a file is on the disk before it gets its name, and its name before the writer goes on."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from fingerpost.schemas.files import Files
from fingerpost.schemas.inputs.rewriting import replace_content

NAME = "below/name"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed and what gets its name, in order."""
    found: list[str] = []
    replace, link = os.replace, os.link

    def flushed(descriptor: int) -> None:
        status = os.fstat(descriptor)
        found.append("flushed folder" if stat.S_ISDIR(status.st_mode) else f"flushed file of {status.st_size}")

    def named(how: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def name(old: str, new: str) -> None:
            how(old, new)
            found.append(f"named {Path(new).name}")

        return name

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", named(replace))
    monkeypatch.setattr(os, "link", named(link))
    return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(str(tmp_path))


def test_a_written_file_is_flushed_before_it_is_named_and_then_its_folder(files: Files, steps: list[str]) -> None:
    files.write(NAME, b"12345")
    assert steps == ["flushed file of 5", "named name", "flushed folder"]


def test_what_need_not_last_is_not_flushed(files: Files, steps: list[str]) -> None:
    files.write(NAME, b"12345", durable=False)
    assert steps == ["named name"]


def test_a_created_file_is_flushed_before_it_is_named_and_then_its_folder(files: Files, steps: list[str]) -> None:
    assert files.create(NAME, b"12345")
    assert steps == ["flushed file of 5", "named name", "flushed folder"]


def test_a_file_that_is_written_piece_by_piece_is_flushed_whole(files: Files, steps: list[str]) -> None:
    def produce(sink: pa.NativeFile) -> None:
        sink.write(b"12")
        sink.write(b"345")

    written = files.write_named(lambda checksum: f"below/{checksum[:4]}", produce)
    assert steps == ["flushed file of 5", f"named {written.sha256[:4]}", "flushed folder"]


def test_a_users_file_that_is_rewritten_is_flushed_before_it_takes_its_place(tmp_path: Path, steps: list[str]) -> None:
    target = tmp_path / "rows.csv"
    target.write_text("id\n1\n2\n")
    replace_content(target, b"id\n1\n")
    assert steps == ["flushed file of 5", "named rows.csv", "flushed folder"]
