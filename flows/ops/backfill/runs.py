"""Where days of a backfill run: in this process, in child processes, or in runs of deployment ``backfill/backfill``."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Protocol

from fingerpost.flows.ops.backfill.batches import day_seconds, days_a_run
from fingerpost.flows.ops.backfill.days import PARENT, work, worker_name
from fingerpost.flows.ops.backfill.record import Backfill, BackfillError
from fingerpost.flows.run.api import Api, ApiError
from fingerpost.flows.run.server import own_server
from fingerpost.schemas.leases import at_work

DEPLOYMENT = "backfill/backfill"
#: Seconds that a run of the deployment may have no lease in the store before it counts as dead: once it runs, and
#: while it is pending (an image may have to be pulled; the process that was to start it may have died).
_SILENCE, _PENDING = 45.0, 900.0
#: Seconds between the release of the lease and the end of the run.
_ENDING = 15.0
_ALIVE = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"]


class Place(Protocol):
    """A place that runs days."""

    @property
    def size(self) -> int:
        """Maximum number of days per run; 0 is no limit."""
        ...

    def active(self) -> int:
        """The number of running and pending runs."""
        ...

    def start(self, runs: int) -> None:
        """Starts ``count`` more runs."""
        ...

    def close(self) -> None:
        """Ends the runs that must not outlive this process."""
        ...


class Here:
    """This process, one day at a time."""

    size = 0

    def __init__(self, backfill: Backfill, after_each: Callable[[], None]) -> None:
        self.backfill, self.after_each = backfill, after_each

    def active(self) -> int:
        """0: nothing runs between two calls of ``start``."""
        return 0

    def start(self, runs: int) -> None:
        """Runs days until none is left."""
        work(self.backfill, worker_name(), after_each=self.after_each)

    def close(self) -> None:
        """Does nothing: nothing is left."""


class Beside:
    """Child processes of this machine, each one day at a time, with one Prefect server for all of them.

    Not threads: a stage measures its memory and limits the threads of numeric libraries per process.
    """

    size = 1

    def __init__(self, backfill: Backfill) -> None:
        self.backfill = backfill
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()
        self._server = ""

    def active(self) -> int:
        """The number of processes that have not ended."""
        self._processes = [process for process in self._processes if process.poll() is None]
        return len(self._processes)

    def start(self, runs: int) -> None:
        """Starts processes."""
        env = {**os.environ, "PREFECT_API_URL": self._api(), PARENT: str(os.getpid())}
        command = [sys.executable, "-P", "-m", "fingerpost.flows.cli", "backfill", "work", self.backfill.id]
        for _ in range(runs):
            self._processes.append(
                subprocess.Popen(
                    [*command, "--store", self.backfill.store.url],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=None,
                )
            )

    def _api(self) -> str:
        from prefect.settings import PREFECT_API_URL

        if not self._server:
            if server := self._stack.enter_context(own_server()):
                server.wait()
            self._server = str(PREFECT_API_URL.value())
        return self._server

    def close(self) -> None:
        """Ends the processes and the server."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()


class Deployed:
    """Runs of the deployment, found by their tag whoever submitted them."""

    def __init__(
        self, backfill: Backfill, api: Api, planned: Sequence[float | None], measured: Callable[[], list[float]]
    ) -> None:
        self.backfill, self.api, self.planned, self.measured = backfill, api, planned, measured
        self.tag = f"backfill:{backfill.id}"
        self._deployment = ""
        self._silent_since: dict[str, float] = {}

    @property
    def size(self) -> int:
        """The number of days for which a run's start is a small fraction of its time."""
        return days_a_run(day_seconds(self.planned, self.measured()))

    def active(self) -> int:
        """The number of runs that have not ended; runs whose process died unnoticed are marked as crashed."""
        alive = self.api.pages("flow_runs/filter", self._filter(_ALIVE))
        holders = {lease.run for lease in at_work(self.backfill.store, self.backfill.workers)}
        now = time.monotonic()
        silent = [run for run in alive if _silent(run) and run["id"] not in holders]
        self._silent_since = {run["id"]: self._silent_since.get(run["id"], now) for run in silent}
        lost = [run for run in silent if now - self._silent_since[run["id"]] >= _ENDING]
        for run in lost:
            state = {"type": "CRASHED", "message": "its process holds no lease in the store"}
            self.api.post(f"flow_runs/{run['id']}/set_state", {"state": state, "force": True})
        return len(alive) - len(lost)

    def start(self, runs: int) -> None:
        """Submits ``count`` runs."""
        self._deployment = self._deployment or deployment_id(self.api)
        before = int(self.api.post("flow_runs/count", self._filter(None)))
        backfill = self.backfill
        request: dict[str, Any] = {
            "flow": backfill.request.flow,
            "resume": backfill.id,
            "take": self.size,
            "run": {"store": backfill.request.run.store},
        }
        for number in range(before + 1, before + runs + 1):
            body = {
                "parameters": {"request": request},
                "name": f"{backfill.id} part {number}",
                "tags": ["fingerpost", "backfill", self.tag],
                "idempotency_key": f"{backfill.id}:{number}",
            }
            self.api.post(f"deployments/{self._deployment}/create_flow_run", body)

    def _filter(self, states: list[str] | None) -> dict[str, Any]:
        runs: dict[str, Any] = {"tags": {"all_": [self.tag]}}
        return {"flow_runs": runs | ({"state": {"type": {"any_": states}}} if states else {})}

    def close(self) -> None:
        """Does nothing: the runs belong to the server and the worker."""


def deployment_id(api: Api) -> str:
    """The id of the deployment on a server; BackfillError if the server has none."""
    try:
        return str(api.get(f"deployments/name/{DEPLOYMENT}")["id"])
    except ApiError as problem:
        if problem.status != 404:
            raise
        raise BackfillError(
            f"deployment {DEPLOYMENT}: expected it on the server {api.url}, found none; `fingerpost deploy --only"
            " backfill` creates it"
        ) from None


def _silent(run: dict[str, Any]) -> bool:
    """Whether a run has been running or pending for so long that its process must hold a lease."""
    if run["state_type"] == "PENDING":
        since, patience = run["state"]["timestamp"], _PENDING
    elif run["state_type"] in {"RUNNING", "CANCELLING"}:
        since, patience = run.get("start_time"), _SILENCE
    else:
        return False
    return bool(since) and time.time() - datetime.fromisoformat(since).astimezone(UTC).timestamp() > patience
