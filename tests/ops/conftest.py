"""One real stack for the tests of a session: what `fingerpost up` starts, on free ports, in a folder of its own.

Use the fixture ``stack`` of tests/conftest.py (about 15 s, once a session)::

    def test_something(stack: RunningStack) -> None:
        stack.deploy("nightly")                                        # once; asked again it costs nothing
        run = stack.submit("nightly", stack.request(day="2026-01-02"))  # through the deployment, by the worker
        assert stack.wait(run)["state_type"] == "COMPLETED"
        assert stack.cli("status").returncode == 0                      # a command, in the stack's environment
        stack.api.post("flow_runs/filter", {})                          # Prefect's API, JSON in and out
        open_page(stack.ui)

Give each test a collection of its own (``stack.request(collection=…)``) and leave server and worker running: others
share them. Whoever must kill them starts a stack of its own with ``started_stack``. At the end the stack gets Ctrl-C, and
no process may be left.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from fingerpost.flows.ops.stack.processes import alive, marked
from fingerpost.flows.ops.stack.state import State, client_environment, read_state
from fingerpost.flows.run.api import Api, ApiError
from tests.worlds import write_documents

#: What of this process's environment a stack and its commands must not see.
_OURS = ("PREFECT_", "FINGERPOST_", "DASK_")
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
#: The deployments that tests run.
DEPLOYED = ("nightly", "featurize_corpus", "backfill")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of Prefect, Dask and Fingerpost, and with some more."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_OURS)} | more


#: Names the folder that several processes of a test session share; one alone leaves the tables of Prefect's database to its server.
SESSION = "FINGERPOST_TEST_SESSION"


def place_database(path: Path) -> None:
    """Copies a database of Prefect's server with all its tables to ``path``: they are made once a session, for that takes seconds."""
    if SESSION not in os.environ:
        return
    folder = Path(os.environ[SESSION])
    made, making = folder / "prefect.db", folder / "making.db"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            subprocess.run(
                [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
                env=clean_environment(
                    PREFECT_HOME=str(folder), PREFECT_SERVER_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{making}"
                ),
                stdout=subprocess.DEVNULL,
                check=True,
            )
            making.rename(made)
    shutil.copyfile(made, path)


@dataclass
class RunningStack:
    """A stack that runs: its addresses, its server's API, and commands inside its environment."""

    home: Path
    process: "subprocess.Popen[bytes]"
    documents: Path
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    deployed: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """What the stack says about itself now."""
        state = read_state(self.home)
        assert state is not None, self.log("up")
        return state

    @property
    def ui(self) -> str:
        """The address of Prefect's UI."""
        return self.state.ui

    @property
    def store(self) -> str:
        """The store that runs of the stack write to."""
        return self.state.store

    @property
    def api(self) -> Api:
        """The server, with credentials where the stack was given any."""
        return Api(self.state.api, self.secrets.get("FINGERPOST_AUTH", ""))

    def environment(self) -> dict[str, str]:
        """For a process that is a client of this stack (Prefect in it talks to this server)."""
        found = clean_environment(**client_environment(self.state_without_auth), **self.secrets)
        if self.api.auth:
            found["PREFECT_API_AUTH_STRING"] = self.api.auth
        return found | {"PREFECT_HOME": str(self.home / "prefect"), "FINGERPOST_STACK_HOME": str(self.home)}

    @property
    def state_without_auth(self) -> State:
        """The same without the demand for credentials in this process's own environment."""
        from dataclasses import replace

        return replace(self.state, auth=False)

    def cli(self, *arguments: str, timeout: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a `fingerpost` command that finds the stack by itself, as in a terminal beside it."""
        found = clean_environment(
            FINGERPOST_STACK_HOME=str(self.home), FINGERPOST_STORE=self.store, **self.secrets, **env
        )
        return subprocess.run(
            [sys.executable, "-m", "fingerpost.flows.cli", *arguments],
            env=found,
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def request(self, **given: Any) -> dict[str, Any]:
        """Parameters of a small run: the tiny profile over some documents, for the collection and day that are given."""
        return {"request": {"profile": "tiny", "input": str(self.documents), "collection": "toys", **given}}

    def deploy(self, name: str) -> str:
        """The id of a deployment of infra/prefect.yaml, applied when first asked for: those that tests run, all at once."""
        if name not in self.deployed:
            only = [word for each in DEPLOYED for word in ("--only", each)]
            done = self.cli("deploy", *only, "--json")
            assert done.returncode == 0, done.stderr
            self.deployed |= {one["name"].partition("/")[0]: one["id"] for one in json.loads(done.stdout)}
        return self.deployed[name]

    def submit(self, name: str, parameters: dict[str, Any], **more: Any) -> str:
        """Asks for a run of a deployment; its id. ``more`` are fields of Prefect's create_flow_run, such as ``state``."""
        body = {"parameters": parameters, **more}
        return str(self.api.post(f"deployments/{self.deploy(name)}/create_flow_run", body)["id"])

    def copied(self, name: str, new: str, schedules: list[dict[str, Any]], **request: Any) -> str:
        """The id of a deployment like another one, with schedules and a request of its own; ``remove`` it."""
        same = self.api.get(f"deployments/{self.deploy(name)}")
        keys = (
            "flow_id",
            "entrypoint",
            "work_pool_name",
            "work_queue_name",
            "parameter_openapi_schema",
            "enforce_parameter_schema",
            "pull_steps",
            "job_variables",
        )
        body = {key: same[key] for key in keys} | {"name": new, "parameters": self.request(**request)}
        body["schedules"] = [{"schedule": schedule, "active": True} for schedule in schedules]
        return str(self.api.post("deployments/", body)["id"])

    def planned(self, deployment: str, *, timeout: float = 180) -> list[dict[str, Any]]:
        """The runs that the scheduler has made for a deployment, by time, once there are any."""
        body = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        deadline = time.monotonic() + timeout
        while not (found := self.api.post("flow_runs/filter", body)):
            assert time.monotonic() < deadline, f"the schedule made no run\n{self.log('server')}"
            time.sleep(0.3)
        return list(found)

    def remove(self, deployment: str) -> None:
        """Removes a deployment and its runs that have not begun."""
        body = {
            "deployments": {"id": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        runs = self.api.pages("flow_runs/filter", body)
        self.api.ask("DELETE", f"deployments/{deployment}")
        for run in runs:
            with contextlib.suppress(ApiError):
                self.api.ask("DELETE", f"flow_runs/{run['id']}")

    def wait(self, run: str, *, until: set[str] = ENDED, timeout: float = 300) -> dict[str, Any]:
        """A flow run once its state is of one of these types; AssertionError with its state and logs if that takes too long."""
        deadline = time.monotonic() + timeout
        while (found := self.api.get(f"flow_runs/{run}"))["state_type"] not in until:
            assert time.monotonic() < deadline, f"{found['state']}\n{self.run_log(run)}\n{self.log('worker')}"
            time.sleep(0.25)
        return dict(found)

    def run_log(self, run: str) -> str:
        """What a flow run logged."""
        lines = self.api.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
        return "\n".join(line["message"] for line in lines)

    def log(self, name: str) -> str:
        """The end of the log of a child, or of ``up``."""
        path = self.home / "logs" / f"{name}.log"
        return path.read_text(errors="replace")[-4000:] if path.is_file() else "(no log)"

    def pid(self, child: str) -> int:
        """The process number of a child: server, dask-scheduler, dask-workers, worker."""
        return int(self.state.children[child]["pid"])


def start_stack(folder: Path, *arguments: str, secrets: dict[str, str] | None = None) -> RunningStack:
    """Starts `fingerpost up` in a folder, in the foreground of a session of its own, and waits until all answers."""
    home, secrets = folder / "stack", secrets or {}
    (home / "logs").mkdir(parents=True, exist_ok=True)
    if not (home / "prefect.db").exists():
        place_database(home / "prefect.db")
    ports = [f"--{name}port=0" for name in ("", "dask-", "dashboard-", "metrics-")]
    with open(home / "logs" / "up.log", "wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fingerpost.flows.cli",
                "up",
                "--home",
                str(home),
                "--store",
                str(folder / "store"),
                "--workers",
                "1",
                *ports,
                *arguments,
            ],
            env=clean_environment(**secrets),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack = RunningStack(home, process, write_documents(folder, 240, 1), secrets)
    deadline = time.monotonic() + 300
    while (state := read_state(home)) is None or not state.ready:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"the stack did not start: {stack.log('up')}\n{stack.log('server')}")
        time.sleep(0.1)
    return stack


def end_stack(stack: RunningStack, number: int = signal.SIGINT) -> list[str]:
    """Ends a stack by a signal; the command lines of what is left of it after that, which is killed."""
    state = read_state(stack.home)
    if state is None:
        assert stack.process.poll() is not None
        return []
    below = {stack.process.pid, *(p.pid for p in psutil.Process(stack.process.pid).children(recursive=True))}
    stack.process.send_signal(number)
    try:
        stack.process.wait(60)
    except subprocess.TimeoutExpired:
        stack.process.kill()
    left = {pid: psutil.Process(pid) for pid in below if alive(pid)} | {p.pid: p for p in marked(state.id)}
    told = [" ".join(process.cmdline()) for process in left.values()]
    for process in left.values():
        process.kill()
    return told


@contextmanager
def started_stack(folder: Path, *arguments: str, secrets: dict[str, str] | None = None) -> Iterator[RunningStack]:
    """A stack for one test that needs its own, with more options of `fingerpost up`; nothing may be left of it."""
    stack = start_stack(folder, *arguments, secrets=secrets)
    try:
        yield stack
    finally:
        left = end_stack(stack, signal.SIGTERM) if stack.process.poll() is None else []
    assert not left, left
