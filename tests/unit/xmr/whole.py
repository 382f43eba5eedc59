"""The whole flow that trains rankers over two days of the small shop, as its own code runs it but without Prefect; and, run as
a program, in children that die in the stage that they are told.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.train_ranker import train_ranker
from fingerpost.schemas.publish import products
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import Executor, SerialExecutor
from tests.support.whole_runs import serve, whole_run
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
        with whole_run("train_ranker", request_for(store, path, day), executor or SerialExecutor()) as run:
            train_ranker.fn(run.request)
        records += run.env.records
    return records


def made(store: str) -> dict[str, str]:
    """What a store holds: the identity of every artifact, and what is live."""
    opened = Store(store)
    assert products(opened) == [("shop", "xmr.ranker")]
    return identities(opened)


def _child(case: Mapping[str, Any]) -> list[StageRecord]:
    return run_days(case["store"], {day: Path(path) for day, path in case["days"].items()})


if __name__ == "__main__":
    serve(_child, "pandas", "fingerpost.tasks.xmr.tower_net", "fingerpost.schemas.inputs.python_docs.links")
