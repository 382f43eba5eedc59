"""Damage: one flipped byte in any file of a store, a missing part, junk; refused by name on the next read."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.schemas.contract import Contract
from fingerpost.schemas.errors import ContractError, CorruptArtifactError, FingerpostError, ForeignArtifactError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import Ledger
from tests.worlds import STORES, THINGS, publish_things, read_everything, store_url, things_ref


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = Store(store_url(request.param, tmp_path)).prepare()
    publish_things(opened, 1)
    publish_things(opened, 2)
    yield opened
    opened.files.fs.rm(opened.files.root, recursive=True)


def read_live(store: Store) -> None:
    """What a reader of the live version does, down to its inputs."""
    live = Pointer(store.checked(), "toys", THINGS.name).required()
    for given in (
        live.artifact,
        *(Ref.parse(e["ref"]) for e in store.manifest(live.artifact).identity["inputs"].values()),
    ):
        read_everything(store, given)


def files_of_live(store: Store) -> list[str]:
    """Every file that the live version consists of, from the pointer to the inputs' parts."""
    live = Pointer(store, "toys", THINGS.name).required()
    given = [Ref.parse(entry["ref"]) for entry in store.manifest(live.artifact).identity["inputs"].values()]
    parts = [f"{ref}/{name}" for ref in (live.artifact, *given) for name in store.files.names(str(ref))]
    return ["store.json", f".published/toys/{THINGS.name}/{live.generation:08d}.json", *parts]


def with_damage(store: Store, path: str, content: bytes, attempt: Callable[[], object]) -> FingerpostError:
    """The error that an attempt raises while a file has another content."""
    whole = store.files.read(path)
    store.files.write(path, content, durable=False)
    try:
        with pytest.raises(FingerpostError) as caught:
            attempt()
    finally:
        store.files.write(path, whole, durable=False)
    return caught.value


def names(problem: FingerpostError, path: str) -> bool:
    """Whether the message says which file or artifact is damaged."""
    artifact = path.rsplit("/", 1)[0]
    return path in str(problem) or (artifact != path and artifact in str(problem)) or str(problem).startswith("store ")


def test_a_flipped_byte_in_any_file_is_refused_by_name(store: Store) -> None:
    paths = files_of_live(store)
    assert len(paths) == 2 + 4 + 3
    for path in paths:
        content = store.files.read(path)
        step = 1 if path == "store.json" else max(1, len(content) // 25)
        for number, position in enumerate([*range(0, len(content), step), len(content) - 1]):
            flipped = bytearray(content)
            flipped[position] ^= 1 << number % 8
            problem = with_damage(store, path, bytes(flipped), lambda: read_live(store))
            assert names(problem, path), f"{path} at {position}: {problem}"
    read_live(store)


def test_no_flipped_byte_of_a_manifest_or_publication_passes(store: Store) -> None:
    for path in files_of_live(store):
        if not path.endswith(".json") or path == "store.json":
            continue
        content = store.files.read(path)
        for position in range(len(content)):
            for mask in (1 << position % 8, 0xFF):
                flipped = bytearray(content)
                flipped[position] ^= mask
                with pytest.raises((CorruptArtifactError, ForeignArtifactError), match="here: expected"):
                    Manifest.decode(bytes(flipped), where="here")


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_truncated_file_is_refused_by_name(store: Store, keep: int) -> None:
    for path in files_of_live(store):
        content = store.files.read(path)
        problem = with_damage(store, path, content[: min(keep, len(content) - 1)], lambda: read_live(store))
        assert isinstance(problem, CorruptArtifactError)
        assert names(problem, path)


@pytest.mark.parametrize(
    "junk", [b"junk", b"[]", b"null", b"[" * 100_000, b'{"sha256": 1, "format": 1e999}', b"PAR1junkPAR1"]
)
def test_a_file_replaced_by_junk_is_refused_by_name(store: Store, junk: bytes) -> None:
    for path in files_of_live(store):
        problem = with_damage(store, path, junk, lambda: read_live(store))
        assert isinstance(problem, CorruptArtifactError)
        assert names(problem, path)


def test_files_that_took_each_others_place_are_refused(store: Store) -> None:
    manifest, publication = f"{things_ref(2)}/manifest.json", f".published/toys/{THINGS.name}/00000002.json"
    for path, other in ((manifest, publication), (publication, manifest)):
        problem = with_damage(store, path, store.files.read(other), lambda: read_live(store))
        assert isinstance(problem, CorruptArtifactError)
        assert names(problem, path)


def test_a_missing_part_is_refused_by_name(store: Store) -> None:
    for path in files_of_live(store):
        if path.startswith(".published"):
            continue
        whole = store.files.read(path)
        store.files.remove(path)
        with pytest.raises(FingerpostError) as caught:
            read_live(store)
        assert names(caught.value, path) or "expected a store, found none" in str(caught.value)
        store.files.write(path, whole)


def test_damage_to_another_version_does_not_touch_the_live_one(store: Store) -> None:
    for name in store.files.names(str(things_ref(1))):
        store.files.write(f"{things_ref(1)}/{name}", b"junk")
    read_live(store)
    with pytest.raises(CorruptArtifactError, match=f"artifact {things_ref(1)}, manifest.json"):
        Pointer(store, "toys", THINGS.name).rollback()
    assert Pointer(store, "toys", THINGS.name).required().artifact == things_ref(2)
    read_live(store)


def _recommit(store: Store, ref: Ref, content: bytes) -> None:
    """Puts other bytes in the place of the first part, with the right checksum in the manifest."""
    manifest = store.manifest(ref)
    first, *rest = manifest.files
    store.files.write(first.path, content)
    changed = asdict(first) | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    files = [changed, *(asdict(entry) for entry in rest)]
    store.commit(ref, Manifest({**manifest.identity, "files": files}, manifest.run), replace=True)


def test_what_is_not_parquet_is_refused_even_with_the_right_checksum(store: Store) -> None:
    for junk in (b"junk", b"", b"PAR1junkPAR1"):
        _recommit(store, things_ref(2), junk)
        with pytest.raises(CorruptArtifactError, match=rf"artifact {things_ref(2)}: expected .* to be Parquet, found"):
            read_everything(store, things_ref(2))


def test_a_changed_schema_is_refused_even_with_the_right_checksum(store: Store) -> None:
    for table, message in (
        (pa.table({"id": ["a"], "text": [1]}), "column 'text': expected type string, found type int64"),
        (pa.table({"id": ["a"]}), r"expected columns \['id', 'text'\], found columns \['id'\]"),
        (pa.table({"id": ["a", "a"], "text": ["", ""]}), "expected unique id, found 2 rows with"),
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        _recommit(store, things_ref(2), sink.getvalue().to_pybytes())
        with pytest.raises(ContractError, match=f"artifact {things_ref(2)}, {THINGS.name}/day=.*{message}"):
            read_everything(store, things_ref(2))


def test_a_changed_contract_is_refused_by_name(store: Store) -> None:
    newer = Contract(THINGS.name, 3, THINGS.tables, "newer", readable_from=3)
    with pytest.raises(
        ForeignArtifactError, match=r"expected contract test.things version 3 to 3, found test.things version 2"
    ):
        store.open(things_ref(2), newer)


def test_a_publication_of_a_newer_format_is_refused_by_name(store: Store) -> None:
    path = f".published/toys/{THINGS.name}/00000002.json"
    body = json.loads(store.files.read(path)) | {"format": 7}
    del body["sha256"]
    store.files.write(path, json.dumps({**body, "sha256": digest_of(body)}).encode())
    with pytest.raises(
        ForeignArtifactError, match=f"publication {path}: expected store format 1 to 1, found 7; upgrade"
    ):
        read_live(store)


@pytest.mark.parametrize("junk", [b"", b"junk", b"[]", b"null", b'{"ref": "../x"}', b'{"ref": 7}', b"\xff\xfe"])
def test_a_damaged_hint_costs_an_explanation_and_no_result(store: Store, junk: bytes) -> None:
    ledger = Ledger(store, "toys")
    ledger.note(THINGS.name, things_ref(1))
    store.files.write(f".index/toys/{THINGS.name}.json", junk)
    assert ledger.latest(THINGS.name) is None
    store.files.write(".accepted/make_things/abc.json", junk)
    assert ledger.accepted("make_things", "abc") is None
    ledger.note(THINGS.name, things_ref(2))
    assert ledger.latest(THINGS.name) == things_ref(2)
