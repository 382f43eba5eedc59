"""What a user's file may cost: messages, lines, columns and unpacked bytes are bounded, and only files are read."""

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.domains.metric.threshold import read_given
from fingerpost.flows.run.profiles import load_settings, settings_read
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.files import input_files, input_fingerprint
from fingerpost.schemas.inputs.images import ImageFiles, ImageShape
from fingerpost.schemas.inputs.interactions import read_interactions
from fingerpost.schemas.inputs.limits import UNLIMITED, Limits, largest, limited
from fingerpost.schemas.inputs.queries import read_queries
from fingerpost.schemas.inputs.rankings import read_texts
from fingerpost.schemas.inputs.rewriting import count_rows, remove_rows
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import LONGEST, bounded, cut, listed, shown
from fingerpost.tasks.ledger import runs
from tests.support.commands import refused

MB = 10**6
#: Everything that reads a user's table.
READERS: dict[str, Callable[[Path], object]] = {
    "documents": read_documents,
    "interactions": read_interactions,
    "queries": read_queries,
    "texts": read_texts,
    "embeddings": lambda path: read_given(path, {}),
    "keys": lambda path: count_rows(path, {}, Suppressed.of(["a"], b"salt")),
}


def error_of(call: Callable[[], object]) -> str:
    """The message of the InputError of a call, which is short."""
    with pytest.raises(InputError) as found:
        call()
    said = str(found.value)
    assert len(said) <= LONGEST
    return said


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "head",
    ["x\0" * 20_000, ",".join(f"column_{n}" for n in range(1500))],
    ids=["one long name", "many names"],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_messages_about_what_a_file_holds_are_short(
    reader: Callable[[Path], object], head: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    rows = f"{head}\n1\n" if name.endswith("csv") else json.dumps(dict.fromkeys(head.split(","), 1)) + "\n"
    path.write_text(rows)
    begun = time.process_time()
    if reader is READERS["keys"] and name == "a.jsonl":
        assert reader(path) == 0
        return
    said = error_of(lambda: reader(path))
    assert time.process_time() - begun < 5
    assert len(said) < 1500
    assert said.startswith(str(path))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_lines_and_records_are_bounded_by_a_setting_that_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    text = "t" * (2 * MB)
    rows = f'id,text\n1,short\n2,"{text}"\n' if "csv" in name else json.dumps({"id": "2", "text": text}) + "\n"
    path.write_bytes(gzip.compress(rows.encode()) if name.endswith(".gz") else rows.encode())
    with limited(Limits(line_mb=1)):
        assert "input.limits.line_mb" in error_of(lambda: read_documents(path))
    assert read_documents(path).accepted["text"].to_pylist()[-1] == text


def test_a_quote_that_stays_open_ends_at_the_bound_and_not_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"open\n' + "row\n" * 300_000)
    with limited(Limits(line_mb=1)):
        said = error_of(lambda: read_documents(path))
    assert "line 2" in said
    assert "quote" in said


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_columns_are_bounded_by_a_setting_that_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    row = {"id": "1", "title": "t"} | {f"c{n}": "" for n in range(50)}
    if name.endswith("csv"):
        path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    elif name.endswith("jsonl"):
        path.write_text(json.dumps(row) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    with limited(Limits(columns=20)):
        assert "input.limits.columns" in error_of(lambda: read_documents(path))
    assert read_documents(path).accepted.num_rows == 1


@pytest.mark.parametrize(
    "content", [b"\0" * (20 * MB), b"id,title\n" + b"1,%s\n" % (b"a" * 1000) * 18_000], ids=["zeros", "rows"]
)
def test_a_small_gzip_of_very_much_ends_early(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(content))
    begun = time.process_time()
    said = error_of(lambda: read_documents(path))
    assert time.process_time() - begun < 20
    assert "input.limits" in said


def test_what_is_unpacked_is_bounded_by_a_setting_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fingerpost.schemas.inputs.limits._ALWAYS", 10_000)
    rows = b"".join(b'{"id": "%d", "title": "%s"}\n' % (row, b"a" * 100) for row in range(1000))
    lines = tmp_path / "a.jsonl.gz"
    lines.write_bytes(gzip.compress(rows))
    table = tmp_path / "a.parquet"
    columns = {"id": [str(n) for n in range(1000)], "title": ["a" * 1000 + str(n) for n in range(1000)]}
    pq.write_table(pa.table(columns), table, compression="zstd", use_dictionary=False)
    inner = tmp_path / "b.parquet.gz"
    inner.write_bytes(gzip.compress(table.read_bytes() + b"\0" * MB))
    nulls = tmp_path / "c.parquet"
    pq.write_table(pa.table({"id": pa.nulls(MB, pa.string()), "title": pa.nulls(MB, pa.string())}), nulls)
    for path in (lines, table, inner, nulls):
        with limited(Limits(unpacked_times=2)):
            assert "input.limits.unpacked_times" in error_of(lambda path=path: read_documents(path))  # type: ignore[misc]
    for path in (lines, table):
        assert read_documents(path).accepted.num_rows == 1000


def test_the_bounds_are_settings_and_those_of_a_run_are_read_from_its_record() -> None:
    settings, _ = load_settings("tiny", overrides={"input.limits.line_mb": "64"})
    assert settings.input.limits == Limits(line_mb=64)
    with pytest.raises(FingerpostError, match="line_mb"):
        load_settings("tiny", overrides={"input.limits.line_mb": "0"})
    known = settings_read({"input.limits.columns": 20_000, "input.source": "a.csv"}).input.limits
    assert largest([known, settings.input.limits]) == Limits(line_mb=64, columns=20_000)


def test_rows_of_a_file_that_was_read_under_other_bounds_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\na," + "t" * (2 * MB) + "\nb,short\n")
    with limited(Limits(line_mb=1)):
        error_of(lambda: count_rows(path, {}, Suppressed.of(["a"], b"salt")))
        with limited(UNLIMITED):
            assert remove_rows(path, {}, Suppressed.of(["a"], b"salt")) == 1
    assert path.read_text() == "id,text\nb,short\n"


def test_messages_keep_their_beginning_and_their_end() -> None:
    said = bounded("object: expected this, got " + "x" * 10**6 + "; do that")
    assert len(said) <= LONGEST
    assert said.startswith("object: expected this")
    assert said.endswith("; do that")
    assert bounded(said) == said
    assert str(FingerpostError("y" * 10**6)).startswith("y" * 1000)
    assert (cut("a" * 10, 4), listed([]), listed(["a", "b", "c"], 2)) == ("aaa…", "none", "a, b, … (1 more)")
    assert len(shown("z" * 10**7)) <= 100


@pytest.mark.usefixtures("plain_runs")
def test_a_failed_run_leaves_a_small_record_whatever_the_first_line_of_its_input_holds(tmp_path: Path) -> None:
    path, store = tmp_path / "a.csv", tmp_path / "store"
    path.write_text("x" * MB + "\n1\n")
    request = RunRequest(profile="tiny", store=str(store), day="2026-01-05", input=str(path), collection="c")
    with pytest.raises(InputError):
        run_flow("featurize_corpus", request, quiet=True)
    assert runs(Store(str(store)), newest=1)[0]["state"] == "failed"
    assert sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) < MB // 4


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening_socket(path: Path) -> None:
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.parametrize("plant", [pipe, link_to_a_pipe, link_to_a_device, listening_socket])
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_only_files_are_read(
    plant: Callable[[Path], None], reader: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.parquet", "c.jsonl.gz"):
        plant(tmp_path / name)
        said = error_of(lambda name=name: reader(tmp_path / name))  # type: ignore[misc]
        assert any(word in said for word in ("a pipe", "a device", "a socket"))


def test_only_files_are_read_from_folders_and_for_fingerprints(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    assert "a pipe" in error_of(lambda: input_files(tmp_path))
    assert "a pipe" in error_of(lambda: input_fingerprint(tmp_path / "a.parquet", {}))
    (tmp_path / "images" / "cats").mkdir(parents=True)
    os.mkfifo(tmp_path / "images" / "cats" / "a.png")
    images = ImageFiles(str(tmp_path / "images"), ImageShape())
    assert "a pipe" in error_of(images.identity)
    assert "a pipe" in error_of(images.read)


@pytest.mark.parametrize("more", [("--dry-run",), ()], ids=["dry run", "run"])
def test_commands_refuse_what_is_no_file_in_one_line(more: tuple[str, ...], tmp_path: Path) -> None:
    link_to_a_pipe(tmp_path / "drops.csv")
    said = refused("run", "nightly", "-p", "tiny", "--input", "drops.csv", *more, cwd=tmp_path)
    assert "a pipe" in said


def zipped(content: bytes) -> bytes:
    """A zip archive of one file."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", content)
    return sink.getvalue()


def arrow(content: bytes) -> bytes:
    """An Arrow file."""
    sink = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"id": ["1"]}), sink)
    return sink.getvalue()


def parquet(content: bytes) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ["1"]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (zipped, "zip"),
        (gzip.compress, "add .gz"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (arrow, "Parquet"),
        (parquet, ".parquet"),
        (lambda content: content.decode().encode("utf-16"), "UTF-16"),
        (lambda content: b"%PDF-1.7\n" + content, "PDF"),
    ],
    ids=["zip", "gzip", "bzip2", "xz", "arrow", "parquet", "utf-16", "pdf"],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_of_another_format_is_told_what_it_is(
    made: Callable[[bytes], bytes], word: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(made(b"id,title\n1,a\n"))
    if (made, name) == (parquet, "a.parquet"):
        return
    assert word in error_of(lambda: read_documents(path))


def test_a_csv_whose_first_column_is_called_like_another_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("PAR1,id,title\n,1,a\n")
    assert read_documents(path).accepted.num_rows == 1
