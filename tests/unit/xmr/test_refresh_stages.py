"""The stages of sweep and refresh, over the small shop with more interactions a day later."""

from pathlib import Path

import numpy as np
import pytest

from schemas import xmr as contracts
from schemas.inputs.interactions import InteractionFile
from schemas.refs import Ref
from schemas.store import Store
from tasks.corpus import stages as corpus
from tasks.environment import Environment
from tasks.shards import SerialExecutor
from tasks.xmr import ranking_stages, refresh_stages
from tasks.xmr import stages as xmr
from tasks.xmr.drift import DriftLimits
from tasks.xmr.open import open_ranker, read_model, read_tree
from tasks.xmr.refresh import RefreshParams
from tasks.xmr.sweep import SweepParams
from tests.unit.xmr.shop import Shop, write_shop
from tests.worlds import DAY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, dict[str, Ref], Path]:
    folder = tmp_path_factory.mktemp("refreshed")
    env = Environment(Store(str(folder / "store")).prepare(), "shop", DAY, SerialExecutor())
    path = write_shop(folder)
    return env, Shop().make(env, path), path


def refreshed(env: Environment, old: dict[str, Ref], path: Path, limits: DriftLimits) -> dict[str, Ref]:
    """The refreshed tree and model of the shop with two new labels and some new queries."""
    shop, new = Shop(), {}
    lines = path.read_text().splitlines()
    more = [f"velvet curtain {row},curtain-red,1" for row in range(12)] + [
        f"oak table {row},table,1" for row in range(12)
    ]
    more += [f"hammer red again {row},hammer-red,1" for row in range(9)]
    (path.parent / "more.csv").write_text("\n".join([*lines, *more]) + "\n")
    source = InteractionFile(str(path.parent / "more.csv"), str(path.parent / "labels.csv"))
    new["interactions"] = taken = xmr.import_interactions.execute(env, source, params=shop.interactions)
    for role, held in (("features", False), ("held_features", True)):
        queries = xmr.list_queries.execute(env, taken, held_out=held, label_words=0 if held else 50, rows_per_shard=300)
        counted = corpus.count_ngrams.execute(env, queries, params=shop.ngrams)
        new[role] = corpus.weigh_terms.execute(env, counted, old["vocabulary"], params=shop.tfidf)
    params = RefreshParams(max_leaf_size=8, label_gain=0, node_gain=0)
    new["tree"] = refresh_stages.refresh_tree.execute(
        env,
        taken,
        new["features"],
        old["interactions"],
        old["label_features"],
        old["tree"],
        params=params,
        rows=shop.rows,
    )
    new["model"] = refresh_stages.refresh_rankers.execute(
        env, taken, new["features"], new["held_features"], new["tree"], old["interactions"], old["features"],
        old["label_features"], old["tree"], old["model"], params=params, rows=shop.rows, limits=limits,
    )  # fmt: skip
    return new


def test_a_refresh_solves_what_is_new_and_says_how_far_it_went(made) -> None:
    env, old, path = made
    new = refreshed(env, old, path, DriftLimits(new_share=0.5, solved_share=0.9, centroid_mean=0.5))
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
    assert set(names[1]) - set(names[0]) == {"curtain-red", "table"}


def test_past_a_gate_a_retrain_is_asked_for(made) -> None:
    env, old, path = made
    new = refreshed(env, old, path, DriftLimits(new_share=0.01))
    reason = env.store.manifest(new["model"]).quality["must_retrain"]
    assert "new_share: expected at most 0.01, got 0.02041" in reason


def test_the_sweep_states_what_recall_costs(made) -> None:
    env, old, _ = made
    arguments = (env, old["interactions"], old["held_features"], old["tree"], old["model"])
    params = SweepParams(thresholds=(0.1, 0.4, 0.8), beams=(1, 10), megabytes=0.001, timed=5)
    ref = ranking_stages.sweep_ranker.execute(*arguments, params=params, beam=Shop().beam)
    rows = env.store.open(ref, contracts.SWEEP).read("figures").to_pylist()
    sizes = [row["value"] for row in rows if row["metric"] == "bytes"]
    assert len(sizes) == 6
    assert sizes == sorted(sizes, reverse=True)
    manifest = env.store.manifest(ref)
    assert manifest.quality["points"] == 6
    assert manifest.quality["chosen"] is None  # nothing is that small
    assert all(point["latency_ms"] > 0 for point in manifest.run["measured"]["points"])
    params = SweepParams(thresholds=(0.1, 0.8), beams=(1, 10), least_recall=0.5, timed=0)
    ref = ranking_stages.sweep_ranker.execute(*arguments, params=params, beam=Shop().beam)
    chosen = env.store.manifest(ref).quality["chosen"]
    assert chosen["recall"] >= 0.5
    assert np.isin(chosen["threshold"], (0.1, 0.8))
