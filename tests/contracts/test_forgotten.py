"""Rows of forgotten keys: taken out of files with all else as it was, left out of every reading, known by hashes alone."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fingerpost.schemas.errors import CorruptArtifactError, InputError
from fingerpost.schemas.forgotten import Forgotten, Journal, checked_key, known_salt, salt_of
from fingerpost.schemas.inputs.documents import read_documents
from fingerpost.schemas.inputs.interaction_rows import INTERACTIONS, LABELS
from fingerpost.schemas.inputs.negatives import NEGATIVES
from fingerpost.schemas.inputs.rewriting import remove_rows
from fingerpost.schemas.inputs.sources import FileSource, PythonDocsSource
from fingerpost.schemas.inputs.stored import SuppressedDocs, SuppressedFile, rows_without, scan, suppressing
from fingerpost.schemas.inputs.suppression import Suppressed, hashed_key
from fingerpost.schemas.store import Store

KEY = "käse-1"
WANTED = Suppressed.of([KEY], b"salt")
IDS = st.sampled_from([KEY, "käse-10", "other", "kase-1", " käse-1 ", "x,1", 'say "käse-1"'])
CELLS = st.text(st.sampled_from('ab ,"\n\tö0'), max_size=12)
folder_once = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_key(value: str) -> bool:
    return value.strip() == KEY


@folder_once
@given(
    rows=st.lists(st.tuples(CELLS, IDS, CELLS), max_size=12),
    ends=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    bom=st.booleans(),
    open_end=st.booleans(),
    blank=st.booleans(),
)
def test_other_records_of_a_csv_stay_byte_for_byte(
    tmp_path: Path, rows: list[tuple[str, str, str]], ends: str, quoting: int, bom: bool, open_end: bool, blank: bool
) -> None:
    def line(*cells: str) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator=ends, quoting=quoting).writerow(cells)  # type: ignore[arg-type]
        return text.getvalue().encode()

    header = (b"\xef\xbb\xbf" if bom else b"") + line("text", "sku", "more") + (ends.encode() if blank else b"")
    records = [(line(*cells), is_key(cells[1])) for cells in [*rows, ("a", "last", "b")]]
    if open_end:
        records[-1] = (records[-1][0].removesuffix(ends.encode()), records[-1][1])
    file = tmp_path / "rows.csv"
    file.write_bytes(header + b"".join(data for data, _ in records))
    before = scan(FileSource(str(file), (("id", "sku"),)), WANTED)
    removed = remove_rows(file, {"id": "sku"}, WANTED)
    assert removed == sum(gone for _, gone in records) == sum(before.dropped.values())
    assert file.read_bytes() == header + b"".join(data for data, gone in records if not gone)
    assert remove_rows(file, {"id": "sku"}, WANTED) == 0
    assert not scan(FileSource(str(file), (("id", "sku"),)), WANTED).dropped


@folder_once
@given(rows=st.lists(st.tuples(IDS | st.integers(0, 3) | st.none(), CELLS), max_size=12), packed=st.booleans())
def test_other_lines_of_json_lines_stay_byte_for_byte(
    tmp_path: Path, rows: list[tuple[str | int | None, str]], packed: bool
) -> None:
    made = [({"id": key, "text": text}, isinstance(key, str) and is_key(key)) for key, text in [*rows, ("last", "z")]]
    lines = [
        (json.dumps(row, ensure_ascii=n % 2 == 0).encode() + b" " * (n % 3) + b"\n", gone)
        for n, (row, gone) in enumerate(made)
    ]
    lines += [(b"\n", False), (b'{"id": "k\xc3\xa4se-1", broken\n', True), (b'{"id": "k\xc3\xa4se-12", broken', False)]
    file = tmp_path / ("rows.jsonl.gz" if packed else "rows.jsonl")
    content = b"".join(data for data, _ in lines)
    file.write_bytes(gzip.compress(content) if packed else content)
    assert remove_rows(file, {}, WANTED) == sum(gone for _, gone in lines)
    found = gzip.decompress(file.read_bytes()) if packed else file.read_bytes()
    assert found == b"".join(data for data, gone in lines if not gone)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
def test_parquet_keeps_schema_compression_and_row_groups(tmp_path: Path, compression: str) -> None:
    ids = pa.array(["a", KEY, "b", "c", KEY, "d"]).dictionary_encode()
    vectors = pa.array([[float(n)] * 3 for n in range(6)], pa.list_(pa.float32(), 3))
    schema = pa.schema(
        [("id", ids.type), ("vector", vectors.type), ("at", pa.timestamp("us", "UTC"))], metadata={"made by": "us"}
    )
    table = pa.table([ids, vectors, pa.array(range(6), pa.int64()).cast(pa.timestamp("us", "UTC"))], schema=schema)
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file, compression=compression, row_group_size=3)
    before = pq.ParquetFile(file)
    file.chmod(0o640)
    assert remove_rows(file, {}, WANTED) == 2
    assert file.stat().st_mode & 0o777 == 0o640
    after = pq.ParquetFile(file)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.read().to_pylist() == table.take([0, 2, 3, 5]).to_pylist()
    assert after.metadata.num_row_groups == 2
    assert {after.metadata.row_group(0).column(i).compression for i in range(3)} == {
        "UNCOMPRESSED" if compression == "none" else compression.upper()
    }
    assert KEY.encode() not in file.read_bytes()


SECRET = "said by one alone"
SAID = ["first", SECRET, "third", "third"]
CATEGORIES = pa.array(SAID).dictionary_encode()
ENDS = pa.array([0, 1, 2, 3, 4], pa.int32())


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(SAID, pa.string_view()),
        pa.array([text.encode() for text in SAID], pa.binary_view()),
        pa.array([[text] for text in SAID], pa.list_view(pa.string())),
        pa.ListArray.from_arrays(ENDS, CATEGORIES),
        pa.FixedSizeListArray.from_arrays(CATEGORIES, 1),
        pa.StructArray.from_arrays([CATEGORIES, pa.array(range(4))], ["said", "at"]),
        pa.MapArray.from_arrays(ENDS, pa.array(list("abcd")), CATEGORIES),
        pa.ListArray.from_arrays(ENDS, pa.StructArray.from_arrays([CATEGORIES], ["said"])),
    ],
    ids=lambda cells: str(cells.type).split(",")[0],
)
def test_what_a_removed_row_said_is_in_no_dictionary_at_any_depth(tmp_path: Path, cells: pa.Array) -> None:
    file = tmp_path / "rows.parquet"
    table = pa.table({"id": ["a", KEY, "b", "c"], "text": cells})
    pq.write_table(table, file, row_group_size=2)
    assert SECRET.encode() in file.read_bytes()
    before = pq.ParquetFile(file).schema_arrow
    assert remove_rows(file, {}, WANTED) == 1
    after = pq.ParquetFile(file)
    groups = [after.read_row_group(number).to_pylist() for number in range(after.num_row_groups)]
    assert [row for group in groups for row in group] == [table.to_pylist()[row] for row in (0, 2, 3)]
    assert after.schema_arrow.equals(before, check_metadata=True)
    assert SECRET.encode() not in file.read_bytes()


def test_ordered_categories_keep_their_order(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    sizes = pa.array(["small", "middle", "large", "huge"])
    said = pa.DictionaryArray.from_arrays(pa.array([2, 3, 0, 1], pa.int8()), sizes, ordered=True)
    pq.write_table(pa.table({"id": ["a", KEY, "b", "c"], "text": said}), file, row_group_size=2)
    assert remove_rows(file, {}, WANTED) == 1
    after = pq.read_table(file)["text"]
    assert [chunk.dictionary.to_pylist() for chunk in after.chunks] == [["small", "middle", "large"]] * 2
    assert after.type == said.type
    assert after.to_pylist() == ["large", "small", "middle"]
    assert b"huge" not in file.read_bytes()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_metadata_that_lists_a_category_of_removed_rows_alone_goes(tmp_path: Path, nested: bool, alone: bool) -> None:
    file = tmp_path / "rows.parquet"
    said = CATEGORIES if alone else pa.array(["first", "third", "third", SECRET]).dictionary_encode()
    listed = {b"_PL_ENUM_VALUES2": f"5;first{len(SECRET)};{SECRET}5;third".encode(), b"PARQUET:field_id": b"7"}
    name = "said" if nested else "text"
    field = pa.field(name, said.type, metadata=listed)
    cells = pa.StructArray.from_arrays([said], fields=[field]) if nested else said
    outer = pa.field("text", cells.type) if nested else field
    schema = pa.schema([pa.field("id", pa.string()), outer])
    pq.write_table(pa.table([["a", KEY, "b", "c"], cells], schema=schema), file)
    assert remove_rows(file, {}, WANTED) == 1
    found = pq.ParquetFile(file).schema_arrow.field("text")
    metadata = (found.type.field("said") if nested else found).metadata
    assert (b"_PL_ENUM_VALUES2" in metadata) is not alone
    assert metadata[b"PARQUET:field_id"] == b"7"


def test_a_malformed_record_that_mentions_the_key_goes_too(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    kept = b'id,text\na,one\nb,"two" 2\n'
    file.write_bytes(kept + f'{KEY},"three" 3\n'.encode() + b"c,four\n")
    assert remove_rows(file, {}, WANTED) == 1
    assert file.read_bytes() == kept + b"c,four\n"


def test_a_file_without_the_key_is_not_touched_and_one_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("id,text\na,b\n")
    before = file.stat()
    assert remove_rows(file, {}, WANTED) == 0
    assert file.stat() == before
    file.write_text(f"id,text\n{KEY},b\n")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match=r"expected a writable file, found it is write-protected"):
        remove_rows(file, {}, WANTED)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_interactions_go_by_the_querys_id_its_text_or_the_label(tmp_path: Path, kind: str) -> None:
    rows = [
        {"said": "a hammer", "query_id": "q1", "sku": "h"},
        {"said": KEY, "query_id": "q2", "sku": "h"},
        {"said": "a saw", "query_id": f" {KEY} ", "sku": "s"},
        {"said": f"{KEY} and more", "query_id": "q3", "sku": "s"},
        {"said": "a drill", "query_id": "q4", "sku": KEY},
    ]
    file, mapping = tmp_path / f"clicks.{kind}", {"query": "said", "label": "sku"}
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        file.write_text("\n".join(["said,query_id,sku", *(",".join(row.values()) for row in rows)]) + "\n")
    found = scan(FileSource(str(file), tuple(mapping.items())), WANTED, form=INTERACTIONS, keep=True)
    assert [row["query"] for row in found.forgotten or ()] == [KEY, "a saw", "a drill"]
    assert remove_rows(file, mapping, WANTED, INTERACTIONS) == 3
    assert not scan(FileSource(str(file), tuple(mapping.items())), WANTED, form=INTERACTIONS).dropped
    left = pq.read_table(file).to_pylist() if kind == "parquet" else file.read_text()
    assert [word in str(left) for word in ("a hammer", "and more", "a saw", "a drill")] == [True, True, False, False]


@pytest.mark.parametrize("named", ["query", "query_id"])
def test_what_was_not_wanted_goes_by_the_query_or_the_label(tmp_path: Path, named: str) -> None:
    file = tmp_path / "negatives.csv"
    file.write_text(f"{named},label\nq1,h\n{KEY},h\nq2,{KEY}\n")
    assert remove_rows(file, {}, WANTED, NEGATIVES) == 2
    assert file.read_text() == f"{named},label\nq1,h\n"


def test_labels_go_by_their_id_alone(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"id,name,text\nh,hammer,{KEY}\n{KEY},saw,sharp\n")
    assert remove_rows(file, {}, WANTED, LABELS) == 1
    assert file.read_text() == f"id,name,text\nh,hammer,{KEY}\n"
    file.write_text("sku,name\nh,hammer\n")
    with pytest.raises(
        InputError, match=r"expected a column 'id', found sku, name; map it, for example --set xmr\.columns\.id=sku"
    ):
        remove_rows(file, {}, WANTED, LABELS)


def test_suppressed_rows_are_neither_documents_nor_quarantined(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"id,text\na,one\n{KEY},two\n{KEY},again\n{KEY}, three,fields too many\nb,\n{KEY}0,four\n{KEY},\n")
    batch = SuppressedFile(FileSource(str(file)), WANTED).read()
    assert batch.accepted["id"].to_pylist() == ["a", f"{KEY}0"]
    assert batch.quarantined["id"].to_pylist() == ["b"]
    assert batch.reasons == {"empty text": 1}
    assert batch.quarantined["row"].to_pylist() == [4]
    remove_rows(file, {}, WANTED)
    rest = read_documents(file)
    assert rest.accepted.equals(batch.accepted)
    assert rest.reasons == batch.reasons


@pytest.mark.parametrize("odd", [f'["{KEY}"]', '{"name": "' + KEY + '"}', f'" {KEY}\\n"'])
def test_a_key_inside_what_is_no_text_counts_too(tmp_path: Path, odd: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "a", "text": "b"}\n{"id": ' + odd + ', "text": "c"}\n')
    plain = read_documents(file)
    batch = SuppressedFile(FileSource(str(file)), WANTED).read()
    assert batch.quarantined.num_rows == 0
    assert rows_without(plain.quarantined, WANTED).num_rows == 0
    assert rows_without(plain.accepted, WANTED).num_rows == 1


def test_only_an_input_that_holds_a_suppressed_key_changes_its_identity(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("id,text\na,one\n")
    source = FileSource(str(file))
    assert suppressing(source, None) is source
    assert suppressing(source, WANTED).identity() == source.identity()
    file.write_text(f"id,text\na,one\n{KEY},two\n")
    first = suppressing(source, WANTED).identity()
    assert first != source.identity()
    assert suppressing(source, Suppressed.of([KEY, "elsewhere"], b"salt")).identity() == first
    assert suppressing(source, Suppressed.of([KEY, "a"], b"salt")).identity() != first


def test_keys_are_known_by_hash_and_salt_alone(tmp_path: Path) -> None:
    store, other = Store(str(tmp_path / "one")).prepare(), Store(str(tmp_path / "two")).prepare()
    assert Forgotten(store, "letters").suppressed() is None
    for at in (store, other):
        Forgotten(at, "letters").add(KEY)
        Forgotten(at, "letters").add(KEY)
    found, elsewhere = (Forgotten(at, "letters").suppressed() for at in (store, other))
    assert found is not None
    assert elsewhere is not None
    assert len(found.entries) == 1
    assert found.entries != elsewhere.entries
    assert found.match(f" {KEY} ")
    assert not found.match(f"{KEY}0")
    assert Forgotten(store, "other").suppressed() is None
    everything = b"".join(p.read_bytes() + p.name.encode() for p in tmp_path.rglob("*") if p.is_file())
    assert KEY.encode() not in everything


def test_a_journal_is_read_with_its_key_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    journal = Journal(store, "letters", KEY)
    assert journal.load() is None
    journal.save({"text": "the secret of käse-1" * 200})
    assert journal.load() == {"text": "the secret of käse-1" * 200}
    assert Journal(store, "letters", "another").load() is None
    assert b"secret" not in (tmp_path / journal.path).read_bytes()
    (tmp_path / journal.path).write_bytes(b"{}")
    with pytest.raises(CorruptArtifactError, match="remove it to begin again"):
        journal.load()
    journal.remove()
    assert journal.load() is None
    with pytest.raises(Exception, match="expected the id of a document, a query"):
        checked_key("  ")


@pytest.mark.parametrize(
    ("text", "holds"),
    [("käse-1", True), ("a,käse-1,b", True), ("käse-10", False), ("xkäse-1", False), ("(käse-1)", True), ("", False)],
)
def test_a_line_mentions_a_key_as_a_whole_word(text: str, holds: bool) -> None:
    assert bool(WANTED.mentioned(text)) is holds


def test_the_built_in_sample_leaves_suppressed_documents_out() -> None:
    source = PythonDocsSource(("threadpoolctl",))
    key = "threadpoolctl.threadpool_limits"
    found = suppressing(source, Suppressed.of([key], b"salt"))
    assert isinstance(found, SuppressedDocs)
    rows, kept = source.distribution("threadpoolctl").documents, found.distribution("threadpoolctl").documents
    assert kept.num_rows == rows.num_rows - 1
    assert kept["id"].to_pylist() == [name for name in rows["id"].to_pylist() if name != key]
    assert found.identity() != source.identity()
    assert key in source.distribution("threadpoolctl").links["id"].to_pylist()
    links = found.distribution("threadpoolctl").links
    assert key not in links["id"].to_pylist()
    assert not [row for row in links["targets"].to_pylist() if key in row]
    assert key not in found.read().accepted["id"].to_pylist()


@given(
    key=st.text(min_size=1, max_size=12),
    other=st.text(max_size=12),
    salt=st.binary(max_size=8).map(lambda salt: b"s" + salt),
)
def test_a_key_is_recognised_by_its_hash_and_by_its_spellings_where_these_count(
    key: str, other: str, salt: bytes
) -> None:
    wanted = Suppressed.of([key], salt, spelled=str.casefold)
    known_by_digest = Suppressed(salt, wanted.entries, spelled=str.casefold)
    for one in (wanted, known_by_digest):
        assert one.match(hashed_key(salt, key))
        assert not one.match(hashed_key(salt + b"x", key))
        assert bool(one.match(hashed_key(salt, other))) == (other == key)
        if key == key.strip():
            assert one.match(key)
            assert bool(one.match(f" {key.upper()} ", spelled=True)) == (key.upper().casefold() == key.casefold())
        if other == other.strip() and other != key:
            assert not one.match(other)
            assert bool(one.match(other, spelled=True)) == (other.casefold() == key.casefold())
    # The samples' hashes have no salt, which only who knows the key can compute.
    assert wanted.match(hashed_key(b"", key))
    assert not known_by_digest.match(hashed_key(b"", key))


def test_a_query_is_remembered_by_its_text_and_by_its_form(tmp_path: Path) -> None:
    store = Store(str(tmp_path)).prepare()
    assert known_salt(store) == b""
    Forgotten(store, "shop", spelled=str.casefold).add("Red Shoes")
    assert known_salt(store) == salt_of(store)
    plain, spelled = Forgotten(store, "shop").suppressed(), Forgotten(store, "shop", spelled=str.casefold).suppressed()
    assert plain is not None
    assert spelled is not None
    assert plain.match("Red Shoes")
    assert not plain.match("red shoes")
    assert not spelled.match("red shoes")
    assert spelled.match("RED shoes", spelled=True)
    assert not any(b"hoes" in store.files.read(path) for path in store.files.listing())
