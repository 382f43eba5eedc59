"""The store: committed by the manifest alone, one winner of two writers, and what it refuses; on a disk and in memory."""

import errno
import json
import multiprocessing
import pickle
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.schemas import files as files_module
from fingerpost.schemas import objects
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.errors import (
    CorruptArtifactError,
    ForeignArtifactError,
    MissingArtifactError,
    StoreUnreachableError,
    UnsafeNameError,
)
from fingerpost.schemas.files import Files
from fingerpost.schemas.manifests import FileEntry, Manifest
from fingerpost.schemas.refs import digest_of
from fingerpost.schemas.store import Store
from fingerpost.schemas.workspace import Workspace
from tests.worlds import (
    STORES,
    THINGS,
    commit_at_once,
    commit_things,
    fresh_store,
    read_everything,
    store_url,
    things_ref,
    write_things,
)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with fresh_store(request.param, tmp_path) as opened:
        yield opened


def test_without_a_manifest_there_is_no_artifact(store: Store) -> None:
    ref = things_ref(1)
    manifest = write_things(store, ref, seed=1)
    assert not store.has(ref)
    assert list(store.refs()) == []
    with pytest.raises(MissingArtifactError, match=f"artifact {ref}: expected a committed artifact, found no manifest"):
        store.open(ref, THINGS)
    store.commit(ref, manifest)
    assert store.has(ref)
    assert list(store.refs()) == list(store.refs(THINGS.name)) == [ref]
    artifact = store.open(ref, THINGS)
    assert artifact.manifest == Manifest.decode(manifest.encode(), where="here")
    assert artifact.rows("things") == artifact.read("things").num_rows == 10
    assert artifact.read("things", shard=1)["id"].to_pylist() == [f"1-1-{row}" for row in range(5)]
    assert store.verify(ref) == sum(entry.bytes for entry in artifact.manifest.files)


def test_the_second_of_two_writers_gets_the_firsts_manifest(store: Store) -> None:
    ref = things_ref(1)
    first = commit_things(store, ref, seed=1)
    assert commit_things(store, ref, seed=2).digest == first.digest
    assert commit_things(store, ref, seed=1).digest == first.digest
    assert read_everything(store, ref)["things"]["id"][0].as_py() == "1-0-0"


def test_a_replaced_artifact_is_the_new_one(store: Store) -> None:
    ref = things_ref(1)
    commit_things(store, ref, seed=1)
    store.commit(ref, write_things(store, ref, seed=2), replace=True)
    assert read_everything(store, ref)["things"]["id"][0].as_py() == "2-0-0"


def test_of_many_threads_with_different_bytes_one_wins(tmp_path: Path) -> None:
    store = Store(store_url("local", tmp_path)).prepare()
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            ref = things_ref(number)
            won = {m.digest for m in pool.map(lambda seed, ref=ref: commit_things(store, ref, seed=seed), range(8))}
            assert won == {store.manifest(ref).digest}
            read_everything(store, ref)


def test_of_two_processes_with_different_bytes_one_wins(tmp_path: Path) -> None:
    url, rounds = store_url("local", tmp_path), 8
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        start = time.time() + 3
        found = [pool.submit(commit_at_once, url, rounds, seed, start) for seed in (1, 2)]
        first, second = (future.result(timeout=60) for future in found)
    assert first == second
    store = Store(url).checked()
    for number, digest in enumerate(first):
        assert store.manifest(things_ref(number)).digest == digest
        read_everything(store, things_ref(number))


def test_every_worker_opens_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("relative").prepare()
    commit_things(store, things_ref(1), seed=1)
    sent = pickle.dumps(store)
    monkeypatch.chdir("/")
    read_everything(pickle.loads(sent), things_ref(1))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b'{"format": 99}', ForeignArtifactError, "expected store format 1 to 1, found 99; upgrade fingerpost"),
        (b'{"format": 0}', ForeignArtifactError, "found 0; open it with the older fingerpost, or start a new store"),
        (b'{"format": "one"}', CorruptArtifactError, "expected store.json with a format number, found something else"),
        (b'{"format": null}', CorruptArtifactError, "expected store.json with a format number"),
        (b"[1]", CorruptArtifactError, "expected store.json with a format number"),
        (b"{", CorruptArtifactError, "expected store.json with a format number"),
        (b"", CorruptArtifactError, "expected store.json with a format number"),
    ],
)
def test_a_store_of_another_format_is_refused_by_name(
    store: Store, content: bytes, error: type[Exception], message: str
) -> None:
    store.files.write("store.json", content)
    for attempt in (store.checked, store.prepare):
        with pytest.raises(error) as caught:
            attempt()
        assert str(caught.value).startswith(f"store {store.url}: ")
        assert message in str(caught.value)
    assert store.files.read("store.json") == content


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match=f"store {tmp_path}: expected a store, found none; run"):
        Store(str(tmp_path)).checked()


@pytest.mark.parametrize(("version", "advice"), [(99, "upgrade fingerpost"), (0, "open it with the older fingerpost")])
def test_a_manifest_of_another_format_is_refused_by_name(store: Store, version: int, advice: str) -> None:
    ref = things_ref(1)
    commit_things(store, ref, seed=1)
    body = json.loads(store.files.read(f"{ref}/manifest.json"))
    del body["sha256"]
    body["format"] = version
    store.files.write(f"{ref}/manifest.json", json.dumps({**body, "sha256": digest_of(body)}).encode())
    with pytest.raises(ForeignArtifactError, match=rf"artifact {ref}, manifest.json: expected store format .*{advice}"):
        read_everything(store, ref)


@pytest.mark.parametrize(
    "contract",
    [
        Contract(THINGS.name, 1, THINGS.tables, "an older reader"),
        Contract(THINGS.name, 9, THINGS.tables, "a newer reader", readable_from=3),
        Contract("test.others", 2, THINGS.tables, "another contract"),
    ],
    ids=lambda contract: contract.about,
)
def test_a_contract_of_another_version_or_name_is_refused_by_name(store: Store, contract: Contract) -> None:
    ref = things_ref(1)
    commit_things(store, ref, seed=1)
    with pytest.raises(
        ForeignArtifactError,
        match=(
            rf"artifact {ref}: expected contract {contract.name} version \d to \d, found test.things version 2; rebuild"
        ),
    ):
        store.open(ref, contract)


def test_an_older_version_that_is_still_readable_opens(store: Store) -> None:
    commit_things(store, things_ref(1), seed=1)
    newer = Contract(THINGS.name, 3, THINGS.tables, "a newer reader", readable_from=2)
    assert store.open(things_ref(1), newer).rows("things") == 10


def test_a_manifest_that_lists_a_path_outside_is_refused(store: Store) -> None:
    for number, path in enumerate(("../../etc/passwd", "/etc/passwd", "a/../../b", "a\\..\\b", "a\0")):
        ref = things_ref(number)
        manifest = write_things(store, ref, seed=number)
        files = [{**entry, "path": path} for entry in manifest.identity["files"]]
        store.commit(ref, Manifest({**manifest.identity, "files": files}, {}))
        for attempt in (lambda ref=ref: read_everything(store, ref), lambda ref=ref: store.verify(ref)):
            with pytest.raises(UnsafeNameError, match="path: expected one below the store's root"):
                attempt()


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for url in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "/dev/null/store"):
        with pytest.raises(
            StoreUnreachableError, match=f"store {url}: expected to .*, got .*; check that it is reachable"
        ):
            Store(url).prepare()
    with pytest.raises(
        StoreUnreachableError, match=r"store nosuch://x: expected a folder or an fsspec URL, got one that"
    ):
        Store("nosuch://x")


class _LostError(Exception):
    """What a storage client raises that knows nothing of OSError."""


@pytest.mark.parametrize(
    "problem", [ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), _LostError("no endpoint")]
)
def test_an_unreachable_store_is_named(problem: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = Store(store_url("memory", tmp_path)).prepare()
    commit_things(store, things_ref(1), seed=1)
    monkeypatch.setattr(objects, "pause", lambda seconds: None)

    def fail(*args: object, **kwargs: object) -> None:
        raise problem

    for name in ("cat_file", "info", "ls", "pipe_file", "exists"):
        monkeypatch.setattr(type(store.files.fs), name, fail)
    for attempt in (
        store.checked,
        store.prepare,
        lambda: store.has(things_ref(1)),
        lambda: store.manifest(things_ref(1)),
        lambda: list(store.refs()),
        lambda: commit_things(store, things_ref(2), seed=2),
    ):
        with pytest.raises(
            StoreUnreachableError, match=f"store {store.url}: expected to .*, got .*; check that it is reach"
        ):
            attempt()


def _fill_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    if store.files.local:

        class Half:
            def __init__(self, *args: str) -> None:
                self.file = open(*args)  # noqa: SIM115

            def __enter__(self) -> "Half":
                return self

            def __exit__(self, *args: object) -> None:
                self.file.close()

            def write(self, data: bytes) -> None:
                self.file.write(data[: len(data) // 2])
                raise full

        monkeypatch.setattr(files_module, "open", Half, raising=False)
    else:

        def pipe_file(*args: object, **kwargs: object) -> None:
            raise full

        monkeypatch.setattr(type(store.files.fs), "pipe_file", pipe_file)


def test_a_full_disk_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_things(store, things_ref(1), seed=1)
    manifest = write_things(store, things_ref(2), seed=2)
    before = sorted(store.files.fs.find(store.files.root))
    with monkeypatch.context() as patch:
        _fill_up(store, patch)
        for attempt in (
            lambda: store.commit(things_ref(2), manifest),
            lambda: store.commit(things_ref(1), manifest, replace=True),
            lambda: commit_things(store, things_ref(3), seed=3),
            lambda: Workspace(store, things_ref(3)).finish_shard(0, [], {}),
        ):
            with pytest.raises(StoreUnreachableError, match="No space left on device; free some disk space"):
                attempt()
    assert sorted(store.files.fs.find(store.files.root)) == before
    assert read_everything(store, things_ref(1))["things"]["id"][0].as_py() == "1-0-0"
    assert not store.has(things_ref(2))
    commit_things(store, things_ref(2), seed=2)
    read_everything(store, things_ref(2))


def test_a_half_written_file_is_not_seen(store: Store) -> None:
    commit_things(store, things_ref(1), seed=1)
    names = store.files.names(str(things_ref(1)))
    store.files.fs.pipe_file(f"{store.files.root}/{things_ref(1)}/things-00009.parquet.abc.tmp", b"half")
    assert store.files.names(str(things_ref(1))) == names


def test_working_state_keeps_whole_shards_alone(store: Store) -> None:
    ref = things_ref(1)
    entries = [FileEntry(**entry) for entry in write_things(store, ref, seed=1, shards=3).identity["files"]]
    workspace = Workspace(store, ref)
    for shard in range(3):
        workspace.finish_shard(shard, [entries[shard]], {"rows": shard})
    assert workspace.finished_shards() == {shard: ([entries[shard]], {"rows": shard}) for shard in range(3)}
    store.files.write(f"{workspace.folder}/shard-00001.json", b'{"entries": [], "figures": {}')
    store.files.remove(entries[2].path)
    assert set(workspace.finished_shards()) == {0}
    workspace.clear()
    workspace.clear()
    assert workspace.finished_shards() == {}


def test_working_state_keeps_the_newest_two_checkpoints_and_takes_up_a_whole_one(store: Store) -> None:
    workspace = Workspace(store, things_ref(1))
    assert workspace.newest_checkpoint() is None
    for position in (128, 256, 1024):
        workspace.save_checkpoint(position, f"state at {position}".encode())
    assert len(store.files.names(workspace.folder)) == 2
    assert workspace.newest_checkpoint() == (1024, b"state at 1024")
    assert workspace.checkpoint(256) == b"state at 256"
    newest = store.files.names(workspace.folder)[-1]
    store.files.write(f"{workspace.folder}/{newest}", b"state at 10")
    assert workspace.newest_checkpoint() == (256, b"state at 256")
    for position in (1024, 128):
        with pytest.raises(
            CorruptArtifactError, match=f"expected an intact checkpoint at {position}, found none; run again"
        ):
            workspace.checkpoint(position)


def _state(size: int) -> dict[str, np.ndarray]:
    return {"links": np.arange(size, dtype=np.uint32), "done": np.array([size, 2, 3])}


def _same(found: dict[str, np.ndarray], size: int) -> bool:
    return found.keys() == _state(size).keys() and all((found[name] == _state(size)[name]).all() for name in found)


def test_arrays_of_a_checkpoint_come_back_of_the_newest_whole_one(store: Store) -> None:
    workspace = Workspace(store, things_ref(1))
    assert workspace.newest_arrays() == {}
    for size in (10, 20, 3_000):
        workspace.save_arrays(size, _state(size))
    first, newest = store.files.names(workspace.folder)
    assert _same(workspace.newest_arrays(), 3_000)
    # As the checkpoints of others are.
    assert workspace.checkpoint(20) == store.files.read(f"{workspace.folder}/{first}")
    store.files.write(f"{workspace.folder}/{newest}", store.files.read(f"{workspace.folder}/{newest}")[:-1])
    assert _same(workspace.newest_arrays(), 20)


def test_a_checkpoint_takes_no_memory_beside_its_arrays(tmp_path: Path) -> None:
    workspace, state = Workspace(Store(str(tmp_path / "s")).prepare(), things_ref(1)), _state(2_000_000)
    pool = pa.default_memory_pool()
    tracemalloc.start()
    workspace.save_arrays(1, _state(1))
    arrow, python = pool.max_memory(), tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    workspace.save_arrays(2, state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pool.max_memory() - arrow < 1e6
    assert peak - python < 1e6
    assert _same(workspace.newest_arrays(), 2_000_000)


def test_a_checkpoint_is_saved_where_another_run_has_just_cleared_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, cleared = Workspace(Store(str(tmp_path / "s")).prepare(), things_ref(1)), list[str]()

    def clear(point: str) -> None:
        if point == "before-rename" and not cleared:
            workspace.clear()
            cleared.append(point)

    monkeypatch.setattr(files_module, "reached", clear)
    workspace.save_arrays(5, _state(5))
    assert cleared
    assert _same(workspace.newest_arrays(), 5)


def test_what_is_not_there_is_no_error_to_list_or_remove(store: Store) -> None:
    files: Files = store.files
    assert files.names("nowhere") == []
    assert files.size("nowhere") is None
    files.remove("nowhere")
    with pytest.raises(FileNotFoundError):
        files.read("nowhere")
