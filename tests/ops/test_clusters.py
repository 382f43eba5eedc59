"""Which Dask cluster a run uses: the same artifacts on a named class and at an address, and clear refusals."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from fingerpost.flows.ops.stack.certificates import dask_security
from fingerpost.flows.run import executor as clusters
from fingerpost.flows.run.executor import ClusterError, DaskExecutor, SameCode, check, cluster_class, installation
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import Executor, SerialExecutor
from fingerpost.tasks.threads import blas_cores
from tests.dask_processes import ROOT, DaskProcesses, dask_processes
from tests.worlds import DAY, identities, run_pipeline, write_documents

pytestmark = pytest.mark.slow

LOCAL = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}


def tls(environment: dict[str, str]) -> Any:
    """Dask's configuration of this process as these variables would set it."""
    names = {name: name.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-") for name in environment}
    return dask.config.set({names[name]: value for name, value in environment.items()})


def made_by(executor: Executor, documents: Path, folder: Path) -> dict[str, str]:
    env = Environment(Store(str(folder / "store")).prepare(), "toys", DAY, executor)
    run_pipeline(env, documents)
    return identities(env.store)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents"), 400, 7)


@pytest.fixture(scope="module")
def serial(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return made_by(SerialExecutor(), documents, tmp_path_factory.mktemp("serial"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("plain"), workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return dask_security(tmp_path_factory.mktemp("certificates"))


def test_a_class_is_called_scaled_and_closed(documents: Path, serial: dict[str, str], tmp_path: Path) -> None:
    executor = DaskExecutor(2, "distributed.LocalCluster", {"n_workers": 0, **LOCAL})
    assert made_by(executor, documents, tmp_path) == serial
    pids = set(executor.client.run(os.getpid).values())
    assert len(pids) in {1, 2}
    assert os.getpid() not in pids
    executor.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_address_serves_and_stays(
    plain: DaskProcesses, documents: Path, serial: dict[str, str], tmp_path: Path
) -> None:
    for turn in ("first", "second"):
        executor = DaskExecutor(0, plain.address)
        assert made_by(executor, documents, tmp_path / turn) == serial
        executor.close()
    assert plain.workers[0].poll() is None
    assert "Traceback" not in (plain.folder / "log").read_text()


def test_what_cannot_be_reached_is_named(plain: DaskProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]
        refused = f"tcp://127.0.0.1:{free}"
        with pytest.raises(
            ClusterError, match=f"Dask {refused}: expected a scheduler, got Connection refused; start it"
        ):
            DaskExecutor(0, refused).client  # noqa: B018
    with pytest.raises(
        ClusterError, match=r"Dask tls://.*: expected a scheduler that speaks TLS, found one that does not"
    ):
        DaskExecutor(0, plain.address.replace("tcp", "tls")).client  # noqa: B018
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"Dask {address}: expected a scheduler, got"):
            DaskExecutor(0, address).client  # noqa: B018


def test_no_worker_is_an_error_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "WORKER_SECONDS", 0.5)
    with (
        dask_processes(tmp_path) as empty,
        pytest.raises(ClusterError, match=r"expected a worker within .* found none"),
    ):
        DaskExecutor(0, empty.address).client  # noqa: B018


def test_a_lost_scheduler_ends_the_run_readably(tmp_path: Path) -> None:
    with dask_processes(tmp_path, workers=1) as found:
        executor = DaskExecutor(0, found.address)
        list(executor.map(abs, [1]))
        found.processes[0].send_signal(signal.SIGSTOP)
        threading.Timer(0.5, found.processes[0].kill).start()
        with dask.config.set({"distributed.comm.retry.count": 0}):
            with pytest.raises(
                ClusterError, match=r"the connection to the scheduler tcp://.* lost; start it and run again"
            ):
                list(executor.map(abs, [1, 2, 3]))
            executor.close()


def test_a_run_does_not_wait_for_ever_for_workers_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "LOST_SECONDS", 0.4)
    with LocalCluster(n_workers=1, processes=False, **LOCAL) as cluster:
        executor = DaskExecutor(1, _client=Client(cluster, set_as_default=False))
        results = executor.map(abs, [-1, -2])
        assert sorted(results) == [(0, 1), (1, 2)]
        cluster.scale(0)
        started = time.monotonic()
        with pytest.raises(ClusterError, match=r"of this run: expected a worker, found none for 0 s .*; start workers"):
            list(executor.map(abs, [-1, -2]))
        assert time.monotonic() - started < 20
        executor.close()


def test_ctrl_c_stays_what_it_was_where_a_cluster_class_takes_it_over() -> None:
    """dask-jobqueue makes it an exit with code 0: findings/dask_jobqueue_takes_ctrl_c.sh."""
    pytest.importorskip("dask_jobqueue", reason="the extra jobqueue is not installed")
    code = (
        "import os, signal\n"
        "from fingerpost.flows.run.executor import cluster_class\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "cluster_class('dask_jobqueue.SLURMCluster')\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode == -signal.SIGINT


def test_a_class_that_the_main_thread_alone_can_import_is_named() -> None:
    pytest.importorskip("dask_jobqueue", reason="the extra jobqueue is not installed")
    code = (
        "import threading\n"
        "from fingerpost.flows.run.executor import ClusterError, cluster_class\n"
        "def load():\n"
        "    try:\n"
        "        cluster_class('dask_jobqueue.SLURMCluster')\n"
        "    except ClusterError as problem:\n"
        "        print(problem)\n"
        "thread = threading.Thread(target=load)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "start the run in the main thread" in done.stdout, done.stderr


def _end_once(marker: str) -> int:
    """The process that it is in; the first one ends instead."""
    if not os.path.exists(marker):
        Path(marker).touch()
        os._exit(1)
    return os.getpid()


@pytest.mark.parametrize("cluster", ["", "distributed.LocalCluster"])
def test_a_worker_that_is_slow_to_come_back_is_replaced(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "LOST_SECONDS", 20.0)
    monkeypatch.setattr(clusters, "QUEUE_SECONDS", 20.0)
    monkeypatch.setattr(clusters, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(clusters, "MISSING_SECONDS", 1.0)
    executor = DaskExecutor(1, cluster, LOCAL if cluster else {})
    # Dask ends what supervises a worker that is not back by then, and starts no other.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}):
        ((_, pid),) = executor.map(_end_once, [str(tmp_path / "ended")])
    assert pid != os.getpid()
    executor.close()


def test_a_missing_worker_is_replaced_in_a_run_of_short_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MISSING_SECONDS", 1.0)
    executor = DaskExecutor(2)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}):
        os.kill(next(iter(executor.client.run(os.getpid).values())), signal.SIGKILL)
        limit = time.monotonic() + 60
        while len(executor.client.nthreads()) == 2:
            assert time.monotonic() < limit
            time.sleep(0.05)
        # None of these is as long as the time between two looks.
        while len(executor.client.nthreads()) < 2:
            assert time.monotonic() < limit
            list(executor.map(time.sleep, [0.3, 0.3]))
    executor.close()


def test_tls_needs_its_files_and_its_scheme(
    tmp_path: Path, certificates: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with dask_processes(tmp_path, workers=1, protocol="tls", environment=certificates) as found:
        with pytest.raises(
            ClusterError, match="expected a scheduler without TLS, found one that speaks TLS; use tls://"
        ):
            DaskExecutor(0, found.address.replace("tls", "tcp")).client  # noqa: B018
        with pytest.raises(
            ClusterError, match="expected TLS files, found none set; set DASK_DISTRIBUTED__COMM__TLS__CA"
        ):
            DaskExecutor(0, found.address).client  # noqa: B018
        strangers = dask_security(tmp_path / "strangers")
        monkeypatch.setattr(clusters, "CONNECT_SECONDS", 2.0)
        with tls(strangers):  # noqa: SIM117
            with pytest.raises(ClusterError, match=r"expected a scheduler, got .*; check that its certificates"):
                DaskExecutor(0, found.address).client  # noqa: B018
        with tls(certificates):
            executor = DaskExecutor(0, found.address)
            assert list(executor.map(abs, [-1])) == [(0, 1)]
            executor.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A copy of our code in which one line is another."""
    for name in ("flows", "tasks", "schemas", "ext", "infra"):
        shutil.copytree(
            ROOT / name, tmp_path / "copy" / "fingerpost" / name, ignore=shutil.ignore_patterns("__pycache__", "*.cpp")
        )
    shutil.copy(ROOT / "src" / "fingerpost" / "__init__.py", tmp_path / "copy" / "fingerpost")
    changed = tmp_path / "copy" / "fingerpost" / "tasks" / "corpus" / "tfidf.py"
    changed.write_text(changed.read_text() + "\nOTHER = 1\n")
    return tmp_path / "copy"


def test_workers_of_other_code_are_refused(tmp_path: Path, elsewhere: Path) -> None:
    others = {"PYTHONPATH": str(elsewhere)}
    with dask_processes(tmp_path / "changed") as found:
        found.start_worker(cwd=elsewhere, environment=others)
        with pytest.raises(
            ClusterError, match=r"Dask worker tcp://.*: expected the code .* found code of tasks \w+ instead"
        ):
            DaskExecutor(0, found.address).client  # noqa: B018
    (elsewhere / "fingerpost" / "flows" / "run" / "executor.py").write_text("raise ImportError('an older version')")
    with dask_processes(tmp_path / "lacking") as found:
        found.start_worker(cwd=elsewhere, environment=others)
        with pytest.raises(
            ClusterError, match=r"expected this version of fingerpost, found none that works there .*install"
        ):
            DaskExecutor(0, found.address).client  # noqa: B018


@pytest.mark.parametrize("core", ["Nehalem", ""])
def test_workers_with_other_kernels_of_openblas_are_named(
    core: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with dask_processes(tmp_path) as found:
        found.start_worker(environment={"OPENBLAS_CORETYPE": core} if core else {})
        executor = DaskExecutor(0, found.address)
        with caplog.at_level(logging.WARNING, "fingerpost.run"):
            assert list(executor.map(abs, [-1])) == [(0, 1)]
        executor.close()
    said = [record.getMessage() for record in caplog.records if "OpenBLAS" in record.getMessage()]
    if not core:
        assert said == []
    elif blas_cores():
        (line,) = said
        assert f"this process ({blas_cores()}), found Nehalem" in line


def test_a_worker_that_comes_later_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = SameCode(abs, installation().digest)
    assert guarded(-3) == 3
    monkeypatch.setattr(clusters, "installation", lambda: clusters.Installation({"numpy": "0.1"}))
    with pytest.raises(ClusterError, match=r"expected the code and versions of the run .*deploy the same version"):
        guarded(-3)


@pytest.mark.parametrize(
    ("workers", "cluster", "options", "message"),
    [
        (1, "http://host:80", {}, "expected tcp://host:port or tls://host:port, got http://..."),
        (1, "tcp://user:pw@host:1", {}, "expected tcp://host:port"),
        (1, "tcp://host", {}, "expected tcp://host:port"),
        (1, "LocalCluster", {}, "expected an address or a dotted class, got 'LocalCluster'"),
        (0, "distributed.LocalCluster", {}, "run.workers: expected at least 1 for distributed.LocalCluster, got 0"),
        (1, "a.B", {"env": {"DB_PASSWORD": "geheim"}}, "expected no secrets .*, got env.DB_PASSWORD; give them"),
    ],
)
def test_settings_that_cannot_be_a_cluster_are_refused(
    workers: int, cluster: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClusterError, match=message) as caught:
        check(workers, cluster, options)
    assert "geheim" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dask_jobqueue.NoSuchCluster", r"dask_jobqueue"),
        (
            "nosuch.package.Cluster",
            r"expected the class nosuch.package.Cluster, got ModuleNotFoundError .*; install the package",
        ),
        ("os.system", r"expected a Dask cluster class, found .*os\.system"),
        ("subprocess.Popen", r"expected a Dask cluster class, found .*subprocess\.Popen"),
    ],
)
def test_classes_that_are_no_clusters_are_refused(name: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        cluster_class(name)


def test_a_class_of_an_extra_that_is_not_installed_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("dask_kubernetes", "dask_kubernetes.operator", "dask_jobqueue"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ClusterError, match=r"install `pip install 'fingerpost\[kubernetes\]'`"):
        cluster_class("dask_kubernetes.operator.KubeCluster")
    with pytest.raises(ClusterError, match=r"install `pip install 'fingerpost\[jobqueue\]'`"):
        cluster_class("dask_jobqueue.SLURMCluster")


def test_options_that_a_class_does_not_take_are_named() -> None:
    with pytest.raises(
        ClusterError, match=r"distributed.LocalCluster: expected to start with .*protocol.*, got RuntimeError"
    ):
        DaskExecutor(1, "distributed.LocalCluster", {"protocol": "nosuch://", **LOCAL}).client  # noqa: B018


def test_a_slurm_cluster_is_called_with_its_options() -> None:
    pytest.importorskip("dask_jobqueue", reason="the extra jobqueue is not installed")
    options = {
        "cores": 4,
        "memory": "16GB",
        "queue": "night",
        "account": "search",
        "walltime": "02:00:00",
        "interface": "lo",
    }
    cluster = cluster_class("dask_jobqueue.SLURMCluster")(
        **options, scheduler_options={"dashboard_address": "127.0.0.1:0"}
    )
    try:
        script = cluster.job_script()
    finally:
        cluster.close()
    for line in ("#SBATCH -p night", "#SBATCH -A search", "#SBATCH -t 02:00:00", "distributed.cli.dask_worker tcp://"):
        assert line in script


def test_a_kubernetes_cluster_can_be_specified() -> None:
    operator = pytest.importorskip("dask_kubernetes.operator", reason="the extra kubernetes is not installed")
    assert cluster_class("dask_kubernetes.operator.KubeCluster") is operator.KubeCluster
    spec = operator.make_cluster_spec(name="fingerpost", image="fingerpost:0.1.0", n_workers=3)
    assert spec["spec"]["worker"]["replicas"] == 3
    assert spec["spec"]["worker"]["spec"]["containers"][0]["image"] == "fingerpost:0.1.0"
