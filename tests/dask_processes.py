"""A Dask scheduler and workers as separately started processes, with or without TLS."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class DaskProcesses:
    """One scheduler and its workers; all files lie in ``folder``."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Where the scheduler writes its address."""
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(json.loads(self.file.read_text())["address"])

    def start_scheduler(self, *, protocol: str = "tcp") -> str:
        """Starts it on a free port; its address."""
        arguments = ["--host", "127.0.0.1", "--port", "0", "--protocol", protocol, "--scheduler-file", str(self.file)]
        self._start("distributed.cli.dask_scheduler", *arguments, "--no-dashboard")
        end = time.monotonic() + 120
        while not self.file.exists() or not self.file.read_text():
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)
        return self.address

    def start_worker(
        self, *, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a worker of one thread."""
        arguments = ["--scheduler-file", str(self.file), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        worker = self._start(
            "distributed.cli.dask_worker",
            *arguments,
            "--local-directory",
            str(self.folder / f"worker-{len(self.workers)}"),
            cwd=cwd,
            environment=environment or {},
        )
        self.workers.append(worker)
        return worker

    def _start(
        self, module: str, *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=cwd,
                env={**os.environ, **self.environment, **(environment or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(started)
        return started

    def stop(self) -> None:
        """Ends every process."""
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def dask_processes(
    folder: Path, *, workers: int = 0, protocol: str = "tcp", environment: Mapping[str, str] | None = None
) -> Iterator[DaskProcesses]:
    """A scheduler and workers for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    found = DaskProcesses(folder, environment or {})
    try:
        found.start_scheduler(protocol=protocol)
        for _ in range(workers):
            found.start_worker()
        yield found
    finally:
        found.stop()
