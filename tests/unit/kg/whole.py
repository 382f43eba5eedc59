"""The whole flow that aligns two small tables, as its own code runs it but without Prefect; and, run as a program, in children
that die in the stage that they are told.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fingerpost.flows.align_graphs import align_graphs
from fingerpost.schemas.publish import products
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.shards import Executor, SerialExecutor
from tests.support.matched_tables import Shops
from tests.support.whole_runs import serve, whole_run
from tests.worlds import identities

#: Every stage there is, so small that each fan-out has several shards.
SETTINGS: dict[str, Any] = {
    "kg.shared": ["maker"],
    "kg.rows_per_shard": 50,
    "kg.pairs.pairs_per_shard": 800,
    "kg.search.exact_below": 100,
    "kg.aligner.epochs": 2,
    "kg.aligner.folds": 2,
    "kg.scorer.forests": 1,
}


def run_shops(folder: Path, store: Path, executor: Executor | None = None) -> list[StageRecord]:
    """Aligns the tables of a folder; the records of all stages."""
    request = Shops(folder).request(**SETTINGS).model_copy(update={"store": str(store)})
    with whole_run("align_graphs", request, executor or SerialExecutor()) as run:
        align_graphs.fn(run.request)
    return run.env.records


def made(store: Path) -> dict[str, str]:
    """What a store holds: the identity of every artifact, and what is live."""
    opened = Store(str(store))
    assert products(opened) == [("shop", "kg.alignment")]
    return identities(opened)


def _child(case: Mapping[str, Any]) -> list[StageRecord]:
    return run_shops(Path(case["folder"]), Path(case["store"]))


if __name__ == "__main__":
    serve(_child, "torch", "sklearn.ensemble")
