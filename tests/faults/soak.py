"""Kills in every stage, seeded: a Dask worker among two, or the run itself, at a random moment of the stage. Ends alike each time.

Outside the test suite: ``make soak``. Prints a line a stage and victim; the exit code is 1 if any end was another.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import BLOCK_ROWS, Executor, SerialExecutor
from tests.faults.driver import timed
from tests.worlds import DAY, identities, run_pipeline, write_documents

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Tally:
    """What came of the kills of one victim in one stage."""

    runs: int = 0
    alike: int = 0
    resumed: int = 0
    seconds: float = 0.0


@dataclass
class Workers:
    """Runs on two worker processes, of which one is killed."""

    folder: Path
    executor: DaskExecutor = field(default_factory=lambda: DaskExecutor(2))

    def __post_init__(self) -> None:
        self.documents = write_documents(self.folder, 2 * BLOCK_ROWS + 300, 7)
        alone, _ = self._run("alone", SerialExecutor())
        calm, self.records = self._run("calm", self.executor)
        assert calm == alone, "two workers do not make what one process makes"
        self.expected = alone
        self.stages = [record["stage"] for record in self.records if record["shards_run"] > 1]

    def kill(self, stage: str, seed: int) -> tuple[bool, int]:
        """Kills a worker at a random moment of a stage; whether the run ended alike, and the shards it took over."""
        choice = random.Random(f"{seed} worker {stage}")
        usual = next(record["seconds"] for record in self.records if record["stage"] == stage)
        with timed(stage, choice.uniform(0.0, usual), lambda: self._strike(choice)) as done:
            found, _ = self._run(f"worker-{seed}", self.executor)
        assert done
        try:
            self.executor.client.wait_for_workers(2, timeout=20)
        except TimeoutError:  # a worker killed while it starts is given up by its nanny
            self.executor.close()
            self.executor = DaskExecutor(2)
        return found == self.expected, 0

    def _strike(self, choice: random.Random) -> None:
        """Kills one of the workers that are there now."""
        for _ in range(100):
            pids = sorted(self.executor.client.run(os.getpid, on_error="ignore").values())
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(choice.choice(pids), signal.SIGKILL)
                return
            time.sleep(0.1)
        raise AssertionError("there is no worker to kill")

    def _run(self, name: str, executor: Executor) -> tuple[dict[str, str], list[dict[str, Any]]]:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=name) as store:
            env = Environment(Store(store).prepare(), "toys", DAY, executor)
            run_pipeline(env, self.documents)
            for ref in env.store.refs():
                env.store.verify(ref)
            return identities(env.store), [vars(record) for record in env.records]


class Mains:
    """Runs that are killed themselves and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents = write_documents(folder, 1_300, 3)
        self.driver = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with tempfile.TemporaryDirectory(dir=folder) as place:
            end, calm = self._run(Path(place), {})
        assert end == 0
        self.expected, self.records = calm["identities"], calm["records"]
        self.stages = [record["stage"] for record in self.records]

    def kill(self, stage: str, seed: int) -> tuple[bool, int]:
        """Kills the run at a random moment of a stage and runs it again; whether that ended alike, and the shards it took over."""
        choice = random.Random(f"{seed} main {stage}")
        usual = next(record["seconds"] for record in self.records if record["stage"] == stage)
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            end, _ = self._run(Path(place), {"stage": stage, "delay": choice.uniform(0.0, usual)})
            assert end == signal.SIGKILL, f"{stage}: ended by {end}"
            end, again = self._run(Path(place), {})
            if end:
                return False, 0
            resumed = sum(record["shards_resumed"] for record in again["records"])
            return again["identities"] == self.expected, resumed

    def _run(self, place: Path, case: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        result = place / "result.json"
        given = {
            "documents": str(self.documents),
            "store": str(place / "store"),
            "log": str(place / "log"),
            "result": str(result),
        }
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps([{**given, **case}]) + "\n")
        self.driver.stdin.flush()
        [end] = json.loads(self.driver.stdout.readline())
        return end, json.loads(result.read_text()) if result.exists() else {}

    def close(self) -> None:
        """Ends the driver."""
        assert self.driver.stdin
        self.driver.stdin.close()
        self.driver.wait(30)


def soak(seeds: int, folder: Path) -> dict[tuple[str, str], Tally]:
    """Runs the cases in turn, as many as asked for."""
    workers, mains = Workers(folder), Mains(folder)
    cases = [("worker", stage) for stage in workers.stages] + [("main", stage) for stage in mains.stages]
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    try:
        for seed in range(seeds):
            victim, stage = cases[seed % len(cases)]
            started = time.monotonic()
            alike, resumed = (workers if victim == "worker" else mains).kill(stage, seed)
            tally = tallies[stage, victim]
            tally.runs, tally.alike, tally.resumed = tally.runs + 1, tally.alike + alike, tally.resumed + resumed
            tally.seconds += time.monotonic() - started
            print(f"seed {seed}: {victim} killed in {stage}: {'alike' if alike else 'ENDED OTHERWISE'}", flush=True)
    finally:
        mains.close()
        workers.executor.close()
    return dict(tallies)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory(prefix="fingerpost-soak-") as folder:
        tallies = soak(seeds, Path(folder))
    print(f"{'stage':28}{'killed':9}{'times':>6}{'alike':>7}{'shards taken over':>19}{'seconds each':>14}")
    for (stage, victim), tally in sorted(tallies.items()):
        mean = tally.seconds / tally.runs
        print(f"{stage:28}{victim:9}{tally.runs:6}{tally.alike:7}{tally.resumed:19}{mean:14.1f}")
    alike, runs = sum(t.alike for t in tallies.values()), sum(t.runs for t in tallies.values())
    print(f"{alike} of {runs} kills left the same artifacts")
    return 0 if alike == runs else 1


if __name__ == "__main__":
    sys.exit(main())
