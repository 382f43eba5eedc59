"""Shards: their boundaries, and the same artifacts in this process, on one worker, on two, and when a worker dies."""

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import BLOCK_ROWS, Executor, SerialExecutor, row_shards
from tests.support.kills import Deadly
from tests.worlds import DAY, identities, run_pipeline, write_documents

pytestmark = pytest.mark.slow

ROWS = 2 * BLOCK_ROWS + 300


@given(st.integers(0, 100_000), st.integers(1, 50_000))
def test_shards_cover_all_rows_in_whole_blocks(rows: int, rows_per_shard: int) -> None:
    shards = row_shards(rows, rows_per_shard)
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert (shards[0].start, shards[-1].stop) == (0, rows)
    assert all(left.stop == right.start for left, right in itertools.pairwise(shards))
    assert all(shard.start % BLOCK_ROWS == 0 for shard in shards)
    size = shards[0].stop
    assert all(shard.stop - shard.start == size for shard in shards[:-1])
    assert len(shards) == 1 or rows_per_shard <= size < rows_per_shard + BLOCK_ROWS


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents"), ROWS, 7)


@pytest.fixture(scope="module")
def serial(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What this process alone makes."""
    return made_by(SerialExecutor(), documents, tmp_path_factory.mktemp("serial"))


@pytest.fixture(scope="module")
def pair(forked_workers: None) -> Iterator[DaskExecutor]:
    executor = DaskExecutor(2)
    yield executor
    executor.close()


def made_by(executor: Executor, documents: Path, folder: Path, progress: Deadly | None = None) -> dict[str, str]:
    env = Environment(Store(str(folder / "store")).prepare(), "toys", DAY, executor)
    if progress:
        env.progress = progress
    run_pipeline(env, documents)
    assert sum(record.shards_run for record in env.records) == 5 * 3
    return identities(env.store)


def test_several_shards_make_several_files(serial: dict[str, str]) -> None:
    assert len(serial) == 18 + 4 + 1 + 1


def test_one_worker_process_makes_the_same(
    forked_workers: None, documents: Path, serial: dict[str, str], tmp_path: Path
) -> None:
    executor = DaskExecutor(1)
    try:
        assert not executor.started
        assert made_by(executor, documents, tmp_path) == serial
        assert executor.started
    finally:
        executor.close()


def test_two_worker_processes_make_the_same(
    pair: DaskExecutor, documents: Path, serial: dict[str, str], tmp_path: Path
) -> None:
    assert made_by(pair, documents, tmp_path) == serial
    pids = pair.client.run(os.getpid).values()
    assert len(set(pids) - {os.getpid()}) == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_worker_changes_nothing_but_the_time(
    pair: DaskExecutor, documents: Path, serial: dict[str, str], tmp_path: Path, seed: int
) -> None:
    choice = random.Random(seed)
    # Steps of the counting, the weighing and the SVD, where work is under way in the other worker or waits for one.
    deadly = Deadly(pair, {choice.randint(2, 5), choice.randint(6, 12)}, choice)
    assert made_by(pair, documents, tmp_path, deadly) == serial
    assert len(deadly.killed) == 2
    assert not set(deadly.killed) & set(pair.client.run(os.getpid).values())


def test_nothing_is_started_for_no_shards() -> None:
    executor = DaskExecutor(2)
    assert list(executor.map(str, [])) == []
    assert not executor.started
    executor.close()
