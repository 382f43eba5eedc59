"""The stages that train embedders: the same artifacts in one process, on two workers and after one was killed while it trained."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas import corpus, files
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.metric.assessment import AssessmentParams
from fingerpost.tasks.metric.classes import ClassParams, chosen_rows
from fingerpost.tasks.metric.comparison import ComparisonParams
from fingerpost.tasks.metric.embedders import BackboneParams, TrainingParams
from fingerpost.tasks.metric.margin_search import MarginParams
from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.open import read_embedder, selected_index
from fingerpost.tasks.metric.opis import OpisParams
from fingerpost.tasks.metric.stages import embedders as stages
from tests.unit.metric.worlds import world
from tests.worlds import DAY, identities

pytest.importorskip("torch")

CLASSES = ClassParams(part="training", train_share=0.5, validation_share=0.5)
TRAINING = TrainingParams(
    loss="proxy_anchor",
    steps=20,
    classes_per_batch=16,
    rows_per_class=4,
    check_every=5,
    patience=0,
    validation_rows=300,
)
RECIPE = stages.Recipe(CLASSES, (), BackboneParams("head", 6), TRAINING)
COMPARED = ComparisonParams(AssessmentParams(opis=OpisParams(draws=10)), queries=200)
MARGINS = MarginParams(positive_frr=(0.8,), negative_far=(0.05,), weights=(1.0,), steps=10)
INPUTS = [Ref(contract.name, DAY, "0" * 32) for contract in (corpus.VECTORS, corpus.DOCUMENTS)]


def make(env: Environment) -> dict[str, Ref]:
    """All stages."""
    made = {"margins": stages.search_margins.execute(env, *INPUTS, recipe=RECIPE, params=MARGINS, compared=COMPARED)}
    made["embedders"] = stages.train_embedders.execute(
        env, *INPUTS, made["margins"], recipe=RECIPE, variants=("without", "with"), seeds=2, tcm=TcmParams()
    )
    made["comparison"] = stages.compare_embedders.execute(
        env, *INPUTS, made["embedders"], recipe=RECIPE, params=COMPARED
    )
    made["vectors"] = stages.embed_rows.execute(
        env, INPUTS[0], made["embedders"], made["comparison"], shape=(), rows_per_shard=4096
    )
    return made


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, dict[str, Ref]]:
    env, _, _ = world(tmp_path_factory.mktemp("serial"))
    return env, make(env)


def test_embedders_are_trained_compared_and_one_is_taken(serial: tuple[Environment, dict[str, Ref]]) -> None:
    env, made = serial
    trials = env.store.open(made["margins"], contracts.MARGINS).read("trials").to_pylist()
    assert [trial["positive_margin"] for trial in trials][:2] == [None, 0.9]
    assert len(trials) == 3
    taken = next(trial for trial in trials if trial["role"] == "chosen")
    artifact = env.store.open(made["embedders"], contracts.EMBEDDERS)
    rows = artifact.read("embedders").to_pylist()
    assert [(row["seed"], row["positive_margin"]) for row in rows] == [
        (0, None),
        (1, None),
        (0, taken["positive_margin"]),
        (1, taken["positive_margin"]),
    ]
    checks = artifact.read("checks").to_pylist()
    assert [check["step"] for check in checks if check["embedder"] == 3] == [5, 10, 15, 20]
    comparison = env.store.open(made["comparison"], contracts.COMPARISON)
    place = selected_index(comparison)
    assert comparison.quality["tcm"] == (place > 1)
    figures = {(row["method"], row["setting"]) for row in comparison.read("figures").to_pylist()}
    assert figures == {(side, f"seed {seed}") for side in ("without", "with") for seed in (0, 1)}
    from fingerpost.tasks.corpus.open import read_vectors
    from fingerpost.tasks.metric.trainer import embed

    found = read_vectors(env.store.open(made["vectors"], contracts.VECTORS))
    expected = embed(read_embedder(artifact, place), read_vectors(env.store.open(INPUTS[0], corpus.VECTORS)))
    np.testing.assert_array_equal(found, expected)


def test_training_validation_and_test_classes_are_disjoint() -> None:
    labels = [f"class {row}" for row in range(600)] * 2
    sides = {
        part: {
            labels[row] for row in chosen_rows(labels, ClassParams(part=part, train_share=0.5, validation_share=0.4))
        }
        for part in ("training", "validation", "test")
    }  # type: ignore[arg-type]
    assert sum(len(side) for side in sides.values()) == len(set.union(*sides.values())) == 600
    assert 250 < len(sides["training"]) < 350
    assert 80 < len(sides["validation"]) < 160


@dataclass(frozen=True)
class DiesWhileTraining:
    """A shard function whose process is killed at its first checkpoint, once in all; every check is a checkpoint."""

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
    """An executor of two workers, one of which is killed while it trains an embedder."""

    executor: DaskExecutor
    log: Path
    killed: list[int] = field(default_factory=list)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """As the executor's."""
        trains = getattr(function, "function", None) is stages._embedder_shard
        return self.executor.map(DiesWhileTraining(function, str(self.log)) if trains else function, items)


def test_a_worker_killed_while_it_trains_changes_nothing(
    forked_workers: None, serial: tuple[Environment, dict[str, Ref]], tmp_path: Path
) -> None:
    executor = DaskExecutor(2)
    killing = Killing(executor, tmp_path / "log")
    env, _, _ = world(tmp_path, killing)
    try:
        make(env)
    finally:
        executor.close()
    assert (tmp_path / "log.killed").exists()
    saved = [int(line) for line in (tmp_path / "log").read_text().split()]
    # Four checks each; the one that was killed at its first went on from there.
    assert sorted(saved) == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert identities(env.store) == identities(serial[0].store)
    assert not env.store.files.names(".work")


def test_what_cannot_be_trained_on_is_refused_in_words(tmp_path: Path) -> None:
    env, _, _ = world(tmp_path)
    images = stages.Recipe(CLASSES, (28, 28), BackboneParams("conv"), TRAINING)
    asked = {"variants": ("without",), "seeds": 1, "tcm": TcmParams()}
    with pytest.raises(FingerpostError, match=r"expected 784 values per row for images of shape \(28, 28\), found 8"):
        stages.train_embedders.execute(env, *INPUTS, recipe=images, **asked)
    wrong = stages.Recipe(CLASSES, (), BackboneParams("conv"), TRAINING)
    with pytest.raises(FingerpostError, match=r"backbone conv: expected images, got inputs of shape \(8,\)"):
        stages.train_embedders.execute(env, *INPUTS, recipe=wrong, **asked)
