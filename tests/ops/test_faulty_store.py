"""A store on object storage: one creator of each object, requests tried again, and errors without secrets."""

import errno
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from fingerpost.schemas import objects
from fingerpost.schemas.errors import MissingArtifactError, StoreUnreachableError
from fingerpost.schemas.files import Files
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from tests.object_store import KEY, SECRET, ObjectStore, object_store
from tests.worlds import (
    DAY,
    commit_at_once,
    commit_things,
    identities,
    promote_at_once,
    publish_things,
    read_everything,
    run_pipeline,
    things_ref,
    write_documents,
    write_things,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        yield store


@pytest.fixture
def bucket(server: ObjectStore) -> Iterator[str]:
    name = f"b{uuid.uuid4().hex}"
    server.make_bucket(name)
    server.behave()
    yield name
    server.behave()


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents for a whole pipeline, in two files."""
    return write_documents(tmp_path_factory.mktemp("documents"), 200, 2)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Store:
    """What the pipeline makes of them on a disk."""
    env = Environment(Store(str(tmp_path_factory.mktemp("local") / "store")).prepare(), "toys", DAY)
    run_pipeline(env, documents)
    return env.store


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, all of them cut short."""
    pauses: list[float] = []
    monkeypatch.setattr(objects, "pause", pauses.append)
    return pauses


def test_artifacts_go_through_a_bucket(bucket: str, server: ObjectStore) -> None:
    store = Store(f"s3://{bucket}/below").prepare()
    assert store.files.exclusive == "conditional"
    first = publish_things(store, 1)
    second = publish_things(store, 2)
    assert read_everything(store, second.artifact)["things"].num_rows == 10
    assert Pointer(store, "toys", "test.things").rollback().ref == first.ref
    keys = server.keys(bucket)
    assert all(key.startswith("below/") and not key.endswith(("/", ".tmp")) for key in keys)
    assert not [key for key in keys if ".probe" in key or ".claims" in key]


def test_a_folder_is_removed_without_its_neighbour(bucket: str) -> None:
    files = Files(f"s3://{bucket}/below")
    for name in (".work/x/1", ".work/x/y/2", ".work/xy/3", ".work/x.json"):
        files.write(name, b"content")
    files.remove(".work/x")
    files.remove(".work/nothing")
    assert files.names(".work") == ["x.json", "xy"]
    assert files.names(".work/x.json") == []
    assert files.names(".work/nothing") == []
    assert files.size(".work/x/1") is None


@pytest.mark.parametrize("size", [0, 100, 11 * 2**20])
def test_a_creation_is_conditional_in_one_part_and_in_many(bucket: str, server: ObjectStore, size: int) -> None:
    found = Files(f"s3://{bucket}")
    server.requests.clear()
    content = os.urandom(size)
    parts = {"chunksize": 5 * 2**20} if size > 2**20 else {}
    found.fs.pipe_file(f"{bucket}/new", content, mode="create", **parts)
    with pytest.raises(OSError, match=r"(?i)pre-?condition"):
        found.fs.pipe_file(f"{bucket}/new", b"", mode="create")
    deciding = [request for request in server.requests if request[2]]
    assert [method for method, _, _ in deciding] == ["POST" if parts else "PUT", "PUT"]
    assert found.read("new") == content
    assert found.create("new", b"other") is False
    assert found.read("new") == content


def test_what_others_write_is_seen_at_once(bucket: str) -> None:
    mine, theirs = Files(f"s3://{bucket}"), Files(f"s3://{bucket}/")
    theirs.fs = type(mine.fs)(skip_instance_cache=True, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    theirs._objects.fs = theirs.fs
    mine.write("folder/a", b"1")
    assert mine.names("folder") == ["a"]
    assert mine.size("folder/b") is None
    theirs.write("folder/b", b"22")
    theirs.remove("folder/a")
    assert mine.size("folder/b") == 2
    assert mine.size("folder/a") is None
    assert mine.names("folder") == ["b"]
    theirs.write("folder/b", b"333")
    assert (mine.size("folder/b"), mine.read("folder/b")) == (3, b"333")


@pytest.mark.parametrize("conditional", [True, False])
def test_of_many_creators_one_wins(bucket: str, server: ObjectStore, conditional: bool) -> None:
    server.conditional = conditional
    objects._refuses.clear()
    files = Files(f"s3://{bucket}/{conditional}")
    assert files.exclusive == ("conditional" if conditional else "claims")
    for number in range(2):
        with ThreadPoolExecutor(4) as pool:
            contents = [f"writer {writer}".encode() for writer in range(4)]
            won = list(pool.map(lambda data: files.create(f"target-{number}", data), contents))  # noqa: B023
        assert won.count(True) == 1
        assert files.read(f"target-{number}") == contents[won.index(True)]
    assert not [key for key in server.keys(bucket) if ".claims" in key or ".probe" in key]
    objects._refuses.clear()


@pytest.mark.parametrize("conditional", [True, False])
def test_processes_that_publish_at_once_take_turns(bucket: str, server: ObjectStore, conditional: bool) -> None:
    server.conditional = conditional
    url = f"s3://{bucket}"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(commit_at_once, [(url, 0, seed, 0.0) for seed in (1, 2)])
        start = time.time() + 1.5
        digests = pool.starmap(commit_at_once, [(url, 2, seed, start) for seed in (1, 2)])
        outcomes = pool.starmap(promote_at_once, [(url, 2, seed, time.time() + 0.5) for seed in (1, 2)])
    assert digests[0] == digests[1]
    won = sorted(int(text.split()[1]) for outcome in outcomes for text in outcome if text.startswith("won"))
    assert won == list(range(1, len(won) + 1))
    history = Pointer(Store(url), "toys", "test.things").history()
    assert [move.generation for move in history] == won


def test_a_claim_left_behind_is_passed_after_the_lease(
    bucket: str, server: ObjectStore, hurried: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.conditional = False
    objects._refuses.clear()
    files = Files(f"s3://{bucket}")
    assert files.exclusive == "claims"
    listed = type(files._objects).names
    seen = []

    def names(self: objects.Objects, folder: str) -> list[str]:
        if ".claims/" in folder and not seen:
            self.write(f"{folder}/of-a-dead-writer", b"")
        seen.append(listed(self, folder))
        return seen[-1]

    monkeypatch.setattr(objects.Objects, "names", names)
    modified = type(files.fs).modified

    def aged(fs: object, path: str) -> object:
        age = objects.LEASE + 1 if path.endswith("dead-writer") and len(seen) > 3 else 0
        return modified(fs, path) - timedelta(seconds=age)

    monkeypatch.setattr(type(files.fs), "modified", aged)
    assert files.create("target", b"mine") is True
    assert len([names for names in seen if len(names) == 2]) >= 3, "nobody wrote while the claim stood"
    assert files.read("target") == b"mine"
    objects._refuses.clear()


def test_a_lost_answer_does_not_make_a_winner_lose(bucket: str, server: ObjectStore, hurried: list[float]) -> None:
    files = Files(f"s3://{bucket}")
    assert files.exclusive == "conditional"
    for number, fault in enumerate(("lose", "drop", "refuse")):
        server.next_faults.append(fault)
        assert files.create(f"target-{number}", b"mine") is True
        assert files.read(f"target-{number}") == b"mine"
        server.next_faults.append(fault)
        assert files.create(f"target-{number}", b"mine") is False, "the same bytes of another writer"
    server.next_faults += ["lose", "lose", "refuse", "lose"]
    assert files.create("target", b"mine") is True
    assert files.create("target", b"of another") is False
    assert files.read("target") == b"mine"


def test_requests_are_tried_again_for_a_while(bucket: str, server: ObjectStore, hurried: list[float]) -> None:
    files = Files(f"s3://{bucket}/below")
    files.write("a", b"1")
    server.broken = True
    for attempt in (
        lambda: files.read("a"),
        lambda: files.write("b", b"2"),
        lambda: files.names(""),
        lambda: files.size("a"),
    ):
        hurried.clear()
        with pytest.raises(
            StoreUnreachableError,
            match=rf"store s3://{bucket}/below: expected to .*, got .* \(in each of 8 tries\); check",
        ):
            attempt()
        assert len(hurried) == objects.TRIES - 1
        assert all(seconds <= objects.LONGEST_PAUSE for seconds in hurried)
        assert sum(hurried) < 2 * objects.FIRST_PAUSE * 2**objects.TRIES
    assert len(set(hurried)) == len(hurried), "pauses differ, so that clients spread out"


def test_refusals_are_not_tried_again(bucket: str, server: ObjectStore, hurried: list[float]) -> None:
    for url in (f"s3://{bucket}-not-there/below", "s3://Not A Bucket/x"):
        with pytest.raises(StoreUnreachableError, match=r"store s3://.*: expected to"):
            Store(url).prepare()
    with pytest.raises(MissingArtifactError, match="expected a store, found none"):
        Store(f"s3://{bucket}/empty").checked()
    assert hurried == []


def test_a_pipeline_ends_alike_on_a_store_that_fails_every_tenth_request(
    bucket: str, server: ObjectStore, local: Store, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "FIRST_PAUSE", 0.01)
    server.fail_every = 10
    remote = Environment(Store(f"s3://{bucket}").prepare(), "toys", DAY)
    run_pipeline(remote, documents)
    server.fail_every = 0
    assert set(server.failures) == {"refuse", "throttle", "drop", "lose"}
    assert len(server.failures) > 20
    print(f"{len(server.requests)} requests, {len(server.failures)} failed")
    assert identities(remote.store) == identities(local)
    for ref in remote.store.refs():
        remote.store.verify(ref)
    assert not [key for key in server.keys(bucket) if key.startswith(".work")]


def test_a_run_cut_off_by_its_store_goes_on_later(
    bucket: str, server: ObjectStore, local: Store, documents: Path, hurried: list[float]
) -> None:
    store = Store(f"s3://{bucket}").prepare()
    for allowed in (60, 150):
        server.requests.clear()
        env = Environment(store, "toys", DAY)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run_pipeline, env, documents)
            while len(server.requests) < allowed and not running.done():
                time.sleep(0.002)
            server.broken = True
            if not running.done() or running.exception():
                with pytest.raises(StoreUnreachableError, match="tries"):
                    running.result()
        server.broken = False
        assert Pointer(store, "toys", "ann.index").live() is None
        for ref in store.refs():
            store.verify(ref)
    env = Environment(store, "toys", DAY)
    run_pipeline(env, documents)
    assert identities(store) == identities(local)
    assert any(not record.computed for record in env.records)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{KEY}:{SECRET}@bucket/x",
        f"s3://{KEY}@bucket/x",
        f"https://user:{SECRET}@host/x",
        f"s3://bucket/x?aws_secret_access_key={SECRET}",
        f"abfs://bucket/x?sig={SECRET}",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    for attempt in (Files, Store):
        with pytest.raises(StoreUnreachableError, match="expected a URL without credentials") as caught:
            attempt(url)
        assert SECRET not in str(caught.value)
        assert KEY not in str(caught.value)


def test_a_command_does_not_repeat_credentials() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fingerpost.flows.cli", "status", "--store", f"s3://{KEY}:{SECRET}@bucket/x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 1
    assert "expected a URL without credentials" in " ".join(ended.stderr.split())
    assert SECRET not in ended.stdout + ended.stderr


def test_errors_carry_no_secret(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(f"s3://{bucket}")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, f"signed with {SECRET} of {KEY}")

    monkeypatch.setattr(files.fs, "cat_file", fail)
    with pytest.raises(StoreUnreachableError, match=r"signed with \*\*\* of \*\*\*") as caught:
        files.read("x")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_nothing_is_committed_twice(bucket: str) -> None:
    store = Store(f"s3://{bucket}").prepare()
    first = commit_things(store, things_ref(1), seed=1)
    second = store.commit(things_ref(1), write_things(store, things_ref(1), seed=2))
    assert second.digest == first.digest
