"""One worker process, two, and either a worker or the run itself killed (SIGKILL) in each stage of the ranker's flow:
the same artifacts, and what a kill costs is a shard.
"""

import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dask
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.ledger import StageRecord
from tests.support.whole_runs import Driver, stages_of
from tests.unit.xmr.logged import LoggedExecutor, Place, marker_of
from tests.unit.xmr.whole import DAYS, made, run_days, write_days

pytest.importorskip("torch")
# A minute, and many on a machine that does much else.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: Stages of both days, in their order, in which a run is killed.
KILLED = ("import_interactions", "merge_vocabulary", "assemble_ranker", "train_towers", "refresh_tree")
COUNTING = {"features._count_shard", "features._weigh_shard"}


def fan_out_of(function: str, of: str) -> str:
    """The name of a fan-out; rows are routed to parents by one function, in a training and in a refresh."""
    return f"{function} of a refresh" if function == "levels._match_shard" and DAYS[1] in of else function


@dataclass
class Lab:
    """A cluster, and what one worker of it makes of the two days."""

    folder: Path
    executor: DaskExecutor = field(default_factory=lambda: DaskExecutor(1))

    def __post_init__(self) -> None:
        # It imports everything meanwhile.
        self.driver = Driver("tests.unit.xmr.whole", self.folder / "result.json")
        self.days = write_days(self.folder)
        alone = self.run("alone")
        self.records, self.shards = alone[0], Counter(place for place, _ in alone[1])
        assert len({pid for _, pid in alone[1]}) == 1
        self.expected = made(self.store("alone"))
        self.executor._started.scale(2)
        self.executor.client.wait_for_workers(2)

    def store(self, name: str) -> str:
        return str(self.folder / name)

    def run_child(self, stage: str = "") -> int:
        """A run of its own in the store "stopped", which dies in a stage."""
        days = {day: str(path) for day, path in self.days.items()}
        return self.driver.run({"store": self.store("stopped"), "days": days}, stage)

    def run(
        self, name: str, victims: frozenset[Place] = frozenset()
    ) -> tuple[list[StageRecord], list[tuple[Place, int]]]:
        executor = LoggedExecutor(self.executor, self.folder / f"{name}.log", victims)
        return run_days(self.store(name), self.days, executor), executor.begun


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, forked_workers: None) -> Iterator[Lab]:
    # Less than a worker needs that starts on a busy machine ends it for good, and with it the cluster.
    with dask.config.set({"distributed.comm.timeouts.connect": "20s"}), unchanging_code():
        lab = Lab(tmp_path_factory.mktemp("kills"))
        yield lab
        lab.driver.close()
        lab.executor.close()


def test_two_worker_processes_make_what_one_makes_and_begin_each_shard_once(lab: Lab) -> None:
    _, begun = lab.run("pair")
    assert made(lab.store("pair")) == lab.expected
    assert Counter(place for place, _ in begun) == lab.shards
    assert len({pid for _, pid in begun}) == 2


def test_a_worker_killed_in_each_fan_out_repeats_its_shard_and_not_a_layer(lab: Lab) -> None:
    fan_outs: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for function, of, index in lab.shards:
        fan_outs[fan_out_of(function, of)][of].append(index)
    # Those of counting and weighing n-grams are killed in tests.flows.test_shards.
    fan_outs = {name: places for name, places in fan_outs.items() if name not in COUNTING}
    assert set(fan_outs) >= {
        "trees._embed_shard",
        "trees._subtree_shard",
        "levels._match_shard",
        "training._solve_shard",
        "release._sweep_shard",
        "release._predict_shard",
        "levels._match_shard of a refresh",
        "refresh._refresh_shard",
        "refresh._compare_shard",
    }
    victims = set()
    for name, places in fan_outs.items():
        of, shards = max(places.items(), key=lambda one: (len(one[1]), one[0]))
        victims.add((name.split()[0], of, sorted(shards)[-2:][0]))
    _, begun = lab.run("killed", frozenset(victims))
    assert made(lab.store("killed")) == lab.expected

    again = Counter(place for place, _ in begun)
    assert set(again) == set(lab.shards)
    again.subtract(lab.shards)
    assert all(again[place] >= 1 for place in victims)
    more = {place: times for place, times in again.items() if times > 0 and place not in victims}
    # Beside the shard at work, a worker takes along at most the one whose result had not been fetched yet.
    assert sum(more.values()) <= len(victims)
    for function, of, _ in victims:
        repeated = sum(more.get(place, 0) for place in lab.shards if place[:2] == (function, of))
        assert repeated < max(2, len(fan_outs[fan_out_of(function, of)][of]) - 1), (function, of, more)
    dead = {
        pid for place, pid in begun if place in victims and Path(marker_of(lab.folder / "killed.log", place)).exists()
    }
    assert len(dead) > len(victims) / 2
    assert len({pid for _, pid in begun}) >= len(victims)


def test_a_run_killed_in_stages_without_shards_goes_on_where_it_was(lab: Lab) -> None:
    """Of both days, with and without checkpoints; every point of a stage at which a run can die is in tests/faults/test_kill.py."""
    order = stages_of([record for record in lab.records if record.shards_run == 0])
    assert set(order) >= {
        "import_interactions",
        "list_queries",
        "merge_vocabulary",
        "calibrate_scores",
        "evaluate_ranker",
        "assemble_ranker",
        "fit_dense_labels",
        "train_towers",
        "compare_rankers",
        "refresh_tree",
    }
    assert [stage for stage in order if stage in KILLED] == list(KILLED)
    for stage in KILLED:
        assert lab.run_child(stage) == signal.SIGKILL, stage
    assert lab.run_child() == 0
    assert made(lab.store("stopped")) == lab.expected
    records = lab.driver.records()
    assert [(record.stage, record.ref) for record in records] == [(record.stage, record.ref) for record in lab.records]
    first = [record.computed for record in records if f"day={DAYS[0]}" in record.ref]
    assert not any(first)
