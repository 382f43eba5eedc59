"""Progress of stages: one line per stage in the terminal, a progress artifact in the Prefect UI."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from fingerpost.flows.run.console import TextConsole, styled
from fingerpost.flows.run.plain_text import visible
from fingerpost.tasks.ledger import StageRecord

#: Minimum seconds between two updates of an artifact.
_UPDATE_SECONDS = 1.0


class _Bars(Progress):
    """Bars, and under them what their stages have found so far."""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bars, then a line for each stage that said something."""
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if found := task.fields["found"]:
                line = styled((f"  {found}", "dim"))
                line.no_wrap, line.overflow = True, "ellipsis"
                yield line


class RunProgress:
    """Reports stages to the terminal (unless quiet), to a log file if one is named, and (``in_ui``) to the Prefect UI."""

    def __init__(self, *, quiet: bool = False, log_file: Path | None = None, in_ui: bool = True) -> None:
        self.console = TextConsole(stderr=True, quiet=quiet)
        self._bars = _Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._rows: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._artifacts: dict[str, UUID] = {}
        self._updated: dict[str, float] = {}
        self._log = _log_to(log_file) if log_file else None
        # That of the outermost flow run, so that its page also shows the stages of its parts.
        self._flow_log = get_run_logger() if in_ui and FlowRunContext.get() else None

    def begin(self, stage: str, total: int) -> None:
        """Reports that a stage starts, with ``total`` steps."""
        self._totals[stage], self._done[stage] = max(total, 1), 0
        if self.console.is_terminal and not self.console.quiet:
            self._bars.start()
            self._rows[stage] = self._bars.add_task(stage, total=max(total, 1), found="")
        self._updated[stage] = time.monotonic()
        self._artifacts.pop(stage, None)
        # A single step is shown by the state of its task. Outside of a flow, Prefect would start a server.
        if total <= 1 or FlowRunContext.get() is None:
            return
        artifact = create_progress_artifact(
            progress=0.0,
            key=stage.replace("_", "-").replace(".", "-"),
            description=f"{stage}: fraction of its shards or steps that are done",
        )
        if isinstance(artifact, UUID):
            self._artifacts[stage] = artifact

    def advance(self, stage: str, done: int) -> None:
        """Reports that ``done`` steps are finished."""
        self._done[stage] = done
        if stage in self._rows:
            self._bars.update(self._rows[stage], completed=done)
        now = time.monotonic()
        if stage in self._artifacts and (done >= self._totals[stage] or now - self._updated[stage] >= _UPDATE_SECONDS):
            self._updated[stage] = now
            update_progress_artifact(self._artifacts[stage], progress=100.0 * done / self._totals[stage])

    def tell(self, stage: str, text: str) -> None:
        """Reports what a long stage has found so far: beside its bar, in its artifact and in the logs."""
        if stage in self._rows:
            self._bars.update(self._rows[stage], found=text, refresh=True)
        if stage in self._artifacts:
            share = 100.0 * self._done[stage] / self._totals[stage]
            update_progress_artifact(self._artifacts[stage], progress=share, description=f"{stage}: {text}")
        self.log(f"{stage}: {text}")

    def end(self, record: StageRecord) -> None:
        """Reports that a stage ended, in one line."""
        if self._rows:
            for name in list(self._rows):
                self._bars.remove_task(self._rows.pop(name))
            self._bars.stop()
        rows = ", ".join(f"{count:,} {table}" for table, count in record.rows.items())
        resumed = f", {record.shards_resumed} shards resumed" if record.shards_resumed else ""
        mark = "ran   " if record.computed else "reused"
        why = f"{record.reason}{resumed}" if record.computed or record.reason != "reused" else ""
        line = f"{mark} {record.name:<26} {record.seconds:7.1f} s  {rows}"
        self.console.tell(f"{line} " if why else line, (f"({why})" if why else "", "dim"))
        self.log(f"{line} ({why})" if why else line)

    def say(self, text: str) -> None:
        """Reports a line."""
        self.console.tell(text)
        self.log(text)

    def log(self, text: str) -> None:
        """Writes a line to the log file and to the flow run's log in Prefect's UI."""
        text = visible(text, keep="\n")
        if self._log:
            self._log.info(text)
        if self._flow_log:
            self._flow_log.info(text)


def _log_to(path: Path) -> logging.Logger:
    logger = logging.getLogger("fingerpost.run")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    return logger
