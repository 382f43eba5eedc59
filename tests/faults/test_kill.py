"""kill -9 at every named point and at random times: a second run ends where an undisturbed one does, and repeats little."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.support import toy_pipeline
from tests.worlds import write_documents

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROWS = 1_300
#: Shards of all stages of the real pipeline, and of the toy one.
SHARDS = {False: 15, True: toy_pipeline.SHARDS}
POINTS = ("between-shards", "before-rename", "before-manifest", "after-manifest", "before-pointer", "after-checkpoint")


@dataclass
class Lab:
    """A store in which the pipeline is run, and what its runs left."""

    driver: subprocess.Popen[str]
    folder: Path
    documents: Path
    toys: bool = False
    runs: int = 0

    @property
    def shards(self) -> int:
        """How many there are in all stages."""
        return SHARDS[self.toys]

    @property
    def pointer(self) -> Pointer:
        """What is live."""
        return Pointer(self.store, "toys", toy_pipeline.LETTERS.name if self.toys else "ann.index")

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    def run(self, *cases: dict[str, Any]) -> list[tuple[int, dict[str, Any] | None]]:
        """Runs cases at once; the signal each ended by (0: none) and its result if it has one."""
        given = []
        for case in cases:
            self.runs += 1
            paths = {"log": f"log-{self.runs}", "result": f"result-{self.runs}", "store": "store"}
            given.append(
                {
                    "documents": str(self.documents),
                    "toys": self.toys,
                    **{k: str(self.folder / v) for k, v in paths.items()},
                    **case,
                }
            )
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps(given) + "\n")
        self.driver.stdin.flush()
        ends = json.loads(self.driver.stdout.readline())
        results = [Path(case["result"]) for case in given]
        return [
            (end, json.loads(path.read_text()) if path.exists() else None)
            for end, path in zip(ends, results, strict=True)
        ]

    def begun(self, number: int) -> list[str]:
        """The shards that a run began, in order."""
        log = self.folder / f"log-{number}"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.driver"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents"), ROWS, 7)


@pytest.fixture
def lab(driver: subprocess.Popen[str], documents: Path, tmp_path: Path) -> Lab:
    return Lab(driver, tmp_path, documents)


@pytest.fixture(scope="module")
def undisturbed(
    driver: subprocess.Popen[str], documents: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a run that nothing disturbs makes."""
    [(end, result)] = Lab(driver, tmp_path_factory.mktemp("undisturbed"), documents).run({})
    assert end == 0
    assert result
    return result


@pytest.fixture
def toys(driver: subprocess.Popen[str], documents: Path, tmp_path: Path) -> Lab:
    return Lab(driver, tmp_path, documents, toys=True)


@pytest.fixture(scope="module")
def undisturbed_toys(
    driver: subprocess.Popen[str], documents: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The same of the toy pipeline."""
    [(end, result)] = Lab(driver, tmp_path_factory.mktemp("undisturbed"), documents, toys=True).run({})
    assert end == 0
    assert result
    return result


def finish(lab: Lab, undisturbed: dict[str, Any], **case: Any) -> dict[str, Any]:
    """Runs to the end after a kill and checks that the outcome is the undisturbed one and little was done twice."""
    committed = {str(ref) for ref in lab.store.refs()}
    [(end, result)] = lab.run(case)
    assert end == 0
    assert result
    assert result["identities"] == undisturbed["identities"]
    assert result["publication"]["identity"] == undisturbed["publication"]["identity"]
    assert result["publication"]["generation"] == 1
    # A kill between a commit and the end of its working state leaves that state, which nothing reads again.
    done = {f"{ref.name}-{ref.day}-{ref.fingerprint}" for ref in map(Ref.parse, committed)}
    assert set(lab.store.files.names(".work")) <= done
    for record in result["records"]:
        assert record["computed"] is (record["ref"] not in committed), record["stage"]
    before, again = lab.begun(lab.runs - 1), lab.begun(lab.runs)
    assert set(before) & set(again) <= set(before[-1:]), "only the shard in flight may be computed again"
    assert len(set(before) | set(again)) == lab.shards or lab.runs > 2
    assert sum(record["shards_run"] for record in result["records"] if record["computed"]) == len(again)
    return result


@pytest.mark.parametrize("pipeline", ["undisturbed", "undisturbed_toys"])
def test_the_undisturbed_run_visits_every_point(request: pytest.FixtureRequest, pipeline: str) -> None:
    found = request.getfixturevalue(pipeline)
    toys = pipeline == "undisturbed_toys"
    # The real pipeline commits a quarantine beside its stages' artifacts.
    visits, shards, artifacts = found["visits"], SHARDS[toys], len(found["records"]) + (not toys)
    assert set(visits) == set(POINTS)
    assert visits["between-shards"] == shards
    assert sum(record["shards_run"] for record in found["records"]) == shards
    assert visits["before-manifest"] == visits["after-manifest"] == artifacts
    assert visits["before-pointer"] == 1
    assert len(found["identities"]) == artifacts + 1, "and what is live"


def kill_and_finish(lab: Lab, undisturbed: dict[str, Any], point: str, share: float) -> None:
    """A kill at a point's visit, as far in the run as the share says, changes nothing."""
    number = 1 + int(share * (undisturbed["visits"][point] - 1))
    [(end, result)] = lab.run({"kill": [point, number]})
    assert (end, result) == (signal.SIGKILL, None)
    assert lab.pointer.live() is None
    again = finish(lab, undisturbed)
    if point == "between-shards":
        assert sum(record["shards_run"] for record in again["records"] if record["computed"]) == lab.shards - number
        assert not set(lab.begun(1)) & set(lab.begun(2))
    if point == "before-pointer":
        assert not any(record["computed"] for record in again["records"])


@pytest.mark.parametrize(
    ("point", "share"),
    [
        ("between-shards", 0.0),
        ("between-shards", 0.5),
        ("between-shards", 1.0),
        ("before-rename", 0.0),
        ("before-rename", 0.4),
        ("before-rename", 0.8),
        ("before-rename", 1.0),
        ("before-manifest", 0.0),
        ("before-manifest", 0.5),
        ("before-manifest", 1.0),
        ("after-manifest", 0.3),
        ("after-manifest", 1.0),
        ("after-checkpoint", 0.0),
        ("after-checkpoint", 1.0),
        ("before-pointer", 0.0),
    ],
)
def test_a_kill_at_a_named_point_changes_nothing(
    toys: Lab, undisturbed_toys: dict[str, Any], point: str, share: float
) -> None:
    kill_and_finish(toys, undisturbed_toys, point, share)


@pytest.mark.parametrize(
    ("point", "share"),
    [("between-shards", 0.5), ("before-rename", 0.8), ("before-manifest", 0.5), ("after-checkpoint", 1.0)],
)
def test_a_kill_at_a_named_point_of_the_real_pipeline_changes_nothing(
    lab: Lab, undisturbed: dict[str, Any], point: str, share: float
) -> None:
    kill_and_finish(lab, undisturbed, point, share)


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_a_random_time_changes_nothing(lab: Lab, undisturbed: dict[str, Any], seed: int) -> None:
    after = random.Random(seed).uniform(0.1, 0.9) * undisturbed["seconds"]
    [(end, _)] = lab.run({"after": after})
    assert end in {signal.SIGKILL, 0}
    finish(lab, undisturbed)


def test_a_run_that_is_killed_again_and_again_ends_all_the_same(toys: Lab, undisturbed_toys: dict[str, Any]) -> None:
    for number in (1, 2, 1):
        [(end, _)] = toys.run({"kill": ["between-shards", number]})
        assert end == signal.SIGKILL
    finish(toys, undisturbed_toys)
    begun = [line for number in range(1, toys.runs + 1) for line in toys.begun(number)]
    assert len(begun) == len(set(begun)) == toys.shards


def test_a_graph_goes_on_from_its_last_checkpoint(lab: Lab, undisturbed: dict[str, Any]) -> None:
    svd = undisturbed["visits"]["after-checkpoint"]
    [(end, _)] = lab.run({"kill": ["after-checkpoint", svd + 2], "checkpoint_seconds": 0})
    assert end == signal.SIGKILL
    [folder] = lab.store.files.names(".work")
    assert folder.startswith("ann.graph")
    assert [name[:23] for name in lab.store.files.names(f".work/{folder}")] == [
        "checkpoint-000000000512",
        "checkpoint-000000001024",
    ]
    again = finish(lab, undisturbed, checkpoint_seconds=0)
    assert again["visits"].get("after-checkpoint", 0) == 0, "the rest of the rows needs no further checkpoint"


def test_a_torn_checkpoint_is_passed_over(lab: Lab, undisturbed: dict[str, Any]) -> None:
    svd = undisturbed["visits"]["after-checkpoint"]
    lab.run({"kill": ["after-checkpoint", svd + 2], "checkpoint_seconds": 0})
    [folder] = lab.store.files.names(".work")
    newest = f".work/{folder}/{lab.store.files.names(f'.work/{folder}')[-1]}"
    lab.store.files.write(newest, lab.store.files.read(newest)[:-100])
    assert finish(lab, undisturbed, checkpoint_seconds=0)["visits"]["after-checkpoint"] == 1


def test_two_runs_at_once_end_alike(lab: Lab, undisturbed: dict[str, Any]) -> None:
    for _ in range(2):
        ends = lab.run({}, {})
        for end, result in ends:
            assert end == 0
            assert result
            assert {k: v for k, v in result["identities"].items() if k in undisturbed["identities"]} == undisturbed[
                "identities"
            ]
    assert [move.generation for move in lab.pointer.history()] == [1]
    lab.store.verify(lab.pointer.required().artifact)


def test_a_run_beside_one_that_is_killed_ends_well(lab: Lab, undisturbed: dict[str, Any]) -> None:
    ends = lab.run({}, {"after": 0.5 * undisturbed["seconds"]})
    assert ends[0][0] == 0
    assert ends[0][1]
    assert ends[0][1]["identities"] == undisturbed["identities"]
