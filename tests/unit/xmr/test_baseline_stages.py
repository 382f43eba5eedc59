"""The stages of the baselines and their comparison, over the small shop."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.bm25 import Bm25Params
from fingerpost.tasks.corpus.svd import SvdParams
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.xmr.baselines import DenseParams
from fingerpost.tasks.xmr.evaluation import JudgeParams
from fingerpost.tasks.xmr.stages import baselines
from fingerpost.tasks.xmr.stages import interactions as interactions_stages
from fingerpost.tasks.xmr.towers import TowerParams
from tests.unit.xmr.shop import Shop, write_shop
from tests.worlds import DAY

pytest.importorskip("torch")

TOWERS = TowerParams(dimensions=16, batch=64, epochs=5)


def world(folder: Path) -> Environment:
    return Environment(Store(str(folder / "store")).prepare(), "shop", DAY, SerialExecutor())


def compared(env: Environment, made: dict[str, Ref], towers: bool = True) -> dict[str, Ref]:
    """The baselines' artifacts and the comparison."""
    shop, refs = Shop(), {}
    refs["dense"] = baselines.fit_dense_labels.execute(
        env, made["interactions"], made["features"], params=SvdParams(rank=32), rows=shop.rows
    )
    network = []
    if towers:
        refs["towers"] = baselines.train_towers.execute(
            env, made["interactions"], label_words=100, params=TOWERS, rows=shop.rows
        )
        network = [refs["towers"]]
    refs["comparison"] = baselines.compare_rankers.execute(
        env,
        made["interactions"],
        made["ranker"],
        refs["dense"],
        *network,
        label_words=100,
        bm25=Bm25Params(),
        dense=DenseParams(exact=True),
        params=JudgeParams(k=20, timed=20, warm_up=2),
    )
    return refs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, dict[str, Ref], dict[str, Ref]]:
    folder = tmp_path_factory.mktemp("compared")
    env = world(folder)
    refs = Shop().make(env, write_shop(folder))
    return env, refs, compared(env, refs)


def figures(env: Environment, ref: Ref, contract: Any) -> dict[tuple[str, str, str], float]:
    rows = env.store.open(ref, contract).read("figures").to_pylist()
    return {(row["method"], row["setting"], row["metric"]): row["value"] for row in rows}


def test_the_ranker_is_compared_as_it_was_evaluated(made: tuple[Environment, dict[str, Ref], dict[str, Ref]]) -> None:
    env, refs, others = made
    own = figures(env, refs["evaluation"], contracts.EVALUATION)
    beside = figures(env, others["comparison"], contracts.COMPARISON)
    assert {key: beside[key] for key in own} == own
    methods = {method for method, _, _ in beside}
    assert methods == {"ranker", "frequent", "bm25", "dense_of_text", "dense_of_rows", "two_tower"}
    recalls = {method: beside[method, "all", "recall_at_10"] for method in methods}
    assert recalls["ranker"] > 0.9
    assert recalls["bm25"] > 0.8
    assert recalls["two_tower"] > 3 * recalls["frequent"]
    assert recalls["dense_of_rows"] > 3 * recalls["frequent"]


def test_what_a_clock_said_is_kept_apart(made: tuple[Environment, dict[str, Ref], dict[str, Ref]]) -> None:
    env, refs, others = made
    manifest = env.store.manifest(others["comparison"])
    measured = manifest.run["measured"]
    assert set(measured["two_tower"]) == {"p50_ms", "p95_ms", "p99_ms", "seconds", "bytes"}
    assert measured["ranker"]["bytes"] == env.store.manifest(refs["model"]).quality["bytes"]
    parts = [env.store.manifest(refs[name]).run["seconds"] for name in ("label_features", "tree", "model")]
    assert measured["ranker"]["seconds"] == pytest.approx(sum(parts), abs=2e-3)
    assert not any("ms" in name or "seconds" in name for name in manifest.quality)
    quality = env.store.manifest(others["dense"]).quality
    assert (quality["labels"], quality["named"]) == (96, 96)


def test_a_network_cut_off_goes_on_where_it_was(
    made: tuple[Environment, dict[str, Ref], dict[str, Ref]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, _, others = made
    whole = tensors_from_arrow(env.store.open(others["towers"], contracts.TOWERS).read("towers"))
    again = world(tmp_path)
    file = write_shop(tmp_path)
    source = InteractionFile(str(file), str(file.parent / "labels.csv"))
    taken = interactions_stages.import_interactions.execute(again, source, params=Shop().interactions)
    monkeypatch.setattr(baselines, "CHECKPOINT_SECONDS", 0.0)
    real = baselines.tensors_to_bytes
    saved: list[Any] = []

    def cut(state: Any) -> bytes:
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(int(state["progress"][0]))
        return real(state)

    monkeypatch.setattr(baselines, "tensors_to_bytes", cut)
    with pytest.raises(KeyboardInterrupt):
        baselines.train_towers.execute(again, taken, label_words=100, params=TOWERS, rows=Shop().rows)
    assert saved == [1, 2]
    monkeypatch.setattr(
        baselines, "tensors_to_bytes", lambda state: saved.append(int(state["progress"][0])) or real(state)
    )
    ref = baselines.train_towers.execute(again, taken, label_words=100, params=TOWERS, rows=Shop().rows)
    assert saved[2] == 3
    found = tensors_from_arrow(again.store.open(ref, contracts.TOWERS).read("towers"))
    for name, array in whole.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_the_network_is_left_out_or_refused_without_torch(
    made: tuple[Environment, dict[str, Ref], dict[str, Ref]], monkeypatch: pytest.MonkeyPatch
) -> None:
    env, refs, others = made
    without = compared(env, refs, towers=False)
    assert ("two_tower", "all", "recall_at_10") not in figures(env, without["comparison"], contracts.COMPARISON)
    assert without["dense"] == others["dense"]
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fingerpost.tasks.xmr.tower_net", raising=False)
    with pytest.raises(
        FingerpostError, match="two-tower network: expected torch, found none; install the extra neural"
    ):
        baselines.train_towers.execute(
            env, refs["interactions"], label_words=100, params=replace(TOWERS, seed=3), rows=Shop().rows
        )
