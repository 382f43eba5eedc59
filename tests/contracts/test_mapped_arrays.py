"""Arrow files of artifacts: written once, verified when read, used where they lie when mapped, shared by processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.flows.ops.keep.survey import _DATA
from fingerpost.schemas import files as files_module
from fingerpost.schemas.arrow_files import new_file, read_arrow, write_arrow
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.decoding import columns_of, decoded_texts, held
from fingerpost.schemas.errors import (
    ContractError,
    CorruptArtifactError,
    ForeignArtifactError,
    StoreUnreachableError,
)
from fingerpost.schemas.manifests import FileEntry, Manifest
from fingerpost.schemas.mapped_arrays import arrays_from_arrow, arrays_table, arrays_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from tests.worlds import STORES, THINGS, fresh_store

CONTRACT = Contract(
    "test.mapped", 1, (arrays_table("arrays"), replace(THINGS.tables[0], form="arrow", compression="none")), "toys"
)
REF = Ref(CONTRACT.name, "2026-01-02", "a" * 32)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with fresh_store(request.param, tmp_path) as opened:
        yield opened


def numbers(rows: int = 1000) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "codes": random.integers(0, 256, (rows, 7)).astype(np.uint8),
        "vectors": random.normal(size=(rows, 3)).astype(np.float32),
        "none": np.zeros((0, 4), np.float32),
        "one": np.array(3, np.int64),
        "mask": random.integers(0, 2, rows).astype(bool),
    }


def things() -> pa.Table:
    keys = [f"key {row}" for row in range(50)]
    return pa.table({"id": keys, "text": [f"text of {key}" for key in keys]})


def committed(store: Store, arrays: dict[str, np.ndarray] | None = None) -> Artifact:
    given_arrays = numbers() if arrays is None else arrays
    entries = [
        store.write_table(REF, CONTRACT, "arrays", arrays_to_arrow(given_arrays)),
        store.write_table(REF, CONTRACT, "things", things()),
    ]
    identity = {
        "contract": {"name": CONTRACT.name, "version": 1},
        "schema": CONTRACT.schema(),
        "rows": {entry.table: entry.rows for entry in entries},
        "quality": {},
        "parameters": {},
        "inputs": {},
        "code": "0" * 32,
        "files": [vars(entry) for entry in entries],
    }
    store.commit(REF, Manifest(identity, {}))
    return store.open(REF, CONTRACT)


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
        assert found[name].ctypes.data % 64 == 0 or not array.size


def test_arrays_come_back_read_or_mapped(store: Store) -> None:
    artifact = committed(store)
    for table in (artifact.read("arrays"), artifact.mapped("arrays")):
        assert_equal(arrays_from_arrow(table), numbers())
    assert artifact.mapped("things").equals(things())
    assert artifact.read("things").equals(things())
    assert store.verify(REF) == sum(entry.bytes for entry in artifact.manifest.files)
    assert all(_DATA.fullmatch(entry.path) for entry in artifact.manifest.files)
    assert not [name for name in store.files.listing() if name.endswith(".tmp")]


def test_mapped_arrays_are_the_files_memory(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    artifact = committed(store, {"large": np.arange(3_000_000, dtype=np.float32)})
    before = pa.total_allocated_bytes()
    found = arrays_from_arrow(artifact.mapped("arrays"))["large"]
    assert pa.total_allocated_bytes() - before < 2**16
    assert not found.flags.writeable
    path = store.files.path(artifact.entries("arrays")[0].path)
    where = [line for line in Path("/proc/self/maps").read_text().splitlines() if path in line]
    begins = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in where]
    assert any(begin <= found.ctypes.data < end for begin, end in begins)
    os.unlink(path)
    np.testing.assert_array_equal(found[-3:], [2_999_997, 2_999_998, 2_999_999])


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(
            st.text("abcé_", min_size=1, max_size=9),
            st.sampled_from(["u1", "<i2", "f4", "<i8", "?", ">i4"]),
            st.lists(st.integers(0, 9), max_size=3),
        ),
        max_size=8,
        unique_by=lambda kind: kind[0],
    )
)
def test_any_arrays_lie_at_multiples_of_64_bytes(kinds: list[tuple[str, str, list[int]]]) -> None:
    random = np.random.default_rng(1)
    given_arrays = {name: random.integers(0, 9, shape).astype(dtype) for name, dtype, shape in kinds}
    sink = pa.BufferOutputStream()
    write_arrow(sink, arrays_to_arrow(given_arrays))
    found = arrays_from_arrow(read_arrow(sink.getvalue()))
    little = {name: a.astype(a.dtype.newbyteorder("<")) for name, a in given_arrays.items()}
    assert_equal(found, little)


def test_a_file_of_another_size_form_or_number_of_rows_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    artifact = committed(store)
    entry = artifact.entries("arrays")[0]
    path = Path(store.files.path(entry.path))
    content = path.read_bytes()
    for data, size in (
        (content[:-8], None),
        (b"", None),
        (b"x" * len(content), len(content)),
        (content[: len(content) // 2] + bytes(len(content) - len(content) // 2), len(content)),
    ):
        path.write_bytes(data)
        expected = "to be an Arrow file" if size else f"with {entry.bytes} bytes, found {len(data)} bytes"
        with pytest.raises(CorruptArtifactError, match=expected):
            artifact.mapped("arrays")
        with pytest.raises(CorruptArtifactError, match="with checksum"):
            artifact.read("arrays")
    path.write_bytes(content)
    with pytest.raises(CorruptArtifactError, match="with 4 rows"):
        store.map_table(replace(entry, rows=4), CONTRACT, where="here")
    other = artifact.entries("things")[0]
    with pytest.raises(ContractError, match="columns"):
        store.map_table(FileEntry(**vars(other) | {"table": "arrays"}), CONTRACT, where="here")
    path.unlink()
    with pytest.raises(CorruptArtifactError, match="found no such file"):
        artifact.mapped("arrays")


def test_what_changed_within_a_file_is_found_by_reading_it(store: Store) -> None:
    artifact = committed(store)
    entry = artifact.entries("arrays")[0]
    content = bytearray(store.files.read(entry.path))
    content[2000] ^= 1
    store.files.fs.pipe_file(store.files.path(entry.path), bytes(content))
    assert not store.holds(entry)
    with pytest.raises(CorruptArtifactError, match="the file was altered"):
        artifact.read("arrays")
    with pytest.raises(CorruptArtifactError, match=r"expected .* with checksum"):
        store.verify(REF)


def test_another_version_of_the_form_and_foreign_arrays_are_refused() -> None:
    table = arrays_to_arrow(numbers())
    for metadata in (None, {"fingerpost.arrays": "2"}):
        with pytest.raises(ForeignArtifactError, match=r"expected version 1 of their form, found (none|2)"):
            arrays_from_arrow(table.replace_schema_metadata(metadata))
    shapes = pa.array([[9, 9]] * table.num_rows, pa.list_(pa.int64()))
    wrong = table.set_column(2, "shape", shapes).replace_schema_metadata(table.schema.metadata)
    with pytest.raises(ContractError, match=r"of shape \[9, 9\], found"):
        arrays_from_arrow(wrong)
    with pytest.raises(ContractError, match="expected a numeric dtype"):
        arrays_to_arrow({"text": np.array(["a"])})


def test_only_arrow_files_in_a_folder_are_mapped(store: Store) -> None:
    artifact = committed(store)
    entry = artifact.entries("arrays")[0]
    if not store.files.local:
        with pytest.raises(ContractError, match="in a folder to map"):
            store.map_table(entry, CONTRACT, where="here")
    with pytest.raises(ContractError, match="in a folder to map"):
        store.map_table(replace(entry, table="things"), THINGS, where="here")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    before = sorted(store.files.listing())
    monkeypatch.setattr(files_module, "new_file", lambda _: new_file("/dev/full"))
    with pytest.raises(StoreUnreachableError, match=r"No space left on device.*free some disk space"):
        store.write_table(REF, CONTRACT, "arrays", arrays_to_arrow({"large": np.zeros(2**20, np.float32)}))
    assert sorted(store.files.listing()) == before


def test_texts_of_arrow_files_are_searched_as_those_of_parquet() -> None:
    sink = pa.BufferOutputStream()
    write_arrow(sink, things())
    content = sink.getvalue().to_pybytes()
    assert columns_of(content, ["id", "other"], where="here").column_names == ["id"]
    assert any(held(texts, [b"text of key 7"]) for texts in decoded_texts(content))
    with pytest.raises(CorruptArtifactError, match="Parquet or Arrow"):
        columns_of(content[:100], ["id"], where="here")


#: A process that maps an artifact, touches all of it, and says how much of that memory is its own.
SHARING = """
import json, sys
from fingerpost.schemas.mapped_arrays import arrays_from_arrow
from fingerpost.schemas.store import Store
from tests.contracts.test_mapped_arrays import CONTRACT, REF

artifact = Store(sys.argv[1]).open(REF, CONTRACT)
arrays = arrays_from_arrow(artifact.mapped("arrays"))
total = float(arrays["large"].sum())
print("ready", flush=True)
sys.stdin.readline()
path, found, inside = artifact.entries("arrays")[0].path, dict(), False
for line in open("/proc/self/smaps"):
    head = line.split()
    if "-" in head[0]:
        inside = path in line
    elif inside and head[0] in ("Rss:", "Pss:", "Private_Clean:", "Private_Dirty:"):
        found[head[0]] = found.get(head[0], 0) + int(head[1])
print(json.dumps(found), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="smaps are Linux's")
def test_processes_share_the_memory_of_a_mapped_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    committed(store, {"large": np.arange(4_000_000, dtype=np.float32)})
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING, store.url],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
    # Each ends only when its input does, so that both have the file mapped while they look.
    seen = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
    for process in processes:
        process.communicate(timeout=60)
    for memory in seen:
        assert memory["Rss:"] >= 15_000
        assert memory.get("Private_Clean:", 0) + memory.get("Private_Dirty:", 0) < 0.05 * memory["Rss:"]
        assert memory["Pss:"] < 0.6 * memory["Rss:"]
