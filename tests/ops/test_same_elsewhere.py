"""The same flow on S3, with the Prefect server on PostgreSQL and a TLS Dask cluster: the artifacts of one local process."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fingerpost.flows.ops.stack.certificates import dask_security
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from tests.dask_processes import ROOT, DaskProcesses, dask_processes
from tests.object_store import SECRET, ObjectStore, object_store
from tests.ops.conftest import RunningStack
from tests.support.commands import fingerpost_here
from tests.support.plain_runs import without_prefect
from tests.worlds import identities, write_documents

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return dask_security(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(scope="module")
def pair(
    certificates: dict[str, str], server: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaskProcesses]:
    environment = {**certificates, **server.environment}
    with dask_processes(tmp_path_factory.mktemp("dask"), workers=2, protocol="tls", environment=environment) as found:
        yield found


def _command(documents: Path, store: str) -> list[str]:
    """The command of a small nightly."""
    where = ["--input", str(documents), "--collection", "toys", "--store", store]
    return ["run", "nightly", "--profile", "tiny", "--day", "2026-01-02", *where]


def nightly(
    stack: RunningStack, documents: Path, store: str, *more: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs the nightly in a process of its own, a client of the stack's server."""
    return subprocess.run(
        [sys.executable, "-m", "fingerpost.flows.cli", *_command(documents, store), *more],
        cwd=ROOT,
        env={**stack.environment(), **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def nightly_here(documents: Path, store: str) -> subprocess.CompletedProcess[str]:
    """Runs the nightly in this process, without Prefect."""
    with without_prefect():
        return fingerpost_here(*_command(documents, store), cwd=documents.parent)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents"), 160, 5)


@pytest.fixture(scope="module")
def alone(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What one process makes on a local disk."""
    store = Store(str(tmp_path_factory.mktemp("alone") / "store"))
    done = nightly_here(documents, store.url)
    assert done.returncode == 0, done.stderr
    assert len(identities(store)) > 10
    return store


def test_s3_postgres_and_a_tls_cluster_make_what_one_process_makes(
    guarded: RunningStack,
    database: str,
    pair: DaskProcesses,
    server: ObjectStore,
    certificates: dict[str, str],
    documents: Path,
    alone: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not database:
        pytest.skip("PostgreSQL is not installed")
    url = server.make_bucket("elsewhere") + "/prod"
    assert pair.address.startswith("tls://")
    away = nightly(
        guarded, documents, url, "--set", f"run.cluster={pair.address}", **certificates, **server.environment
    )
    assert away.returncode == 0, away.stderr
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    there = Store(url)
    assert identities(there) == identities(alone)

    [record] = runs(there)
    assert record["state"] == "completed"
    assert sum(stage["shards_run"] for stage in record["stages"]) > 0, "shards went to the cluster"
    keys = server.keys("elsewhere")
    assert all(key.startswith("prod/") and not key.endswith("/") for key in keys), "no directory markers"
    password = database.split(":")[2].split("@")[0]
    kept = b"".join(server.content("elsewhere", key) for key in keys)
    for secret in (SECRET, password):
        assert secret.encode() not in kept
        assert secret not in away.stdout + away.stderr
    finished = guarded.api.post("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert len([run for run in finished if run["name"].startswith("nightly")]) == 1, "it is known to the server"


def test_a_worker_that_dies_and_a_faulty_store_at_once(
    guarded: RunningStack,
    pair: DaskProcesses,
    server: ObjectStore,
    certificates: dict[str, str],
    documents: Path,
    alone: Store,
) -> None:
    url = server.make_bucket("faulty")
    server.fail_every = 10
    pair.workers[0].kill()
    away = nightly(
        guarded, documents, url, "--set", f"run.cluster={pair.address}", **certificates, **server.environment
    )
    failures, server.fail_every = len(server.failures), 0
    assert away.returncode == 0, away.stderr
    assert failures > 20
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        assert identities(Store(url)) == identities(alone)


def _mount(folder: Path, size: str, *, again: bool = False) -> None:
    options = f"{'remount,' if again else ''}size={size}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of a few hundred kilobytes."""
    if os.getuid():
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount(folder, "500k")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_loses_nothing(small_disk: Path, documents: Path, alone: Store) -> None:
    store = Store(str(small_disk / "store"))
    cut = nightly_here(documents, store.url)
    assert cut.returncode == 1, cut.stdout
    said = " ".join(cut.stderr.split())
    assert re.search("No space left on device; free some disk space .*committed artifacts are kept", said), cut.stderr
    committed = list(store.refs())
    for ref in committed:
        store.verify(ref)
    assert Pointer(store, "toys", "ann.index").live() is None
    assert not any(name.endswith(".tmp") for _, _, names in os.walk(small_disk) for name in names)
    _mount(small_disk, "64m", again=True)
    again = nightly_here(documents, store.url)
    assert again.returncode == 0, again.stderr
    assert identities(store) == identities(alone)
    assert committed
    assert any(not stage["computed"] for stage in runs(store)[0]["stages"]), "what was committed is reused"
