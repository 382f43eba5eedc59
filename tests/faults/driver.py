"""A process that runs the whole pipeline in children which die where they are told to.

It imports everything once and then forks a child for each case, so that a case costs what the pipeline costs. Each line of
its input is a JSON list of cases that run at once; each line of its output the list of their signals (0: ended well).
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas  # noqa: F401  (imported late by readers; once here is enough)

import fingerpost.schemas.files
import fingerpost.tasks.ann.stages.index
import fingerpost.tasks.corpus.stages.documents
import fingerpost.tasks.corpus.stages.features
import fingerpost.tasks.shards
import tests.support.unflushed  # noqa: F401 - importing it is its use
from fingerpost.schemas.store import Store
from fingerpost.tasks.code import code_hash
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import Shard, ShardJob, ShardReport
from fingerpost.tasks.stage import Stage
from tests.support import toy_pipeline
from tests.worlds import DAY, identities, run_pipeline

#: Rows of a block, and so of a shard and of a step of the graph's build: a tenth of the usual, to be quick.
BLOCK_ROWS = 512

visits: Counter[str] = Counter()


def run(case: dict[str, Any]) -> None:
    """Runs the pipeline in a store; dies at a point's n-th visit if the case says so, and leaves a result if it lives."""
    _log_shards(Path(case["log"]))
    if "checkpoint_seconds" in case:
        fingerpost.tasks.ann.stages.index.CHECKPOINT_SECONDS = case["checkpoint_seconds"]
    point, number = case.get("kill") or (None, 0)

    def reached(here: str) -> None:
        visits[here] += 1
        if here == point and visits[here] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    fingerpost.schemas.files.reached = reached
    started = time.perf_counter()
    env = Environment(Store(case["store"]).prepare(), "toys", DAY)
    dying = timed(case.get("stage", ""), case.get("delay", 0.0), lambda: os.kill(os.getpid(), signal.SIGKILL))
    with dying:
        publication = (
            toy_pipeline.run_toys(env, Path(case["documents"]))
            if case.get("toys")
            else run_pipeline(env, Path(case["documents"]), rows_per_shard=BLOCK_ROWS)
        )
    result = {
        "seconds": time.perf_counter() - started,
        "visits": visits,
        "publication": asdict(publication),
        "records": [asdict(record) for record in env.records],
        "identities": identities(env.store),
    }
    Path(case["result"]).write_text(json.dumps(result))


@contextmanager
def timed(stage: str, delay: float, action: Callable[[], None]) -> Iterator[list[str]]:
    """Does something some seconds after a stage began to compute, or when it ends if that is earlier; once. Yields what was done."""
    compute = Stage._compute
    done: list[str] = []

    def act() -> None:
        if not done:
            done.append(stage)
            action()

    def watched(self: Stage, *args: Any, **kwargs: Any) -> StageRecord:
        if self.name != stage:
            return compute(self, *args, **kwargs)
        timer = threading.Timer(delay, act)
        timer.start()
        record = compute(self, *args, **kwargs)
        timer.cancel()
        act()
        return record

    Stage._compute = watched  # type: ignore[method-assign]
    try:
        yield done
    finally:
        Stage._compute = compute  # type: ignore[method-assign]


def _log_shards(log: Path) -> None:
    """Writes a line for every shard that is begun."""
    call = ShardJob.__call__

    def logged(job: ShardJob, shard: Shard) -> ShardReport:
        with log.open("a") as file:
            file.write(f"{job.contract.name} {shard.index}\n")
        return call(job, shard)

    ShardJob.__call__ = logged  # type: ignore[method-assign]


def _forked(case: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        run(case)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _ended(child: int, case: dict[str, Any], started: float) -> int:
    """How a child ended (the signal, negative for an exit code), killed from outside if the case gives a time."""
    if "after" in case:
        time.sleep(max(0.0, started + case["after"] - time.monotonic()))
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return -code


def main() -> None:
    """Serves cases until the input ends."""
    modules = (
        fingerpost.tasks.corpus.stages.documents,
        fingerpost.tasks.corpus.stages.features,
        fingerpost.tasks.ann.stages.index,
        toy_pipeline,
    )
    for found in (value for module in modules for value in vars(module).values()):
        if isinstance(found, Stage):
            code_hash(found.function)
    fingerpost.tasks.shards.BLOCK_ROWS = fingerpost.tasks.ann.stages.index.STEP_ROWS = (
        fingerpost.tasks.corpus.stages.features._PASS_ROWS
    ) = BLOCK_ROWS
    for line in sys.stdin:
        cases = json.loads(line)
        started = time.monotonic()
        children = [_forked(case) for case in cases]
        ends = [_ended(child, case, started) for child, case in zip(children, cases, strict=True)]
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main()
