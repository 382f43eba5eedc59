"""The stages that sample neighbourhoods and train an aligner."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas import files, kg
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.graphs import table_of
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.kg.decisions import average_precision
from fingerpost.tasks.kg.neighborhoods import SamplingParams, sampled_neighborhoods
from fingerpost.tasks.kg.stages import aligner as stages
from fingerpost.tasks.kg.stages.graph_tables import GraphTables
from fingerpost.tasks.kg.stages.neighborhoods import sample_neighborhoods
from fingerpost.tasks.kg.stages.stored_aligner import StoredAligner, StoredSide
from tests.support.suggestion_artifacts import committed
from tests.unit.kg.aligner_world import PARAMS, environment, every_pair, inputs, train
from tests.worlds import identities

pytest.importorskip("torch")


@dataclass
class World:
    env: Environment
    made: dict[str, Ref]

    def links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self.env.store.open(self.made["links"], kg.LINKS).read("links")
        pairs = np.stack([rows[side].to_numpy() for side in ("left", "right")], axis=1).astype(np.int64)
        return pairs, rows["label"].to_numpy(), np.array(rows["split"].to_pylist())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("serial")
    env = environment(folder)
    made = inputs(env, folder)
    return World(env, made | {"aligner": train(env, made)})


def test_every_connected_entity_is_sampled_once_as_in_one_piece(world: World) -> None:
    graph = GraphTables.open(world.env.store, world.made["left"])
    ref = world.made["left_neighborhoods"]
    artifact = world.env.store.open(ref, kg.NEIGHBORHOODS)
    assert len(artifact.entries("neighborhoods")) == 1
    side = StoredSide(world.env.store, world.made["left"], ref, world.made["left_vectors"])
    found, related = side.facts.neighborhoods, graph.relations
    expected = sampled_neighborhoods(related, np.flatnonzero(related.degrees), SamplingParams(cap=4, hops=1))
    for name in ("nodes", "indptr", "neighbors", "relations"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    # Makers have more products than that.
    assert artifact.quality["capped"] == 10
    assert artifact.quality["sampled"] == len(expected.neighbors) < artifact.quality["neighbors"]


def test_an_aligner_is_trained_and_opened(world: World) -> None:
    artifact = world.env.store.open(world.made["aligner"], kg.MODEL)
    epochs = artifact.read("epochs").to_pylist()
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    opened = StoredAligner(world.env.store, world.made)
    pairs, labels, splits = world.links()
    logits = opened.logits(pairs)
    assert average_precision(labels[splits == "test"], logits[splits == "test"]) > 0.85
    held = splits == "validation"
    assert artifact.quality["validation_prauc"] == pytest.approx(average_precision(labels[held], logits[held]))
    # The best epoch is kept, not the last one.
    assert artifact.quality["validation_prauc"] == pytest.approx(max(epoch["validation"] for epoch in epochs))


def test_every_training_pair_has_a_logit_of_a_model_that_was_not_trained_on_it(world: World) -> None:
    crossed = world.env.store.open(world.made["aligner"], kg.MODEL).read("crossed")
    pairs, labels, splits = world.links()
    mine = {
        tuple(pair): label
        for pair, label in zip(pairs[splits == "training"].tolist(), labels[splits == "training"], strict=True)
    }
    found = list(zip(crossed["left"].to_pylist(), crossed["right"].to_pylist(), strict=True))
    assert sorted(found) == sorted(mine)
    logits = crossed["logit"].to_numpy()
    assert average_precision(np.array([mine[pair] for pair in found]), logits) > 0.8
    by_all = StoredAligner(world.env.store, world.made).logits(np.array(found))
    assert not np.any(logits == by_all)


def test_neighbours_are_named_with_weights_that_sum_to_one(world: World) -> None:
    opened = StoredAligner(world.env.store, world.made)
    pairs, labels, _ = world.links()
    left, right = pairs[labels == 1][0].tolist()
    names = {side: GraphTables.open(world.env.store, world.made[side]).names for side in ("left", "right")}
    for side, found in zip(("left", "right"), opened.attended(left, right), strict=True):
        assert sum(one.weight for one in found) == pytest.approx(1)
        assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
        maker = {"left": "maker", "right": "brand"}[side]
        known = [one for one in found if one.row >= 0]
        assert [(one.relation, one.into, one.text) for one in known] in ([], [(maker, False, "")])
        assert all(names[side][one.row] for one in known)
        assert {one.relation for one in found if one.row < 0} == (
            {"title", "price"} if side == "left" else {"name", "price"}
        )
        assert all(one.text for one in found if one.row < 0)


def test_matches_alone_are_enough(tmp_path: Path) -> None:
    env = environment(tmp_path)
    made = inputs(env, tmp_path, alone=True)
    made["aligner"] = train(env, made, replace(PARAMS, burn_in=1, negatives=4))
    artifact = env.store.open(made["aligner"], kg.MODEL)
    assert artifact.quality["pairs"] == artifact.quality["matches"]
    links = World(env, made).links()
    test = links[0][links[2] == "test"]
    opened = StoredAligner(env.store, made)
    everything = env.store.open(made["candidates"], kg.CANDIDATES).read("candidates")
    rows = np.stack([everything[side].to_numpy() for side in ("left", "right")], axis=1).astype(np.int64)
    rows = rows[np.isin(rows[:, 0], test[:, 0])]
    truth = np.array([pair in {tuple(pair) for pair in test.tolist()} for pair in map(tuple, rows.tolist())])
    assert average_precision(truth.astype(int), opened.logits(rows)) > 0.5


def test_within_one_table(tmp_path: Path) -> None:
    env = environment(tmp_path)
    made = inputs(env, tmp_path)
    count = len(GraphTables.open(env.store, made["left"]))
    pairs = [
        (row, row + 1, int(row % 2 == 0), "training" if row < count // 2 else "validation", "given")
        for row in range(count - 1)
    ]
    links = committed(env.store, kg.LINKS, {"links": table_of(kg.LINKS.tables[0], pairs)})
    same = {f"right{part}": made[f"left{part}"] for part in ("", "_neighborhoods", "_vectors")}
    mine = made | same | {"links": links, "candidates": every_pair(env.store, made["left"], made["left"])}
    mine["aligner"] = train(env, mine, replace(PARAMS, epochs=1))
    opened = StoredAligner(env.store, mine)
    assert opened.sides[0] is opened.sides[1]
    np.testing.assert_allclose(opened.logits(np.array([[3, 8]])), opened.logits(np.array([[8, 3]])), rtol=1e-6)


def test_links_without_matches_are_refused(tmp_path: Path) -> None:
    env = environment(tmp_path)
    made = inputs(env, tmp_path)
    links = committed(env.store, kg.LINKS, {"links": table_of(kg.LINKS.tables[0], [(0, 0, 0, "training", "given")])})
    with pytest.raises(FingerpostError, match="links: expected matches to train on, got none; give more links"):
        train(env, made | {"links": links})


@dataclass(frozen=True)
class DiesWhileTraining:
    """A shard function whose process is killed at its second checkpoint, once in all; every epoch is a checkpoint."""

    job: Any
    log: str

    def __call__(self, shard: Any) -> Any:
        """Runs the shard."""
        stages.CHECKPOINT_SECONDS = 0.0
        kept = files.reached

        def reached(here: str) -> None:
            if here == "after-checkpoint":
                with open(self.log, "a") as log:
                    log.write(f"{shard.index}\n")
                mine = [line for line in Path(self.log).read_text().split() if line == str(shard.index)]
                if len(mine) == 2:
                    try:
                        os.close(os.open(f"{self.log}.killed", os.O_CREAT | os.O_EXCL))
                    except FileExistsError:
                        return
                    os.kill(os.getpid(), signal.SIGKILL)

        files.reached = reached
        try:
            return self.job(shard)
        finally:
            files.reached = kept


@dataclass
class Killing:
    """An executor of two workers, one of which is killed while it trains."""

    executor: DaskExecutor
    log: Path

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """As the executor's."""
        trains = getattr(function, "function", None) is stages._train_shard
        return self.executor.map(DiesWhileTraining(function, str(self.log)) if trains else function, items)


def test_two_workers_one_of_which_is_killed_while_it_trains_change_nothing(
    forked_workers: None, world: World, tmp_path: Path
) -> None:
    executor = DaskExecutor(2)
    env = environment(tmp_path, Killing(executor, tmp_path / "log"))
    try:
        train(env, inputs(env, tmp_path))
    finally:
        executor.close()
    assert (tmp_path / "log.killed").exists()
    # Four epochs each; the one that was killed after its second went on from there.
    assert sorted((tmp_path / "log").read_text().split()) == [*"000011112222"]
    assert identities(env.store) == identities(world.env.store)
    assert not env.store.files.names(".work")


def test_shards_of_any_size_sample_alike(world: World) -> None:
    store, graph = world.env.store, world.made["right"]
    ref = sample_neighborhoods.execute(world.env, graph, params=SamplingParams(cap=2, hops=1), rows_per_shard=10_000)
    related = GraphTables.open(store, graph).relations
    rows = store.open(ref, kg.NEIGHBORHOODS).read("neighborhoods").to_pylist()
    expected = sampled_neighborhoods(related, np.flatnonzero(related.degrees), SamplingParams(cap=2, hops=1))
    assert [row["entity"] for row in rows] == expected.nodes.tolist()
    assert [value for row in rows for value in row["neighbors"]] == expected.neighbors.tolist()
