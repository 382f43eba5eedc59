"""A store that turns read-only in the middle of a run, and runs and commands after it."""

import errno
import os
from pathlib import Path

import pytest

from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import StoreUnreachableError
from fingerpost.schemas.files import Files
from fingerpost.schemas.publish import products
from fingerpost.schemas.store import Store
from tests.support.commands import fingerpost_here
from tests.support.products import request_for, write_csv

pytestmark = pytest.mark.usefixtures("plain_runs")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The file system is read-only once a file of features was to be written; the files that were to be written since."""
    refused: list[str] = []
    write = Files._write_temporary

    def written(files: Files, target: str, data: bytes, *, durable: bool = True) -> str:
        if refused or "/corpus.features/" in target:
            refused.append(target)
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), target)
        return write(files, target, data, durable=durable)

    monkeypatch.setattr(Files, "_write_temporary", written)
    return refused


def test_its_run_says_so_in_one_line_and_so_does_the_next_one(
    tmp_path: Path, read_only: list[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    request = request_for(tmp_path / "store", write_csv(tmp_path / "products.csv", rows=60))
    with pytest.raises(
        StoreUnreachableError, match=r"expected to write corpus\.features/.*, got Read-only file system"
    ):
        run_flow("featurize_corpus", request)
    said = capsys.readouterr().err + caplog.text
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "Read-only file system" in line]
    assert len(lines) == 2, "that its record and its alert were not stored"
    assert len({target.split(".")[-2] for target in read_only if ".runs/" in target}) == 1

    with pytest.raises(StoreUnreachableError, match=r"expected to write \.running/.*, got Read-only file system"):
        run_flow("featurize_corpus", request)
    assert "Traceback" not in capsys.readouterr().err + caplog.text
    assert products(Store(str(tmp_path / "store")).prepare()) == []
    for command in ("status", "history"):
        done = fingerpost_here(command, "--store", str(tmp_path / "store"), cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    for refused in (("gc",), ("pin", "corpus.documents/day=2026-01-05/0123456789abcdef")):
        done = fingerpost_here(*refused, "--store", str(tmp_path / "store"), cwd=tmp_path)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "Read-only file system" in done.stderr


def test_an_empty_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Files, "_write_temporary", refuse)
    with pytest.raises(StoreUnreachableError, match=r"expected to create store\.json, got Read-only file system"):
        Store(str(tmp_path / "store")).prepare()
