"""One worker process, two of which one is killed (SIGKILL) in each fan-out, and a run that is killed in each stage: the same
artifacts of a whole alignment.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dask
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.ledger import StageRecord
from tests.support.matched_tables import write_shops
from tests.support.whole_runs import Driver, stages_of
from tests.unit.kg.whole import made, run_shops
from tests.unit.xmr.logged import LoggedExecutor, Place, marker_of

# Half a minute, and many on a machine that does much else.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Fan-outs in which a worker is killed.
KILLED = (
    "aligner._train_shard",
    "blocking._union_shard",
    "embeddings._embed_shard",
    "neighborhoods._sample_shard",
    "rivals._best_shard",
    "scores._score_shard",
    "search._search_shard",
    "shared_neighbors._shared_shard",
)


@dataclass
class Lab:
    """Two tables, a cluster, and what one worker of it makes of them."""

    folder: Path
    executor: DaskExecutor = field(default_factory=lambda: DaskExecutor(1))

    def __post_init__(self) -> None:
        # It imports everything meanwhile.
        self.driver = Driver("tests.unit.kg.whole", self.folder / "result.json")
        write_shops(self.folder)
        self.records, begun = self.run("alone")
        self.shards = Counter(place for place, _ in begun)
        assert len({pid for _, pid in begun}) == 1
        self.expected = made(self.folder / "alone")
        self.executor._started.scale(2)
        self.executor.client.wait_for_workers(2)

    def run(
        self, name: str, victims: frozenset[Place] = frozenset()
    ) -> tuple[list[StageRecord], list[tuple[Place, int]]]:
        """A run by the cluster: its stages, and the shards that were begun."""
        executor = LoggedExecutor(self.executor, self.folder / f"{name}.log", victims)
        return run_shops(self.folder, self.folder / name, executor), executor.begun


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, forked_workers: None) -> Iterator[Lab]:
    # Less than a worker needs that starts on a busy machine ends it for good, and with it the cluster.
    with dask.config.set({"distributed.comm.timeouts.connect": "60s"}), unchanging_code():
        lab = Lab(tmp_path_factory.mktemp("kills"))
        yield lab
        lab.driver.close()
        lab.executor.close()


def test_two_workers_of_which_one_is_killed_in_each_fan_out_make_what_one_makes(lab: Lab) -> None:
    last = {place[0]: place for place in sorted(lab.shards)}
    victims = frozenset(last[function] for function in KILLED)
    _, begun = lab.run("killed", victims)
    assert made(lab.folder / "killed") == lab.expected
    again = Counter(place for place, _ in begun)
    assert set(again) == set(lab.shards)
    assert all(again[place] > lab.shards[place] for place in victims)
    assert all(Path(marker_of(lab.folder / "killed.log", place)).exists() for place in victims)


def test_a_run_killed_in_each_stage_goes_on_where_it_was(lab: Lab) -> None:
    case = {"folder": str(lab.folder), "store": str(lab.folder / "stopped")}
    for stage in stages_of(lab.records):
        assert lab.driver.run(case, stage, shards=True) == signal.SIGKILL, stage
    assert lab.driver.run(case) == 0
    assert made(lab.folder / "stopped") == lab.expected
    records = lab.driver.records()
    assert [(record.stage, record.ref) for record in records] == [(record.stage, record.ref) for record in lab.records]
    last = stages_of(lab.records)[-1]
    assert {record.stage for record in records if record.computed} == {last}
