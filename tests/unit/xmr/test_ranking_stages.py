"""From trained rankers to one that answers: the sweep, the setting that a limit picks, and the release that has it."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import Executor, SerialExecutor
from fingerpost.tasks.xmr.ensembles import Combination, Ensemble, EnsembleParams
from fingerpost.tasks.xmr.model import prune
from fingerpost.tasks.xmr.open import (
    LiveRanker,
    member_roles,
    numbered,
    open_ranker,
    read_held,
    read_model,
    read_tree,
    served_roles,
)
from fingerpost.tasks.xmr.ranking import NONE, BeamParams
from fingerpost.tasks.xmr.stages import release as ranking
from fingerpost.tasks.xmr.stages import training as training_stages
from fingerpost.tasks.xmr.stages import trees as trees_stages
from fingerpost.tasks.xmr.stages.packed import pack_ranker
from fingerpost.tasks.xmr.sweep import SweepParams, sweep_settings
from tests.unit.xmr.shop import Shop, write_shop
from tests.worlds import DAY

SWEEP = SweepParams(thresholds=(0.1, 0.4, 0.8), beams=(1, 3), least_recall=0.5, timed=0)


def world(store: str, executor: Executor | None = None) -> Environment:
    return Environment(Store(store).prepare(), "shop", DAY, executor or SerialExecutor())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Ref]]:
    """The folder of a store with the small shop's ranker, and its artifacts by role."""
    folder = tmp_path_factory.mktemp("base")
    refs = Shop().make(world(str(folder / "store")), write_shop(folder))
    return folder / "store", refs


@pytest.fixture
def made(base: tuple[Path, dict[str, Ref]], tmp_path: Path) -> tuple[Environment, dict[str, Ref]]:
    """A copy of that store to make more in."""
    shutil.copytree(base[0], tmp_path / "store")
    return world(str(tmp_path / "store")), dict(base[1])


def swept(env: Environment, refs: dict[str, Ref], params: SweepParams = SWEEP) -> dict[str, Ref]:
    """A release whose weights and beam a sweep chose."""
    shop, taken, held = Shop(), refs["interactions"], refs["held_features"]
    new = dict(refs)
    del new["ranker"]
    new["sweep"] = ranking.sweep_ranker.execute(
        env, taken, held, refs["tree"], refs["model"], params=params, beam=shop.beam
    )
    new["pruned"] = ranking.prune_rankers.execute(env, new["sweep"], refs["model"])
    new["predictions"] = ranking.predict_labels.execute(
        env, taken, held, refs["tree"], new["pruned"], k=20, beam=shop.beam, blocks=shop.blocks
    )
    new["evaluation"] = ranking.evaluate_ranker.execute(env, taken, new["predictions"])
    new["packed"] = pack_ranker.execute(env, taken, refs["vocabulary"], refs["tree"], new["pruned"])
    roles = tuple(sorted(new))
    new["ranker"] = ranking.assemble_ranker.execute(env, *(new[role] for role in roles), roles=roles)
    return new


def test_the_sweep_states_what_recall_costs(made: tuple[Environment, dict[str, Ref]]) -> None:
    env, refs = made
    params = SweepParams(thresholds=(0.1, 0.4, 0.8), beams=(1, 10), k=5, timed=5)
    arguments = (env, refs["interactions"], refs["held_features"], refs["tree"], refs["model"])
    ref = ranking.sweep_ranker.execute(*arguments, params=params, beam=Shop().beam)
    rows = env.store.open(ref, contracts.SWEEP).read("figures").to_pylist()
    values = {(row["setting"], row["metric"]): row["value"] for row in rows}
    tree = read_tree(env.store.open(refs["tree"], contracts.TREE))
    model = read_model(env.store.open(refs["model"], contracts.MODEL), tree)
    held = read_held(env.store, refs["interactions"], refs["held_features"], ("calibration",))
    points = sweep_settings(model, *held, thresholds=params.thresholds, beams=params.beams, k=5)
    for point in points:
        setting = f"threshold {point.threshold:g}, beam {point.beam}"
        found = [values[setting, name] for name in ("recall_at_5", "bytes", "weights", "work")]
        assert found == [point.recall, point.bytes, point.nonzeros, point.work]
    manifest = env.store.manifest(ref)
    assert manifest.quality["points"] == len(points) == 6
    assert len(manifest.run["measured"]["latency_ms"]) == 6
    assert all(taken > 0 for taken in manifest.run["measured"]["latency_ms"])
    assert not any("ms" in name for name in manifest.quality)


def test_a_budget_that_nothing_keeps_stops_what_would_be_published(made: tuple[Environment, dict[str, Ref]]) -> None:
    env, refs = made
    params = SweepParams(thresholds=(0.1, 0.8), beams=(1,), megabytes=0.001, timed=0)
    match = (
        r"xmr\.sweep: expected a setting within the limits, found none: size: expected at most 0.001 MB, got at least"
    )
    with pytest.raises(FingerpostError, match=match):
        swept(env, refs, params)


def test_the_setting_of_a_budget_is_what_is_published(made: tuple[Environment, dict[str, Ref]]) -> None:
    env, old = made
    new = swept(env, old)
    chosen = env.store.manifest(new["sweep"]).quality["chosen"]
    assert chosen["recall"] >= SWEEP.least_recall
    assert chosen["threshold"] > 0.1
    pruned = env.store.manifest(new["pruned"]).quality
    tree = read_tree(env.store.open(old["tree"], contracts.TREE))
    whole = read_model(env.store.open(old["model"], contracts.MODEL), tree)
    cut = prune(whole, threshold=chosen["threshold"])
    left = read_model(env.store.open(new["pruned"], contracts.MODEL), tree)
    assert (pruned["weights"], pruned["bytes"]) == (cut.nonzeros, cut.nbytes)
    assert all(abs(left.weights(level) - cut.weights(level)).max() == 0 for level in range(tree.depth))
    assert all(np.array_equal(left.bias(level), cut.bias(level)) for level in range(tree.depth))

    ranker = LiveRanker(env.store, new["ranker"])
    assert ranker.ranker.params == BeamParams(chosen["beam"], Shop().beam.post_processor)  # type: ignore[attr-defined]
    assert ranker.manifest.quality["beam"] == chosen["beam"] != Shop().beam.beam
    assert ranker.manifest.quality["bytes"] == chosen["bytes"] == cut.nbytes
    queries = env.store.open(new["interactions"], contracts.INTERACTIONS).read("queries")
    for row in env.store.open(new["predictions"], contracts.PREDICTIONS).read("ranking").slice(0, 20).to_pylist():
        answers = ranker.rank(queries["text"][row["query"]].as_py(), k=20)
        assert [answer.score for answer in answers] == row["scores"][: len(answers)]
    assert LiveRanker(env.store, old["ranker"]).manifest.quality["beam"] == Shop().beam.beam
    other = open_ranker(env.store, new["tree"], new["pruned"], BeamParams(99))
    assert other.params.beam == chosen["beam"]


def ensemble(env: Environment, old: dict[str, Ref], combination: Combination) -> dict[str, Ref]:
    """A release of three rankers: the shop's, one of another seed, and one of a flatter tree, swept and pruned together."""
    shop = Shop()
    new = {role: ref for role, ref in old.items() if role not in ("ranker", "predictions", "calibration", "evaluation")}
    taken, held = new["interactions"], new["held_features"]
    shapes = [*EnsembleParams(seeds=(0, 5)).clusterings(shop.clusters), replace(shop.clusters, branching=2)]
    for place, clusters in enumerate(shapes[1:], start=1):
        tree = new[f"tree_{place}"] = trees_stages.cluster_labels.execute(
            env, new["label_features"], params=clusters, blocks=shop.blocks
        )
        new[f"model_{place}"] = training_stages.train_rankers.execute(
            env, taken, new["features"], tree, params=shop.training, rows=shop.rows, blocks=shop.blocks
        )
    pairs = [new[role] for pair in member_roles(new) for role in pair]
    new["sweep"] = ranking.sweep_ranker.execute(
        env, taken, held, *pairs, params=SWEEP, beam=shop.beam, combination=combination
    )
    listed = []
    for place, (tree, model) in enumerate(member_roles(new)):
        new[numbered("pruned", place)] = pruned = ranking.prune_rankers.execute(env, new["sweep"], new[model])
        listed.append(
            ranking.predict_labels.execute(
                env, taken, held, new[tree], pruned, k=20, beam=shop.beam, blocks=replace(shop.blocks, rows=70)
            )
        )
    new["predictions"] = ranking.combine_predictions.execute(env, *listed, combination=combination)
    new["calibration"] = ranking.calibrate_scores.execute(env, taken, new["predictions"], k=5)
    new["evaluation"] = ranking.evaluate_ranker.execute(env, taken, new["predictions"], *listed)
    served = (new[role] for pair in served_roles(new) for role in pair)
    new["packed"] = pack_ranker.execute(env, taken, new["vocabulary"], *served)
    roles = tuple(sorted(new))
    new["ranker"] = ranking.assemble_ranker.execute(env, *(new[role] for role in roles), roles=roles)
    return new


@pytest.mark.parametrize("combination", ["average", "softmax"])
def test_an_ensemble_answers_as_it_was_evaluated(
    made: tuple[Environment, dict[str, Ref]], combination: Combination
) -> None:
    env, old = made
    new = ensemble(env, old, combination)
    ranker = LiveRanker(env.store, new["ranker"]).load()
    quality = ranker.manifest.quality
    assert (quality["members"], quality["combination"], quality["depth"]) == (3, combination, 20)
    assert isinstance(ranker.ranker, Ensemble)
    trees = [read_tree(env.store.open(new[role], contracts.TREE)) for role, _ in member_roles(new)]
    assert not np.array_equal(trees[0].parents[-1], trees[1].parents[-1])
    assert trees[2].depth > trees[0].depth
    chosen = env.store.manifest(new["sweep"]).quality["chosen"]
    assert quality["bytes"] == chosen["bytes"]
    artifact = env.store.open(new["predictions"], contracts.PREDICTIONS)
    assert len(artifact.entries("ranking")) > 2
    keys = ranker.labels[0]
    queries = env.store.open(new["interactions"], contracts.INTERACTIONS).read("queries")
    for row in artifact.read("ranking").slice(60, 20).to_pylist():
        for k in (20, 3):
            answers = ranker.rank(queries["text"][row["query"]].as_py(), k=k)
            assert [(answer.id, answer.score) for answer in answers] == [
                (keys[label], score)
                for label, score in zip(row["labels"][:k], row["scores"][:k], strict=True)
                if label != NONE
            ]
    rows = env.store.open(new["evaluation"], contracts.EVALUATION).read("figures").to_pylist()
    recalls = {
        row["method"]: row["value"] for row in rows if (row["setting"], row["metric"]) == ("all", "recall_at_10")
    }
    assert set(recalls) == {"ranker", "member_1", "member_2", "member_3", "frequent"}
    assert recalls["ranker"] == pytest.approx(quality["recall_at_10"], abs=1e-6)
    assert len(set(recalls.values())) > 1


def test_limits_are_checked() -> None:
    assert not SweepParams().picks
    assert SweepParams(latency_ms=0.5, work_per_ms=1000.0).limits == {"work": 500.0}
    for wrong in ({"thresholds": ()}, {"beams": (0,)}, {"megabytes": -1}, {"work_per_ms": 0}, {"k": 0}):
        with pytest.raises(ValueError, match="expected"):
            SweepParams(**{**asdict(SweepParams()), **wrong})
