"""Progress of stages: a line per stage and one a minute, a live bar in a terminal, a progress artifact in the Prefect UI."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from fingerpost.flows.run.console import TextConsole, styled
from fingerpost.flows.run.plain_text import visible
from fingerpost.flows.run.progress_columns import FactColumn
from fingerpost.flows.run.time_left import Outline, RunCourse
from fingerpost.schemas.wording import counted
from fingerpost.tasks.ledger import Estimate, StageRecord

#: Minimum seconds between two updates of an artifact.
_UPDATE_SECONDS = 1.0
#: Seconds between two lines that say how far a run is, and until it is looked up for a terminal what the run consists of.
MINUTE = 60.0
_SOON = 10.0


class _Bars(Progress):
    """Bars, under them what their stages have found so far, and the time left of the run."""

    def __init__(self, course: RunCourse, *columns: ProgressColumn, console: TextConsole) -> None:
        self._course = course
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bars, then a line for each stage that said something, then one for the run."""
        yield self.make_tasks_table(self.tasks)
        for text in (*(task.fields["found"] for task in self.tasks), self._course.run_text() if self.tasks else ""):
            if text:
                line = styled((f"  {text}", "dim"))
                line.no_wrap, line.overflow = True, "ellipsis"
                yield line


def _steps(task: Task) -> str:
    """The steps that are done, of how many; empty for a stage in one step."""
    return f"{task.completed:,.0f}/{task.total:,.0f}" if task.total and task.total > 1 else ""


class RunProgress:
    """Reports stages to the terminal (unless quiet), to a log file if one is named, and to the Prefect UI.

    flow: named in the line of each minute. clock: gives seconds.
    in_ui: whether the log of the running flow in the UI gets the lines too.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        log_file: Path | None = None,
        flow: str = "",
        clock: Callable[[], float] = time.monotonic,
        in_ui: bool = True,
    ) -> None:
        self.console = TextConsole(stderr=True, quiet=quiet)
        self.course = RunCourse(clock, flow=flow)
        self._bars = _Bars(
            self.course,
            SpinnerColumn(),
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(),
            FactColumn(_steps),
            TimeElapsedColumn(),
            FactColumn(lambda _: self.course.stage_text()),
            console=self.console,
        )
        self._row: TaskID | None = None
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._artifacts: dict[str, UUID] = {}
        self._updated: dict[str, float] = {}
        self._log = _log_to(log_file) if log_file else None
        # That of the outermost flow run, so that its page also shows the stages of its parts.
        self._flow_log = get_run_logger() if in_ui and FlowRunContext.get() else None

    def start(self, stage: str, expected: Estimate | None) -> None:
        """Reports that a stage starts to compute, by its full name, and what it is expected to cost."""
        self.course.start(stage, expected.seconds if expected else None)
        self._show(stage, None)

    def begin(self, stage: str, total: int) -> None:
        """Reports that a stage has ``total`` steps, by the name of its artifact."""
        self._totals[stage], self._done[stage] = max(total, 1), 0
        self.course.begin(stage, max(total, 1))
        self._show(stage, max(total, 1))
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

    def _show(self, stage: str, total: int | None) -> None:
        """Shows the bar of a stage, which moves without steps where ``total`` is None or 1."""
        if not self.console.is_terminal or self.console.quiet:
            return
        steps = total if total and total > 1 else None
        if self._row is None:
            self._bars.start()
            self._row = self._bars.add_task(stage, total=steps, found="")
        else:
            self._bars.update(self._row, total=steps)

    def advance(self, stage: str, done: int) -> None:
        """Reports that ``done`` steps are finished."""
        self._done[stage] = done
        self.course.advance(done)
        if self._row is not None:
            self._bars.update(self._row, completed=done)
        now = time.monotonic()
        if stage in self._artifacts and (done >= self._totals[stage] or now - self._updated[stage] >= _UPDATE_SECONDS):
            self._updated[stage] = now
            update_progress_artifact(self._artifacts[stage], progress=100.0 * done / self._totals[stage])

    def tell(self, stage: str, text: str) -> None:
        """Reports what a long stage has found so far: beside its bar, in its artifact and in the logs."""
        if self._row is not None:
            self._bars.update(self._row, found=text, refresh=True)
        if stage in self._artifacts:
            share = 100.0 * self._done[stage] / self._totals[stage]
            update_progress_artifact(self._artifacts[stage], progress=share, description=f"{stage}: {text}")
        self.log(f"{stage}: {text}")

    def end(self, record: StageRecord) -> None:
        """Reports that a stage ended, in one line."""
        self.course.end(record.name)
        self._hide()
        rows = ", ".join(counted(count, table) for table, count in record.rows.items())
        resumed = f", {record.shards_resumed} shards resumed" if record.shards_resumed else ""
        mark = "ran   " if record.computed else "reused"
        why = f"{record.reason}{resumed}" if record.computed or record.reason != "reused" else ""
        line = f"{mark} {record.name:<26} {record.seconds:7.1f} s  {rows}"
        self.console.tell(f"{line} " if why else line, (f"({why})" if why else "", "dim"))
        self.log(f"{line} ({why})" if why else line)

    def _hide(self) -> None:
        if self._row is not None:
            self._bars.remove_task(self._row)
            self._row = None
            self._bars.stop()

    def minute(self) -> None:
        """Reports how far the run is: in the log, and where there is no terminal, which has a bar, beside its lines."""
        line = self.course.line()
        if not line:
            return
        if not self.console.is_terminal:
            self.console.tell(line)
        self.log(line)

    @contextmanager
    def minutes(self, outline: Callable[[], Outline | None]) -> Iterator[None]:
        """A scope in which one line per minute says how far the run is.

        ``outline`` tells what the run would still compute. It is asked once, when the run has taken a while.
        """
        ended = threading.Event()
        soon = _SOON if self.console.is_terminal and not self.console.quiet else MINUTE

        def watch() -> None:
            if ended.wait(soon):
                return
            if (found := outline()) is not None:
                self.course.outline(found)
            if soon < MINUTE and ended.wait(MINUTE - soon):
                return
            self.minute()
            while not ended.wait(MINUTE):
                self.minute()

        # In the context of the run, whose settings and stages the outline is of.
        thread = threading.Thread(target=copy_context().run, args=(watch,), name="fingerpost-minutes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            # Not for long: an outline may be under way that nobody needs any more.
            thread.join(_SOON)
            self._hide()

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
