"""Ids of other types are taken where they are exact, else told with an example and what to do; rows can be numbered."""

import csv
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.keep.quarantined import show_quarantine
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import InputError, QuarantineLimitError
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.files import input_fingerprint
from fingerpost.schemas.inputs.forms import ROW_NUMBER
from fingerpost.schemas.inputs.rewriting import count_rows, remove_rows
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.store import Store
from tests.support.commands import fingerpost_here, refused

UUIDS = [uuid.UUID(int=number << 64 | 0xFF) for number in range(3)]
DECIMALS = [Decimal(10**37), Decimal(0), Decimal(-7)]


def parquet(path: Path, ids: pa.Array) -> Path:
    """A Parquet file of ids with titles."""
    pq.write_table(pa.table({"id": ids, "title": [f"title {n}" for n in range(len(ids))]}), path)
    return path


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (pa.array([one.bytes for one in UUIDS], pa.uuid()), [str(one) for one in UUIDS]),
        (pa.array(DECIMALS, pa.decimal128(38, 0)), [str(10**37), "0", "-7"]),
        (pa.array(DECIMALS, pa.decimal256(60, 0)), [str(10**37), "0", "-7"]),
        (pa.array([1.0, 2.0, 2.0**53 - 1]), ["1", "2", "9007199254740991"]),
        (pa.array([1.0, 2.0, -0.0], pa.float32()), ["1", "2", "0"]),
        (pa.array([2**64 - 1, 0, 5], pa.uint64()), ["18446744073709551615", "0", "5"]),
        (pa.array(["a", "b", "a"]).dictionary_encode().slice(0, 2), ["a", "b"]),
    ],
    ids=["uuid", "decimal128", "decimal256", "double", "float", "uint64", "dictionary"],
)
def test_ids_of_exact_types_are_taken(ids: pa.Array, texts: list[str], tmp_path: Path) -> None:
    batch = read_documents(parquet(tmp_path / "a.parquet", ids))
    assert batch.accepted["id"].to_pylist() == texts
    assert batch.quarantined.num_rows == 0


@pytest.mark.parametrize(
    ("ids", "example"),
    [
        (pa.array([2.0**53, 1.0]), "9007199254740992.0"),
        (pa.array([1e300, 1.0]), "1e+300"),
        (pa.array([Decimal("1.50"), Decimal("1.00")], pa.decimal128(10, 2)), "1.50"),
        (pa.array([b"\xff\xfe", b"\x00\xff"], pa.binary(2)), "xff"),
    ],
)
def test_ids_of_other_types_are_told_with_an_example_and_a_cure(ids: pa.Array, example: str, tmp_path: Path) -> None:
    (first, *_) = read_documents(parquet(tmp_path / "a.parquet", ids)).quarantined.to_pylist()
    assert first["reason"] == "wrong type"
    assert example in first["detail"]
    assert "CAST(id AS VARCHAR)" in first["detail"]


def test_a_uuid_can_be_forgotten_from_its_file_which_keeps_its_type(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", pa.array([one.bytes for one in UUIDS], pa.uuid()))
    wanted = Suppressed.of([str(UUIDS[1])], b"salt")
    assert read_documents(path, suppressed=wanted).accepted["id"].to_pylist() == [str(UUIDS[0]), str(UUIDS[2])]
    assert (count_rows(path, {}, wanted), remove_rows(path, {}, wanted)) == (1, 1)
    assert read_documents(path).accepted["id"].to_pylist() == [str(UUIDS[0]), str(UUIDS[2])]
    assert "UUID" in str(pq.ParquetFile(path).schema.column(0).logical_type).upper()


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as a file of the format of its name."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


FORMATS = ("a.csv", "a.jsonl", "a.parquet")


@pytest.mark.parametrize("name", FORMATS)
def test_the_rows_of_a_file_without_ids_can_be_numbered(name: str, tmp_path: Path) -> None:
    rows = [{"id": "of another kind", "name": f"title {n}" if n != 1 else ""} for n in range(4)]
    path = written(tmp_path / name, rows)
    mapping = {"id": ROW_NUMBER, "title": "name"}
    batch = read_documents(path, mapping=mapping)
    assert batch.accepted["id"].to_pylist() == ["0", "2", "3"]
    assert batch.quarantined["id"].to_pylist() == ["1"]
    assert input_fingerprint(path, mapping) != input_fingerprint(path, {"title": "name"})
    wanted = Suppressed.of(["2"], b"salt")
    assert read_documents(path, mapping=mapping, suppressed=wanted).accepted["id"].to_pylist() == ["0", "3"]
    with pytest.raises(InputError, match="only 'id'"):
        read_documents(path, mapping={"title": ROW_NUMBER})


@pytest.mark.parametrize("name", FORMATS)
def test_the_column_that_is_advised_for_ids_has_distinct_values(name: str, tmp_path: Path) -> None:
    splits = ("train", "test", "valid")
    rows = [{"split": splits[n % 3], "text": f"some words {n}", "code": f"c{n}"} for n in range(30)]
    with pytest.raises(InputError) as wrong:
        read_documents(written(tmp_path / name, rows))
    assert "id=code" in str(wrong.value)
    assert "--number-rows" in str(wrong.value)
    rows = [{"split": splits[n % 3], "text": "the same words"} for n in range(30)]
    with pytest.raises(InputError) as wrong:
        read_documents(written(tmp_path / name, rows))
    assert "id=" not in str(wrong.value)
    assert "--number-rows" in str(wrong.value)


def test_the_command_numbers_rows_and_refuses_two_kinds_of_ids(tmp_path: Path) -> None:
    said = refused("run", "nightly", "--number-rows", cwd=tmp_path)
    assert "--input" in said
    said = refused("run", "nightly", "--number-rows", "--input", "a.csv", "--map", "id=sku", cwd=tmp_path)
    assert "--map id=sku" in said
    written(tmp_path / "a.csv", [{"title": f"title {n}"} for n in range(10)])
    plan = ("run", "featurize_corpus", "-p", "tiny", "--number-rows", "-i", "a.csv", "--dry-run")
    done = fingerpost_here(*plan, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("plain_runs")
def test_quarantined_rows_are_shown_with_their_reasons_and_the_command_that_shows_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fingerpost.flows.run.start import run_flow
    from tests.support.products import request_for

    store = tmp_path / "store"
    rows = [{"id": f"d{n}" if n % 10 else "", "title": f"[/title] {n}", "text": f"word{n % 7}"} for n in range(60)]
    source = written(tmp_path / "a.jsonl", rows)
    with pytest.raises(QuarantineLimitError) as wrong:
        run_flow("featurize_corpus", request_for(store, source), quiet=True)
    said = str(wrong.value)
    assert all(f"row {row}" in said for row in (0, 10, 20))
    assert "row 30" not in said
    assert said.count("no id") >= 3
    reference = said.rpartition("`fingerpost quarantine ")[2].partition("`")[0]
    opened = Store(str(store))
    show_quarantine(opened, reference, collection="", newest=0, as_json=True)
    assert [row["row"] for row in json.loads(capsys.readouterr().out)[reference]] == list(range(0, 60, 10))
    request = request_for(store, source, **{"corpus.imports.quarantine_share": 0.5, "ann.gates.quarantine_share": 0.5})
    run_flow("featurize_corpus", request)
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if "`fingerpost quarantine " in line]
    assert "row 20" in line
    reference = line.rpartition("`fingerpost quarantine ")[2].partition("`")[0]
    done = fingerpost_here("quarantine", "-n", "2", "--store", str(store), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert reference in done.stdout
    assert done.stdout.count("no id") == 2


@pytest.mark.parametrize("columns", ["input.columns", "metric.columns"])
def test_rows_of_several_days_are_not_numbered_as_each_day_has_the_same_numbers(columns: str) -> None:
    paths = {"input.source": "a-{day}.csv", "metric.input": "b-{day}.parquet", columns: {"id": ROW_NUMBER}}
    with pytest.raises(SettingsError, match=columns):
        RunRequest.of(profile="tiny", settings={**paths, "input.days": "window:3"}).resolve()
    RunRequest.of(profile="tiny", settings={**paths, "input.days": "snapshot"}).resolve()


def test_plans_of_many_days_number_rows_too(tmp_path: Path) -> None:
    written(tmp_path / "a-2026-01-05.csv", [{"title": f"title {n}"} for n in range(10)])
    for command in ("partitions", "backfill"):
        days = ("--from", "2026-01-05", "--to", "2026-01-05")
        more = ("--dry-run",) if command == "backfill" else ()
        given = ("-p", "tiny", "-i", "a-{day}.csv", "--number-rows", *more)
        done = fingerpost_here(command, "featurize_corpus", *days, *given, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2026-01-05" in done.stdout
