"""The graph of a live index brought up to date, day by day: what is kept, and when it is built of all rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.open import live, read_graph
from fingerpost.tasks.ledger import runs

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS = 300
DAYS = ("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08")


class Days:
    """A collection of vectors whose file changes from day to day."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store(str(folder / "store"))
        self.points = np.random.default_rng(7).normal(size=(ROWS, 6)).astype(np.float32)
        self.ids = [f"point-{row}" for row in range(ROWS)]

    def request(self, day: str, **settings: Any) -> RunRequest:
        gates = {"ann.gates.recall_at_10": 0.3, "ann.gates.documents": 10}
        return RunRequest(
            profile="tiny",
            store=str(self.folder / "store"),
            day=day,
            input=str(self.folder / "points.parquet"),
            collection="points",
            settings={**gates, "ann.update.mode": "live", "ann.hnsw.metric": "l2", **settings},
        )

    def run(self, day: str, **settings: Any) -> dict[str, Any]:
        vectors = pa.array(self.points.tolist(), pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": self.ids, "vector": vectors}), self.folder / "points.parquet")
        log = self.folder / "log"
        run_flow("build_ann_index", self.request(day, **settings), quiet=True, log_file=log)
        return runs(self.store, newest=1)[0] | {"said": log.read_text()}

    def change(self, gone: int, new: int, moved: int = 0, seed: int = 0) -> None:
        """Some rows are gone, some are new, some have another vector, and all are in another order."""
        random = np.random.default_rng(seed)
        kept = random.permutation(len(self.ids))[gone:]
        points = self.points[kept]
        points[:moved] += np.float32(0.5)
        fresh = random.normal(size=(new, 6)).astype(np.float32)
        self.points = np.concatenate([points, fresh])
        self.ids = [self.ids[row] for row in kept] + [f"new-{seed}-{row}" for row in range(new)]

    def quality(self, record: dict[str, Any], stage: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in record["stages"] if one["stage"] == stage)["quality"]
        return found

    def members(self) -> dict[str, Ref]:
        return dict(read_members(self.store, Pointer(self.store, "points", "ann.index").required().artifact))


def stages(record: dict[str, Any]) -> set[str]:
    return {stage["stage"] for stage in record["stages"] if stage["computed"]}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> tuple[Days, list[dict[str, Any]]]:
    """A full build, two updates, and a day on which too much changes."""
    world = Days(tmp_path_factory.mktemp("days"))
    records = [world.run(DAYS[0])]
    for seed, (day, gone, new, moved) in enumerate(
        [(DAYS[1], 20, 15, 3), (DAYS[2], 10, 10, 0), (DAYS[3], 150, 100, 0)], start=1
    ):
        world.change(gone, new, moved, seed)
        records.append(world.run(day))
    return world, records


def test_a_first_day_builds_of_all_rows(days: tuple[Days, list[dict[str, Any]]]) -> None:
    _, records = days
    assert "build_graph" in stages(records[0])
    assert "update_graph" not in stages(records[0])
    assert "no index of points is live" in records[0]["said"]


def test_later_days_change_the_graph(days: tuple[Days, list[dict[str, Any]]]) -> None:
    world, records = days
    for record in records[1:3]:
        assert "update_graph" in stages(record)
        assert "build_graph" not in stages(record)
    first = world.quality(records[1], "update_graph")
    assert (first["kept"], first["removed"], first["added"]) == (ROWS - 23, 23, 18)
    assert first["removed_in_graph"] == 0
    assert first["must_rebuild"] == ""
    assert first["guard_recall"] >= 0.95
    second = world.quality(records[2], "update_graph")
    assert second["kept"] >= ROWS - 33, "changes count against the last full build"
    assert second["nodes"] == ROWS - 20 + 15
    assert "277 rows kept, 23 removed, 18 added" in records[1]["said"]


def test_too_many_changes_build_of_all_rows(days: tuple[Days, list[dict[str, Any]]]) -> None:
    world, records = days
    assert "build_graph" in stages(records[3])
    assert "of the rows are new, changed or gone since" in records[3]["said"]
    assert "base" not in world.members()


def test_the_live_index_answers_with_what_is_left(days: tuple[Days, list[dict[str, Any]]]) -> None:
    world, _ = days
    index = live("points", store=str(world.folder / "store"))
    exact = ExactIndex(index.vectors, "l2").search(index.vectors[:40], 1)
    ids = index.documents["id"].to_pylist()
    for row in range(40):
        assert index.search(index.vectors[row], k=1).answers[0].id == ids[exact.ids[row, 0]]


def test_the_same_day_again_gives_the_same_graph(tmp_path: Path) -> None:
    world = Days(tmp_path)
    world.run(DAYS[0])
    world.change(10, 10, seed=5)
    world.run(DAYS[1])
    members = world.members()
    base = members["base"]
    again = world.run(DAYS[1])
    assert world.members() == members, "a second run of a day starts from the same base"
    assert "update_graph" not in stages(again)
    planned = {stage.stage for stage in plan_of("build_ann_index", world.request(DAYS[1])).stages}
    assert {"compare_rows", "update_graph"} <= planned
    assert "build_graph" not in planned
    graph = read_graph(world.store.open(members["graph"], contracts.GRAPH))
    assert graph.size == ROWS
    assert read_members(world.store, base)["graph"] != members["graph"]
    other = world.run(DAYS[1], **{"ann.hnsw.ef_construction": 71})
    assert "was made differently" in other["said"]
    assert "build_graph" in stages(other)


def test_a_graph_of_too_low_recall_is_built_of_all_rows(tmp_path: Path) -> None:
    """A guard that searches no wider than it counts, and lets nothing fall: some change falls below."""
    world = Days(tmp_path)
    world.run(DAYS[0])
    world.change(60, 0, seed=9)
    record = world.run(DAYS[1], **{"ann.update.guard.max_fall": 0.0, "ann.update.guard.ef": 1})
    quality = world.quality(record, "update_graph")
    if quality["guard_recall"] >= quality["base_recall"]:
        pytest.fail(f"expected a fall of recall by which to see the guard, got {quality}")
    assert "below the earlier graph's" in quality["must_rebuild"]
    assert "build_graph" in stages(record)
    assert "base" not in world.members()


def test_a_graph_of_shards_is_a_base_as_any(tmp_path: Path) -> None:
    world, shards = Days(tmp_path), {"ann.build.shards": 3}
    record = world.run(DAYS[0], **shards)
    assert {"build_graph_shards", "merge_graph_shards"} <= stages(record)
    assert "build_graph" not in stages(record)
    assert world.quality(record, "build_graph_shards")["graphs"] == 3
    assert "graph_shards" not in world.members()
    world.change(10, 10, seed=5)
    assert "update_graph" in stages(world.run(DAYS[1], **shards))
    other = world.run(DAYS[1], **{"ann.build.shards": 2})
    assert "was made differently" in other["said"]
    assert "merge_graph_shards" in stages(other)
    assert "build_graph" in stages(world.run(DAYS[1]))
