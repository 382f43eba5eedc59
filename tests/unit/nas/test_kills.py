"""A search that is killed twice (SIGKILL), and one by two workers of which one is killed: the same candidates, the same front, and
no candidate trained twice.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dask
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas import nas as contracts
from fingerpost.tasks.code import unchanging_code
from tests.support.whole_runs import Driver
from tests.unit.nas.searched import PARAMS, world
from tests.unit.xmr.logged import LoggedExecutor, Place, marker_of
from tests.worlds import identities

# A dozen seconds, and many on a machine that does much else.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Lab:
    """A search that nothing stopped, and a process that runs others."""

    folder: Path

    def __post_init__(self) -> None:
        self.driver = Driver("tests.unit.nas.searched", self.folder / "result.json")
        assert self.run("alone") == 0
        made = world(self.folder / "alone")
        self.expected = identities(made.store)
        (self.ref,) = made.store.refs(contracts.SEARCH.name)
        self.trained = self.trainings("alone")

    def run(self, name: str, point: str = "", count: int = 0) -> int:
        """The signal that a search in a store ended by."""
        case = {"folder": str(self.folder / name), "log": str(self.folder / f"{name}.log"), "method": PARAMS.method}
        return self.driver.run({**case, "point": point, "count": count})

    def trainings(self, name: str) -> Counter[str]:
        """How often each candidate was trained."""
        return Counter((self.folder / f"{name}.log").read_text().splitlines())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with unchanging_code():
        made = Lab(tmp_path_factory.mktemp("kills"))
        yield made
        made.driver.close()


def test_a_search_killed_twice_ends_with_the_same_front_and_trains_nothing_twice(lab: Lab) -> None:
    assert lab.run("killed", "between-shards", 3) == signal.SIGKILL
    assert lab.trainings("killed").total() == 3
    # Two files for each of the fourth and the fifth candidate, and one for the sixth: it is in the cache, and its shard is not
    # recorded yet.
    assert lab.run("killed", "before-rename", 6) == signal.SIGKILL
    assert lab.trainings("killed").total() == 6
    assert lab.run("killed") == 0
    made = world(lab.folder / "killed")
    assert identities(made.store) == lab.expected
    assert lab.trainings("killed") == lab.trained
    assert set(lab.trained.values()) == {1}
    assert lab.trained.total() == PARAMS.evaluations + 1
    # What the sixth one's shard took from the cache was trained for this search too, by a run of it that is gone.
    assert made.measured(lab.ref) == {"trainings": 8, "cached": 1}


def test_two_workers_of_which_one_is_killed_find_what_one_finds(lab: Lab, forked_workers: None, tmp_path: Path) -> None:
    made = world(tmp_path / "store")
    victim: Place = ("evaluations.evaluate_shard", str(lab.ref), 6)
    with dask.config.set({"distributed.comm.timeouts.connect": "60s"}):
        workers = DaskExecutor(2)
        made.env.executor = executor = LoggedExecutor(workers, tmp_path / "log", frozenset({victim}))
        try:
            assert made.search() == lab.ref
        finally:
            workers.close()
    assert identities(made.store) == lab.expected
    assert Path(marker_of(tmp_path / "log", victim)).exists()
    begun = Counter(place[2] for place, _ in executor.begun)
    assert begun == Counter([*range(PARAMS.evaluations + 1), victim[2]])
    # The one that comes after the killed one may find nothing left to do.
    assert len({pid for place, pid in executor.begun if place == victim}) == 2
    assert made.measured(lab.ref) == {"trainings": 9, "cached": 0}
