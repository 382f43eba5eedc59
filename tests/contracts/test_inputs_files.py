"""What is wrong with an input as a whole is said in one message, and each format gives the same rows."""

import csv
import gzip
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.schemas.contract import Table
from fingerpost.schemas.corpus import DOCUMENTS
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.files import input_fingerprint
from fingerpost.schemas.inputs.formats import csv_records
from fingerpost.schemas.inputs.forms import COLUMNS
from fingerpost.schemas.inputs.sources import FileSource

DOCUMENT_TABLE: Table = DOCUMENTS.table("documents")


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    names = list(dict.fromkeys(name for row in rows for name in row))
    with opener(path, "wt", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(names)
        for row in rows:
            values = (row.get(name) for name in names)
            writer.writerow(["" if v is None else json.dumps(v) if isinstance(v, list) else v for v in values])
    return path


def write_json_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="\n") as handle:
        handle.writelines(json.dumps(row, ensure_ascii=random.Random(len(rows)).random() < 0.5) + "\n" for row in rows)
    return path


def write_parquet(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


WRITERS = {
    "rows.csv": write_csv,
    "rows.jsonl": write_json_lines,
    "rows.parquet": write_parquet,
    "rows.csv.gz": write_csv,
    "rows.ndjson.gz": write_json_lines,
    "rows.parquet.gz": write_parquet,
}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DAYS = st.dates().map(lambda day: day.isoformat())
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.one_of(TEXTS, st.sampled_from(["007", "7", "Grüße/β", "数", " 7 ", "-0", "1e3", "NA", "null"]))},
        optional={
            **dict.fromkeys(("title", "text", "kind", "package", "signature"), st.none() | TEXTS),
            "day": st.none() | st.one_of(DAYS, st.just("2024-02-30")),
            "vector": (
                st.none()
                | st.lists(st.floats(width=32), min_size=1, max_size=3)
                | st.lists(st.sampled_from([0.0, 0.5, -1.0]), min_size=2, max_size=2)
            ),
        },
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_formats_agree(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [{name: row.get(name) for name in COLUMNS} for row in rows]
    batches = [read_documents(write(folder / name, rows)) for name, write in WRITERS.items()]
    for batch in batches:
        DOCUMENT_TABLE.check(batch.accepted, where="accepted")
        assert batch.accepted.num_rows + batch.quarantined.num_rows == len(rows)
        assert batch.accepted.equals(batches[0].accepted)
        assert batch.quarantined.select(["row", "id", "reason"]).equals(
            batches[0].quarantined.select(["row", "id", "reason"])
        )


@pytest.mark.parametrize("name", WRITERS)
def test_ids_stay_texts(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [{"id": key, "title": "t"} for key in ("007", "7", "Grüße/β", "数", "1e3", "NA")]
    accepted = read_documents(WRITERS[name](tmp_path / name, rows)).accepted
    assert accepted["id"].to_pylist() == ["007", "7", "Grüße/β", "数", "1e3", "NA"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_whole_numbers_as_ids(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [{"id": key, "title": "t"} for key in (0, -7, 2**53 + 1)]
    accepted = read_documents(WRITERS[name](tmp_path / name, rows)).accepted
    assert accepted["id"].to_pylist() == ["0", "-7", str(2**53 + 1)]


@pytest.mark.parametrize("name", WRITERS)
def test_mapped_columns(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [{"sku": "1", "name": "Bolt", "about": "long", "price": "3", "text": "not this"}]
    path = WRITERS[name](tmp_path / name, rows)
    batch = read_documents(path, mapping={"id": "sku", "title": "name", "text": "about"})
    assert batch.accepted.to_pylist() == [
        {
            "id": "1",
            "title": "Bolt",
            "text": "long",
            "kind": "",
            "package": "",
            "signature": "",
            "day": "",
            "vector": None,
        }
    ]


def test_one_column_for_two(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", [{"id": "a"}])
    assert read_documents(path, mapping={"title": "id"}).accepted["title"].to_pylist() == ["a"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.float16()),
        pa.list_(pa.int64()),
    ],
    ids=str,
)
def test_vectors_alone(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"id": pa.array([1, 2, 3]), "vector": pa.array([[1, 2], None, [3, 4]], kind)})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=2)
    batch = read_documents(tmp_path / "v.parquet")
    assert batch.accepted["vector"].to_pylist() == [[1.0, 2.0], [3.0, 4.0]]
    assert batch.reasons == {"empty text": 1}


@pytest.mark.parametrize(
    "vectors",
    [
        pa.array([[Decimal("0.50"), Decimal(-2)], None, [Decimal("3.25"), Decimal(4)]], pa.list_(pa.decimal128(4, 2))),
        pa.array(["[0.5, -2]", None, " [3.25,4.0]"]),
        pa.array(["[0.5, -2]", "", "[3.25, 4]"], pa.large_string()),
        pa.array(["[0.5, -2]", None, "[3.25, 4]"], pa.string_view()),
        pa.array(["[0.5, -2]", None, "[3.25, 4]"]).dictionary_encode(),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["[0.5, -2]", None, "[3.25, 4]"])),
    ],
    ids=lambda vectors: str(vectors.type),
)
def test_vectors_as_databases_have_them(tmp_path: Path, vectors: pa.Array) -> None:
    """Numbers written in SQL are decimals, and what has no lists has texts."""
    pq.write_table(pa.table({"id": ["1", "2", "3"], "vector": vectors}), tmp_path / "v.parquet", row_group_size=2)
    batch = read_documents(tmp_path / "v.parquet")
    assert batch.accepted["vector"].to_pylist() == [[0.5, -2.0], [3.25, 4.0]]
    assert batch.reasons == {"empty text": 1}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_text_that_is_no_array_is_no_vector(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": str(row), "vector": text} for row, text in enumerate(["[1, 2]", "1 2", "[1 2]", '{"a": 1}', "7"])]
    file = tmp_path / f"v.{suffix}"
    if suffix == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows))
    elif suffix == "csv":
        with file.open("w", newline="") as handle:
            csv.writer(handle).writerows([["id", "vector"], *(row.values() for row in rows)])
    else:
        write_parquet(file, rows)
    batch = read_documents(file)
    assert batch.accepted["vector"].to_pylist() == [[1.0, 2.0]]
    assert batch.reasons == {"wrong type": 4}


def test_parquet_types(tmp_path: Path) -> None:
    moments = pa.array([0, 86_400_000_000 - 1], pa.timestamp("us", "UTC"))
    columns = {
        "id": pa.array(["a", "b"], pa.large_string()),
        "title": pa.array(["x", "y"]).dictionary_encode(),
        "text": pa.nulls(2),
        "kind": pa.array(["k", None], pa.string_view()),
        "package": pa.array([b"p", "ä".encode()]),
        "day": moments,
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    accepted = read_documents(tmp_path / "t.parquet").accepted
    assert accepted.select(["id", "title", "text", "kind", "package", "day"]).to_pylist() == [
        {"id": "a", "title": "x", "text": "", "kind": "k", "package": "p", "day": "1970-01-01"},
        {"id": "b", "title": "y", "text": "", "kind": "", "package": "ä", "day": "1970-01-01"},
    ]


def test_folder_of_shards(tmp_path: Path) -> None:
    write_parquet(tmp_path / "part-1.parquet", [{"id": "c", "title": "t"}, {"id": "a", "title": "t"}])
    write_parquet(tmp_path / "part-0.parquet", [{"id": "a", "title": "t"}, {"id": "b", "title": ""}])
    (tmp_path / "_SUCCESS").touch()
    batch = read_documents(tmp_path)
    assert batch.accepted["id"].to_pylist() == ["a", "c"]
    assert batch.quarantined.select(["row", "reason"]).to_pylist() == [
        {"row": 1, "reason": "empty text"},
        {"row": 3, "reason": "duplicate id"},
    ]


def test_long_texts_and_line_ends(tmp_path: Path) -> None:
    long = 'word\r\n"quoted", ' * 20_000
    rows: list[dict[str, object]] = [{"id": "1", "text": long}]
    for name, write in WRITERS.items():
        assert read_documents(write(tmp_path / name, rows)).accepted["text"].to_pylist() == [long]
    assert csv.field_size_limit() == 131_072


def test_readers_beside_each_other_put_the_limit_of_fields_back(tmp_path: Path) -> None:
    """One that stops between two records, and four threads that switch as often as they can."""
    rows: list[dict[str, object]] = [{"id": str(number), "text": "long" * 40_000} for number in range(50)]
    file = write_csv(tmp_path / "rows.csv", rows)
    with open(file, "rb") as handle:
        stopped = csv_records(file, handle)
        next(stopped)
        assert csv.field_size_limit() == 131_072
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda _: read_documents(file).accepted.num_rows, range(8)))
        finally:
            sys.setswitchinterval(usual)
    assert found == [50] * 8
    assert csv.field_size_limit() == 131_072


def test_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid, title\r\n\r\n1,one\r\n")
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "1", "title": "one"}\n\n')
    for name in ("a.csv", "a.jsonl"):
        assert read_documents(tmp_path / name).accepted.select(["id", "title"]).to_pylist() == [
            {"id": "1", "title": "one"}
        ]


GOOD = b"id,title\n1,one\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: expected rows, found an empty file; write it again, or remove it"),
        ("a.jsonl", b"", "a.jsonl: expected rows, found an empty file"),
        ("a.parquet", b"", "a.parquet: expected rows, found an empty file"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "expected a first line with the columns' names, found none"),
        ("a.csv", b"\n\n", "expected a first line with the columns' names, found none; add a header line"),
        ("a.csv", b"id,title\n", "a.csv: expected rows, found none; write it again, or remove it"),
        ("a.jsonl", b"\n \n", "a.jsonl: expected rows, found none"),
        (
            "a.xlsx",
            GOOD,
            (
                "a.xlsx: expected a name that ends in .parquet, .pq, .csv, .jsonl, .ndjson, or in one of them "
                "and .gz, found '.xlsx'; rename or convert it"
            ),
        ),
        ("a", GOOD, "found 'no ending'; rename or convert it"),
        ("a.gz", GOOD, "found '.gz'; rename or convert it"),
        (
            "a.parquet",
            GOOD,
            "a.parquet: expected a Parquet file, found something else (.*); write it again, or rename it",
        ),
        ("a.csv.gz", GOOD, "a.csv.gz: expected a complete gzip file, found .*; compress it again"),
        ("a.parquet.gz", GOOD, "a.parquet.gz: expected a complete gzip file, found .*; compress it again"),
        (
            "a.csv.gz",
            gzip.compress(GOOD, mtime=0)[:-9],
            "a.csv.gz: expected a complete gzip file, found .*; compress it again",
        ),
        (
            "a.csv",
            b"id,title\n1,one\n2,caf\xe9\n",
            "a.csv: expected UTF-8, found byte 0xe9 in line 3; convert it to UTF-8",
        ),
        (
            "a.csv",
            GOOD.decode().encode("utf-16"),
            "a.csv: expected CSV, found text in UTF-16; convert it to UTF-8",
        ),
        ("a.jsonl", b'{"id": 1, "text": "\xfc"}\n', "a.jsonl: expected UTF-8, found byte 0xfc in line 1"),
        (
            "a.csv",
            b"ID,title\n1,one\n",
            "a.csv: expected a column 'id', found ID, title; map it, for example --map id=ID",
        ),
        ("a.csv", b"sku,name\n1,one\n", "expected a column 'id', found sku, name; map it, for example --map id=sku"),
        (
            "a.jsonl",
            b'{"uuid": 1, "title": ""}\n',
            "expected a column 'id', found uuid, title; map it, for example --map id=uuid",
        ),
        (
            "a.csv",
            b"id;title\n1;one\n",
            "expected a column 'id', found id;title; separate the columns by commas, not by ';'",
        ),
        (
            "a.csv",
            b"id,Text\n1,one\n",
            "expected a column 'title', 'text' or 'vector', found id, Text; map it, for example --map text=Text",
        ),
        ("a.csv", b"id,x\n1,one\n", "found id, x; map it, for example --map text=<column>"),
        ("a.csv", b"id,id,title\n1,2,one\n", "expected one column 'id', found 2 of that name; rename all but one"),
        (
            "a.csv",
            b'id,title\n1,"one\n2,two\n',
            "expected every quote to be closed, found one from line 2 that is not; close it",
        ),
        (
            "a.jsonl",
            b'[\n{"id": 1},\n]\n',
            "a.jsonl: expected JSON Lines, one object in each line, found line 1: not JSON (.*): [; write each row",
        ),
        ("a.jsonl", b'[{"id": 1}]\n', "found line 1: list where an object is expected: .*; write each row"),
    ],
)
def test_message_about_a_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_documents(tmp_path / name)
    said = str(caught.value)
    assert said.startswith(str(tmp_path / name))
    place = 0
    for part in message.split(".*"):
        assert part in said[place:], said
        place = said.index(part, place) + len(part)


def test_missing_file(tmp_path: Path) -> None:
    for ask in (read_documents, lambda path: input_fingerprint(path, {})):
        with pytest.raises(
            InputError, match=r"no\.csv: expected a file or folder, found nothing there; check the path"
        ):
            ask(tmp_path / "no.csv")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    for ask in (read_documents, lambda path: input_fingerprint(path, {})):
        with pytest.raises(
            InputError, match=r"expected a file that can be read, found Permission denied; check its perm"
        ):
            ask(tmp_path / "a.csv")


def test_mapping_to_an_absent_column(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"id": 1, "names": "x"}])
    with pytest.raises(
        InputError, match=r"expected a column 'name' for title, found id, names; map it, for example --map title=names"
    ):
        read_documents(path, mapping={"title": "name"})


def test_mapping_of_an_unknown_column(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"id": 1, "title": "x"}])
    with pytest.raises(
        InputError,
        match=r"--map: expected one of id, title, text, .*, vector before '=', got 'titel'; .* --map title=name",
    ):
        read_documents(path, mapping={"titel": "name"})


def test_parquet_without_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"]), pa.array(["t"])], names=["id", "id", "title"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"expected one column 'id', found 2 of that name; rename all but one"):
        read_documents(tmp_path / "a.parquet")


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [f"key {i}" for i in range(999)], "title": ["t"] * 999}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.parquet: expected a Parquet file, found something else"):
        read_documents(path)
    path.write_bytes(whole[:8] + bytes(b ^ 0x5A for b in whole[8:300]) + whole[300:])
    with pytest.raises(InputError, match=r"a\.parquet: expected intact Parquet pages .*; write it again"):
        read_documents(path)


def test_parquet_of_another_encoding(tmp_path: Path) -> None:
    latin = pa.array([b"caf\xe9"]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"id": ["1"], "title": latin}), tmp_path / "a.parquet")
    with pytest.raises(
        InputError, match=r"expected intact Parquet pages with UTF-8 texts, found .*UTF8.*; write it again"
    ):
        read_documents(tmp_path / "a.parquet")


def test_integers_of_128_bits_as_polars_writes_them_are_refused_with_what_to_do() -> None:
    file = Path(__file__).resolve().parents[1] / "golden" / "polars_int128.parquet"
    with pytest.raises(
        InputError, match=r"expected Parquet of types that Arrow has, .* 64 bits .*; write their columns as"
    ):
        read_documents(file)


def test_a_missing_array_as_duckdb_writes_it_is_refused_with_what_to_do() -> None:
    file = Path(__file__).resolve().parents[1] / "golden" / "duckdb_null_array.parquet"
    with pytest.raises(
        InputError, match=r"found Length spanned by list offsets.*; write it again, .*CAST\(… AS FLOAT\[\]\)"
    ):
        read_documents(file)


def test_empty_shard(tmp_path: Path) -> None:
    write_parquet(tmp_path / "part-0.parquet", [{"id": "a", "title": "t"}])
    pq.write_table(
        pa.table({"id": pa.array([], pa.string()), "title": pa.array([], pa.string())}), tmp_path / "part-1.parquet"
    )
    with pytest.raises(InputError, match=r"part-1\.parquet: expected rows, found none; write it again, or remove it"):
        read_documents(tmp_path)


def test_shard_without_id(tmp_path: Path) -> None:
    write_parquet(tmp_path / "part-0.parquet", [{"id": "a", "title": "t"}])
    write_parquet(tmp_path / "part-1.parquet", [{"key": "a", "title": "t"}])
    with pytest.raises(InputError, match=r"part-1\.parquet: expected a column 'id', found key, title; map it"):
        read_documents(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder with Parquet files, found it empty; check the path"):
        read_documents(tmp_path)


@pytest.mark.parametrize("other", ["notes.csv", "part-1.parquet.tmp", "day=2024-01-01/"])
def test_folder_with_something_else(tmp_path: Path, other: str) -> None:
    write_parquet(tmp_path / "part-0.parquet", [{"id": "a", "title": "t"}])
    (tmp_path / other).mkdir() if other.endswith("/") else (tmp_path / other).touch()
    with pytest.raises(InputError, match=rf"expected .*, found .*{other.removesuffix('/')[-4:]}.*; (move|rename)"):
        read_documents(tmp_path)


def test_identity(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_csv(tmp_path / folder / f"{folder}.csv", [{"id": "a", "title": "t"}])
    here, there = (FileSource(str(tmp_path / name / f"{name}.csv"), (("title", "title"),)) for name in ("one", "two"))
    identity = here.identity()
    assert identity == there.identity()
    assert identity != FileSource(here.path, (("title", "id"),)).identity()
    assert len(identity) == 64
    assert str(here) == here.path
    assert here.read().accepted["id"].to_pylist() == ["a"]
    with open(here.path, "a") as handle:
        handle.write("b,t\n")
    assert here.identity() != identity
    assert (
        FileSource(here.path, (("text", "title"), ("title", "id"))).identity()
        == FileSource(here.path, (("title", "id"), ("text", "title"))).identity()
    )
