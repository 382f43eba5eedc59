"""Whole flows as their own code runs them, but without Prefect, by any executor; and children that die in the stage that they
are told.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import tests.support.unflushed  # noqa: F401 - importing it is its use
from fingerpost.flows.run import publishing
from fingerpost.flows.run import runtime as running
from fingerpost.flows.run.catalog import stages
from fingerpost.flows.run.progress import RunProgress
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.store import Store
from fingerpost.tasks.code import code_hash, unchanging_code
from fingerpost.tasks.environment import current_environment, environment
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import Executor
from fingerpost.tasks.stage import Stage
from fingerpost.tasks.stage_run import StageRun

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def whole_run(flow: str, request: RunRequest, executor: Executor) -> Iterator[running.Run]:
    """A run of a flow that surrounds it, whose stages are called as they are, not as Prefect's tasks."""
    settings = request.resolve()
    store, progress = Store(settings.store).prepare(), RunProgress(quiet=True)
    run = running._new_run(flow, request, settings, store, executor, progress)
    token = running._run.set(run)
    plain = mock.patch.object(
        Stage, "__call__", lambda self, *given, **kw: self.execute(current_environment(), *given, **kw)
    )
    publish = mock.patch.object(publishing, "publish_product", publishing.publish_product.fn)
    try:
        with environment(run.env), plain, publish:
            yield run
    finally:
        running._run.reset(token)


@contextmanager
def dying(stage: str, *, shards: bool) -> Iterator[None]:
    """Ends this process in a stage when that has written a table; with ``shards`` also when it has committed a shard."""
    write, advance = StageRun.write, RunProgress.advance

    def die(running: str) -> None:
        if running.partition(" (")[0] == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    def written(run: StageRun, *given: Any, **named: Any) -> None:
        write(run, *given, **named)
        die(run.env.running)

    def advanced(progress: RunProgress, name: str, done: int) -> None:
        advance(progress, name, done)
        if shards and done:
            die(current_environment().running)

    with mock.patch.object(StageRun, "write", written), mock.patch.object(RunProgress, "advance", advanced):
        yield


class Driver:
    """Runs cases in children of one process, which has imported everything."""

    def __init__(self, module: str, result: Path) -> None:
        """``module``: a program that calls :func:`serve`. result: the file of the records of a child that ended well."""
        self.result = result
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, case: Mapping[str, Any], stage: str = "", *, shards: bool = False) -> int:
        """The signal by which a child ended that dies in a stage, as :func:`dying` has it; 0: it ended well."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(
            json.dumps({**case, "stage": stage, "shards": shards, "result": str(self.result)}) + "\n"
        )
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def records(self) -> list[StageRecord]:
        """The stages of the last child that ended well."""
        return [StageRecord(**record) for record in json.loads(self.result.read_text())]

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(120)


def serve(run: Callable[[Mapping[str, Any]], list[StageRecord]], *late: str) -> None:
    """Forks a child for each case until the input ends.

    Each line of the input is a JSON case; each line of the output the signal that its child ended by (0: it ended well).
    late: modules that a run imports late; once here is enough for all children.
    """
    for module in late:
        importlib.import_module(module)
    with unchanging_code():
        for stage in stages().values():
            code_hash(stage.function)
        for line in sys.stdin:
            child = os.fork()
            if not child:
                _end(run, json.loads(line))
            print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    # Taking down all that was imported takes long on a busy machine, and nobody needs it.
    os._exit(0)


def _end(run: Callable[[Mapping[str, Any]], list[StageRecord]], case: Mapping[str, Any]) -> None:
    """Runs a case and ends this process."""
    try:
        with dying(case["stage"], shards=case["shards"]):
            records = run(case)
        Path(case["result"]).write_text(json.dumps([asdict(record) for record in records]))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def stages_of(records: Sequence[StageRecord]) -> list[str]:
    """The stages in the order of their first execution."""
    return list(dict.fromkeys(record.stage for record in records))
