"""The whole flow that trains a completer over a small query log, as its own code runs it but without Prefect; and, run as a
program, in children that die in the stage that they are told.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fingerpost.flows.train_autocomplete import train_autocomplete
from fingerpost.schemas.publish import products
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import Executor, SerialExecutor
from tests.support.query_logs import Log
from tests.support.whole_runs import serve, whole_run
from tests.worlds import identities

#: Every stage there is, so small that each fan-out has several shards.
SETTINGS: dict[str, Any] = {
    "autocomplete.index.max_leaf_size": 2,
    "autocomplete.index.depth": 1,
    "autocomplete.blocks.labels": 6,
    "autocomplete.blocks.rows": 100,
    "autocomplete.training.negatives": "tfn+man",
    "autocomplete.sessions.test_share": 0.2,
    "autocomplete.evaluation.resamples": 20,
    "autocomplete.baselines.compared": True,
    "autocomplete.baselines.clusters.flat_labels": 0,
    "autocomplete.baselines.clusters.max_leaf_size": 4,
    "corpus.imports.rows_per_shard": 60,
}


def run_log(folder: Path, store: Path, executor: Executor | None = None) -> list[StageRecord]:
    """Trains on the first day's events of a log's folder; the records of all stages."""
    request = Log(folder).request(**SETTINGS).model_copy(update={"store": str(store)})
    with whole_run("train_autocomplete", request, executor or SerialExecutor()) as run:
        train_autocomplete.fn(run.request)
    return run.env.records


def made(store: Path) -> dict[str, str]:
    """What a store holds: the identity of every artifact, and what is live."""
    opened = Store(str(store))
    assert products(opened) == [("shop", "autocomplete.completer")]
    return identities(opened)


def _child(case: Mapping[str, Any]) -> list[StageRecord]:
    return run_log(Path(case["folder"]), Path(case["store"]))


if __name__ == "__main__":
    serve(_child, "pandas")
