"""The whole flow that trains rankers over two days of the small shop, as its own code runs it but without Prefect; and, run as
a program, in children that die in the stage that they are told.

Each line of the program's input is a JSON case; each line of its output the signal that its child ended by (0: it ended well).
"""

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

from fingerpost.flows.run import publishing
from fingerpost.flows.run import runtime as running
from fingerpost.flows.run.catalog import stages
from fingerpost.flows.run.progress import RunProgress
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.train_ranker import train_ranker
from fingerpost.schemas.publish import products
from fingerpost.schemas.store import Store
from fingerpost.tasks.code import code_hash, unchanging_code
from fingerpost.tasks.environment import current_environment, environment
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import Executor, SerialExecutor
from fingerpost.tasks.stage import Stage
from fingerpost.tasks.stage_run import StageRun
from tests.unit.xmr.later import write_more
from tests.unit.xmr.shop import write_shop
from tests.worlds import identities

DAYS = ("2026-01-05", "2026-01-06")
#: Every stage there is, so small that each fan-out has several shards.
SETTINGS: dict[str, Any] = {
    "xmr.clusters.flat_labels": 0,
    "xmr.clusters.max_leaf_size": 8,
    "xmr.clusters.branching": 4,
    "xmr.blocks.labels": 40,
    "xmr.blocks.rows": 100,
    "xmr.interactions.test_share": 0.2,
    "xmr.interactions.calibration_share": 0.1,
    "xmr.predicted": 10,
    "corpus.imports.rows_per_shard": 300,
    "xmr.ensemble.seeds": [0, 1],
    "xmr.sweep.thresholds": [0.1, 0.3],
    "xmr.sweep.beams": [5, 10],
    "xmr.sweep.timed": 0,
    "xmr.sweep.megabytes": 50.0,
    "xmr.baselines.compared": True,
    "xmr.baselines.network": True,
    "xmr.baselines.svd.rank": 16,
    "xmr.baselines.towers.dimensions": 8,
    "xmr.baselines.towers.epochs": 2,
    "xmr.baselines.judge.timed": 2,
    "xmr.baselines.judge.warm_up": 1,
    "xmr.refresh.mode": "live",
    "xmr.refresh.limits.terms_lost": 0.9,
    "xmr.refresh.limits.precision_loss": 0.1,
    "xmr.refresh.label_gain": 0.02,
    "xmr.refresh.node_gain": 0.02,
    "xmr.refresh.negatives": "tfn+man",
}


def write_days(folder: Path) -> dict[str, Path]:
    """The interactions by day; what is of the second day comes on top."""
    first = write_shop(folder, rows=420)
    return dict(zip(DAYS, (first, write_more(first)), strict=True))


def request_for(store: str, interactions: Path, day: str) -> RunRequest:
    """The flow over a file of interactions, with the labels beside it."""
    given = {"xmr.input": str(interactions), "xmr.labels": str(interactions.parent / "labels.csv"), **SETTINGS}
    return RunRequest(profile="tiny", store=store, day=day, collection="shop", settings=given)


def run_days(store: str, days: dict[str, Path], executor: Executor | None = None) -> list[StageRecord]:
    """Trains on the first day and refreshes on the second; the records of all stages."""
    records: list[StageRecord] = []
    for day, path in days.items():
        with _a_run(request_for(store, path, day), executor or SerialExecutor()) as run:
            train_ranker.fn(run.request)
        records += run.env.records
    return records


@contextmanager
def _a_run(request: RunRequest, executor: Executor) -> Iterator[running.Run]:
    """A run of the flow that surrounds it, whose stages are called as they are, not as Prefect's tasks."""
    settings = request.resolve()
    store, progress = Store(settings.store).prepare(), RunProgress(quiet=True)
    run = running._new_run("train_ranker", request, settings, store, executor, progress)
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


def made(store: str) -> dict[str, str]:
    """What a store holds: the identity of every artifact, and what is live."""
    opened = Store(store)
    assert products(opened) == [("shop", "xmr.ranker")]
    return identities(opened)


@contextmanager
def dying(stage: str) -> Iterator[None]:
    """Ends this process in a stage when that has written a table."""
    write = StageRun.write

    def written(run: StageRun, *given: Any, **named: Any) -> None:
        write(run, *given, **named)
        if run.env.running.partition(" (")[0] == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(StageRun, "write", written):
        yield


def _child(case: dict[str, Any]) -> None:
    days = {day: Path(path) for day, path in case["days"].items()}
    with dying(case.get("stage", "")):
        records = run_days(case["store"], days)
    Path(case["result"]).write_text(json.dumps([asdict(record) for record in records]))


def main() -> None:
    """Forks a child for each case until the input ends."""
    # What is imported late; once here is enough for all children.
    for late in ("pandas", "fingerpost.tasks.xmr.tower_net", "fingerpost.schemas.inputs.python_docs.links"):
        importlib.import_module(late)
    with unchanging_code():
        for stage in stages().values():
            code_hash(stage.function)
        for line in sys.stdin:
            child = os.fork()
            if not child:
                try:
                    _child(json.loads(line))
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    sys.stderr.flush()
                    os._exit(1)
            print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
