"""The stages of a refresh, over the small shop with more interactions a day later."""

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.manifests import FileEntry
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.xmr.drift import DriftLimits
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.model import ChunkBlock
from fingerpost.tasks.xmr.open import open_ranker, read_label_features, read_model, read_training, read_tree
from fingerpost.tasks.xmr.refresh import RefreshParams, positives_of
from fingerpost.tasks.xmr.stages import training as training_stages
from fingerpost.tasks.xmr.training import TrainingParams
from tests.support.rankers import Trained, refresh_ranker
from tests.unit.xmr.later import Later, write_more
from tests.unit.xmr.shop import Shop, write_shop
from tests.worlds import DAY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, dict[str, Ref], Path]:
    folder = tmp_path_factory.mktemp("refreshed")
    env = Environment(Store(str(folder / "store")).prepare(), "shop", DAY, SerialExecutor())
    path = write_shop(folder)
    return env, Shop().make(env, path), path


def test_a_refresh_solves_what_is_new_and_says_how_far_it_went(made) -> None:
    env, old, path = made
    new = Later().make(env, old, write_more(path))
    quality = env.store.manifest(new["model"]).quality
    tree = read_tree(env.store.open(new["tree"], contracts.TREE))
    assert tree.labels == 98
    assert env.store.manifest(new["tree"]).quality["new_labels"] == 2
    assert quality["solved"][-1] == 3  # two new labels and the one with new queries
    assert quality["drift"]["solved_share"] == pytest.approx(3 / 98, abs=1e-6)
    assert quality["must_retrain"] == ""
    ranker = open_ranker(env.store, new["tree"], new["model"], Shop().beam)
    assert ranker.labels == 98
    before = read_model(
        env.store.open(old["model"], contracts.MODEL), read_tree(env.store.open(old["tree"], contracts.TREE))
    )
    after = read_model(env.store.open(new["model"], contracts.MODEL), tree)
    names = [
        env.store.open(ref["interactions"], contracts.INTERACTIONS).read("labels")["id"].to_pylist()
        for ref in (old, new)
    ]
    last = tree.depth - 1
    mine, theirs = after.weights(last), before.weights(last)
    changed = set()
    for place, name in enumerate(names[1]):
        if name not in names[0]:
            continue
        if (mine[:, [place]] != theirs[:, [names[0].index(name)]]).nnz:
            changed.add(name)
    assert changed == {"hammer-red"}
    assert set(names[1]) - set(names[0]) == {"curtain-red", "tools"}


@pytest.mark.parametrize("negatives", ["tfn", "tfn+man"])
def test_what_shards_solve_is_what_one_process_solves_in_one_piece(made, negatives: Any) -> None:
    env, old, path = made
    shop = Shop(training=TrainingParams(negatives=negatives))
    model = training_stages.train_rankers.execute(
        env, old["interactions"], old["features"], old["tree"], params=shop.training, rows=shop.rows, blocks=shop.blocks
    )
    later = Later(shop, RefreshParams(training=shop.training, max_leaf_size=8, label_gain=0.1, node_gain=0.05))
    new = later.make(env, old | {"model": model}, write_more(path))
    trees = [read_tree(env.store.open(ref["tree"], contracts.TREE)) for ref in (old, new)]
    then = read_training(env.store, old["interactions"], old["features"], shop.rows)
    data = read_training(env.store, new["interactions"], new["features"], shop.rows)
    ids = [
        env.store.open(ref["interactions"], contracts.INTERACTIONS).read("labels")["id"].to_pylist()
        for ref in (old, new)
    ]
    origin = np.array([ids[0].index(key) if key in ids[0] else -1 for key in ids[1]])
    before = Trained(
        read_model(env.store.open(model, contracts.MODEL), trees[0]),
        read_label_features(env.store.open(old["label_features"], contracts.LABEL_FEATURES)),
        positives_of(trees[0], then.targets[: then.queries]),
    )
    gained = np.isin(ids[1], ["hammer-red", "curtain-red", "tools"])
    whole = refresh_ranker(data.features, data.targets, gained, origin, before, later.params, counted=data.queries)
    for mine, theirs in zip(whole.model.tree.parents, trees[1].parents, strict=True):
        assert np.array_equal(mine, theirs)
    stored = read_model(env.store.open(new["model"], contracts.MODEL), trees[1])
    for level, blocks in enumerate(stored.levels):
        assert len(blocks) == len(whole.model.levels[level])
        for mine, theirs in zip(blocks, whole.model.levels[level], strict=True):
            assert all(np.array_equal(getattr(mine, one.name), getattr(theirs, one.name)) for one in fields(ChunkBlock))
    manifest = env.store.manifest(new["model"])
    assert manifest.quality["solved"] == [int(again.sum()) for again in whole.solved]
    assert len(manifest.files) == manifest.run["shards_run"] >= 6


def test_blocks_are_those_of_the_old_model_whatever_the_settings_say(made) -> None:
    env, old, path = made
    models = [
        Later(Shop(blocks=blocks)).make(env, old, write_more(path))["model"]
        for blocks in (BlockParams(labels=30, rows=200), BlockParams(labels=1000, rows=70))
    ]
    first, second = ([entry for entry in env.store.manifest(ref).files if entry.table == "weights"] for ref in models)
    assert len(first) == 6
    assert [entry.sha256 for entry in first] == [entry.sha256 for entry in second]


def test_past_a_gate_a_retrain_is_asked_for(made) -> None:
    env, old, path = made
    new = Later(limits=DriftLimits(new_share=0.01)).make(env, old, write_more(path))
    reason = env.store.manifest(new["model"]).quality["must_retrain"]
    assert "new_share: expected at most 0.01, got 0.02041" in reason


def test_what_a_refresh_starts_from_is_read_once(made, monkeypatch: pytest.MonkeyPatch) -> None:
    env, old, path = made
    reads: Counter[str] = Counter()
    read = Store.read_table

    def counted(store: Store, entry: FileEntry, *given: Any, **named: Any) -> Any:
        reads[entry.path] += 1
        return read(store, entry, *given, **named)

    monkeypatch.setattr(Store, "read_table", counted)
    params = RefreshParams(training=Shop().training, max_leaf_size=8, label_gain=0.001, node_gain=0)
    new = Later(params=params).make(env, old, write_more(path))
    assert reads[env.store.manifest(new["model"]).files[-1].path] == 1
    for role, table in (("model", "weights"), ("label_features", "features"), ("interactions", "targets")):
        paths = [entry.path for entry in env.store.manifest(old[role]).files if entry.table == table]
        assert [reads[one] for one in paths] == [1] * len(paths) != []
    assert all(reads[entry.path] <= 1 for entry in env.store.manifest(new["features"]).files)
