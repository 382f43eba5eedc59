"""The stated memory: blocks that fit a budget, refusals that name the figure, and real processes under hard limits."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.label_features import EmbeddingParams, embed_labels
from fingerpost.tasks.xmr.memory import (
    MemoryNeedError,
    ProblemShape,
    clustering_need,
    embedding_need,
    level_widths,
    memory_need,
)
from fingerpost.tasks.xmr.model import ChunkBlock, RankerModel
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
from tests.support.memory_steps import Stepper, world
from tests.support.rankers import block_for, train_blocks, train_ranker
from tests.unit.xmr.worlds import topic_problem

CLUSTERS = ClusterParams(branching=2, max_leaf_size=10, flat_labels=0)


@pytest.fixture(scope="module")
def stepper() -> Iterator[Stepper]:
    found = Stepper()
    yield found
    found.close()


def stated_by_step(folder: Path, rows: int, features: int, labels: int, block: int, threads: int) -> dict[str, int]:
    """What is stated for each step over such a world."""
    plain, known, embedded = world(folder, rows, features, labels)
    clusters = ClusterParams(max_leaf_size=50, flat_labels=0)
    return {
        "label features": embedding_need(plain).total,
        "tree": clustering_need(embedded.shape[0], embedded.nnz, embedded.shape[1], clusters).total,
        "training": memory_need(known, threads=threads, block=block).total,
    }


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("rows", "features", "labels", "block", "threads"),
    [(20_000, 30_000, 2_000, 0, 1), (8_000, 100_000, 4_000, 200, 2), (30_000, 5_000, 500, 100, 1)],
)
def test_each_step_under_a_hard_limit_keeps_what_was_stated(
    stepper, tmp_path, rows, features, labels, block, threads
) -> None:
    for step, stated in stated_by_step(tmp_path, rows, features, labels, block, threads).items():
        code, said = stepper.run(tmp_path, step, stated, 1.1, block, threads)
        assert code == 0, step
        peak, made = said
        print(f"{step}: stated {stated / 2**20:.1f} MiB, peak {peak / 2**20:.1f} MiB, {made} made")
        assert 0 < peak <= stated
        # A statement that is far from what is met refuses what would fit; small ones are mostly slack.
        assert stated <= 2.5 * peak + 8 * 2**20


def test_the_limit_bites(stepper, tmp_path) -> None:
    for step, stated in stated_by_step(tmp_path, 8_000, 30_000, 2_000, 0, 1).items():
        assert stepper.run(tmp_path, step, stated, 0.05)[0] != 0


def test_blocks_make_the_model_of_the_whole() -> None:
    x, y = topic_problem(0)
    tree = cluster_labels(embed_labels(x, y), CLUSTERS)
    statement = memory_need(ProblemShape.of(x, y), clusters=CLUSTERS, block=10)
    parts: list[tuple[int, ChunkBlock]] = []
    train_blocks(x, y, tree, statement, take=lambda level, block: parts.append((level, block)))
    assert len(parts) > tree.depth
    assert [level for level, _ in parts] == sorted(level for level, _ in parts)
    levels = tuple(tuple(block for at, block in parts if at == level) for level in range(tree.depth))
    mine, whole = RankerModel(x.shape[1], tree, levels, True), train_ranker(x, y, tree).model
    for level in range(tree.depth):
        assert (mine.weights(level) != whole.weights(level)).nnz == 0
        assert np.array_equal(mine.bias(level), whole.bias(level))


def test_the_tree_is_as_stated() -> None:
    for labels, params in (
        (60, CLUSTERS),
        (5000, ClusterParams()),
        (700, ClusterParams()),
        (3956, ClusterParams(branching=8)),
    ):
        rng = np.random.default_rng(0)
        features = sparse.csr_array(rng.random((labels, 4), dtype=np.float32))
        tree = cluster_labels(features, params)
        assert level_widths(labels, params) == [tree.width(level) for level in range(tree.depth)]


def test_a_budget_makes_blocks_or_a_refusal() -> None:
    rng = np.random.default_rng(0)
    x = sparse.random_array((2000, 5000), density=0.02, format="csr", dtype=np.float32, rng=rng)
    y = sparse.random_array((2000, 3000), density=0.001, format="csr", dtype=np.float32, rng=rng)
    shape = ProblemShape.of(x, y)
    whole = memory_need(shape)
    roomy, tight = block_for(whole.total, shape), block_for(int(0.8 * whole.total), shape)
    assert roomy == whole
    assert tight.total <= 0.8 * whole.total
    assert tight.block < whole.block
    with pytest.raises(
        MemoryNeedError,
        match=(
            r"expected a need of at most 9\.0 MiB, got \d+\.\d MiB for training with blocks of \d+ labels \(features"
            r" .*; give more memory"
        ),
    ):
        block_for(9 * 2**20, shape)
    assert memory_need(shape, threads=2).total > whole.total
    small = TrainingParams(solver=SolverParams(max_nonzeros=5))
    assert memory_need(shape, small).max_block_weights <= 5 * 3000
    sharp = TrainingParams(solver=SolverParams(threshold=0.3))
    assert memory_need(shape, sharp).max_block_weights < 0.6 * whole.max_block_weights
    assert embedding_need(shape, block=100).total < embedding_need(shape).total
    assert (
        embedding_need(shape, EmbeddingParams("pifa_concatenated"), own_entries=10**6).total
        > embedding_need(shape).total
    )


def test_what_labels_rows_have_in_common_is_expected_as_drawn() -> None:
    x, y = topic_problem(0)
    shape = ProblemShape.of(x, y)
    sizes = np.diff(x.indptr)
    for label in range(0, 60, 7):
        assert shape.reach[label] == sizes[y[:, [label]].nonzero()[0]].sum()
    share = np.bincount(x.indices, minlength=x.shape[1]) / x.nnz
    for reach in (1.0, 7.5, 300.0):
        assert shape.expected(np.array([reach]))[0] == pytest.approx((1 - np.exp(-share * reach)).sum(), rel=0.05)
    found = embed_labels(x, y).nnz
    assert found <= shape.of_neighbours(60) * 1.05
    assert (
        shape.of_neighbours(20) <= shape.of_labels(20) <= shape.of_labels(60) == pytest.approx(shape.of_neighbours(60))
    )


def test_more_weights_than_stated_are_refused() -> None:
    x, y = topic_problem(0)
    tree = cluster_labels(embed_labels(x, y), CLUSTERS)
    params = TrainingParams(solver=SolverParams(max_nonzeros=1))
    statement = replace(memory_need(ProblemShape.of(x, y), params, CLUSTERS), max_upper_weights=1)
    with pytest.raises(MemoryNeedError, match=r"level 0: expected at most \d+ weights as estimated, got \d+"):
        train_blocks(x, y, tree, statement, take=lambda level, block: None)
