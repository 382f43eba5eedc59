"""The stages from pairs to a measured completer, without Prefect."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.schemas import autocomplete as contracts
from fingerpost.schemas import corpus, xmr
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.blend import Blend
from fingerpost.tasks.autocomplete.completer import ServingParams
from fingerpost.tasks.autocomplete.contexts import Contexts, FeatureParams
from fingerpost.tasks.autocomplete.evaluation import EvaluationParams, WeakParams
from fingerpost.tasks.autocomplete.index import IndexParams
from fingerpost.tasks.autocomplete.matching import matching_key
from fingerpost.tasks.autocomplete.open import open_completer, read_featurizer
from fingerpost.tasks.autocomplete.prefixes import PrefixParams
from fingerpost.tasks.autocomplete.stages import tested_pairs
from fingerpost.tasks.autocomplete.stages.evaluation import evaluate_completer, list_weak_prefixes
from fingerpost.tasks.autocomplete.stages.features import (
    embed_suggestions,
    featurize_pairs,
    fit_vocabulary,
    list_targets,
)
from fingerpost.tasks.autocomplete.stages.followers import count_followers
from fingerpost.tasks.autocomplete.stages.index import index_suggestions
from fingerpost.tasks.autocomplete.stages.trie import build_trie
from fingerpost.tasks.corpus.open import read_features
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.label_blocks import BlockParams
from fingerpost.tasks.xmr.open import read_label_features, read_targets
from fingerpost.tasks.xmr.stages.training import train_rankers
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
from tests.unit.autocomplete.logs import log, shop, world
from tests.unit.autocomplete.test_event_stages import chain, quality

TYPED = FeatureParams(prefixes=PrefixParams(lengths=(0, 2), sampled=1))
EVALUATION = EvaluationParams(resamples=20, weak=WeakParams(pairs=1, users=2, success=1.0))
LOG = ("sessions", "suggestions", "pairs")
#: One customer asks for what no other does; it must be kept in no artifact but the log's own.
SECRET = [
    ("customer-x", f"2026-01-01 10:{minute:02d}:00", query)
    for minute, query in enumerate(("hammer", "zq secret", "nails"))
]


def featurized(env: Environment, params: FeatureParams, *, rows_per_shard: int = 4096) -> dict[str, Ref]:
    refs = chain(env, log(Path(env.store.url), [*shop(), *SECRET]))
    inputs = [refs[name] for name in LOG]
    refs["followers"] = count_followers.execute(env, *inputs)
    refs["vocabulary"] = fit_vocabulary.execute(env, *inputs, params=params)
    refs["features"] = featurize_pairs.execute(
        env, *inputs, refs["vocabulary"], params=params, rows_per_shard=rows_per_shard
    )
    refs["targets"] = list_targets.execute(env, *inputs, params=params)
    return refs


def trained(env: Environment, params: FeatureParams = FeatureParams()) -> dict[str, Ref]:
    refs = featurized(env, params)
    refs["trie"] = build_trie.execute(env, refs["suggestions"])
    labels = embed_suggestions.execute(env, refs["suggestions"], params=params, rows_per_shard=4096)
    blocks = BlockParams()
    index = IndexParams(depth=2, max_leaf_size=4)
    refs["tree"] = index_suggestions.execute(env, refs["suggestions"], labels, params=index, blocks=blocks)
    training = TrainingParams(SolverParams(threshold=0.01), negatives="tfn")
    refs["model"] = train_rankers.execute(
        env,
        refs["targets"],
        refs["features"],
        refs["tree"],
        params=training,
        rows=RowParams(label_rows=False),
        blocks=blocks,
    )
    return refs


def members(refs: dict[str, Ref]) -> list[Ref]:
    roles = ("sessions", "pairs", "suggestions", "trie", "followers", "vocabulary", "tree", "model")
    return [refs[role] for role in roles if role in refs]


def test_rows_of_features_are_those_of_targets(tmp_path: Path) -> None:
    """Each training pair with each of its prefixes, and the suggestion that it ends in."""
    env = world(tmp_path)
    refs = featurized(env, TYPED)
    rows = read_features(env.store.open(refs["features"], corpus.FEATURES))
    targets = read_targets(env.store.open(refs["targets"], xmr.INTERACTIONS))
    assert rows.shape[0] == targets.shape[0] == quality(env, refs["targets"])["training"]
    keys = env.store.open(refs["suggestions"], contracts.SUGGESTIONS).read("suggestions")["key"].to_pylist()
    queries = env.store.open(refs["sessions"], contracts.SESSIONS).read("queries")["key"].to_pylist()
    pairs = env.store.open(refs["pairs"], contracts.PAIRS).read("pairs").to_pylist()
    featurizer, at = read_featurizer(env.store, refs["vocabulary"]), 0
    for pair in pairs:
        if pair["split"] != "training" or pair["suggestion"] < 0:
            continue
        previous = [queries[row] for row in pair["previous"]]
        lengths = []
        while at < rows.shape[0] and targets.indices[at] == pair["suggestion"] and len(lengths) < 3:
            part = slice(rows.indptr[at], rows.indptr[at + 1])
            found = [
                length
                for length in range(len(keys[pair["suggestion"]]) + 1)
                if np.array_equal(
                    featurizer.row(previous, keys[pair["suggestion"]][:length])[1], rows.data[part].astype(np.float32)
                )
            ]
            if not found or (lengths and found[0] <= lengths[-1]):
                break
            lengths.append(found[0])
            at += 1
        assert {0, 2} <= set(lengths)
    assert at == rows.shape[0]


def test_the_same_features_in_shards(tmp_path: Path) -> None:
    one, other = world(tmp_path / "one"), world(tmp_path / "other")
    # A block of rows is the least shard, so the sessions are repeated until there are two.
    params = FeatureParams(prefixes=PrefixParams(lengths=tuple(range(12)), sampled=40))
    whole = featurized(one, params, rows_per_shard=10**6)
    parts = featurized(other, params, rows_per_shard=1)
    left, right = (env.store.open(refs["features"], corpus.FEATURES) for env, refs in ((one, whole), (other, parts)))
    assert len(left.entries("features")) == 1
    matrices = [read_features(artifact) for artifact in (left, right)]
    assert (matrices[0] != matrices[1]).nnz == 0
    assert left.quality == right.quality


def test_no_query_of_one_user_is_kept(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = featurized(env, TYPED)
    terms = env.store.open(refs["vocabulary"], contracts.VOCABULARY).read("terms")["term"].to_pylist()
    assert any("hammer" in term for term in terms)
    assert not any("secret" in term or "zq" in term for term in terms)
    pairs = env.store.open(refs["pairs"], contracts.PAIRS).read("pairs")
    assert pairs.num_rows > quality(env, refs["targets"])["training"] // 3
    blend = Blend(tensors_from_arrow(env.store.open(refs["followers"], contracts.FOLLOWERS).read("followers")))
    assert blend.row_of("zq secret") == -1
    assert blend.row_of("hammer") >= 0


def test_followers_are_counted_at_both_distances(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = featurized(env, FeatureParams())
    artifact = env.store.open(refs["sessions"], contracts.SESSIONS)
    steps, splits = artifact.read("steps").to_pylist(), artifact.read("sessions")["split"].to_pylist()
    keys = artifact.read("queries")["key"].to_pylist()
    sessions: dict[int, list[str]] = {}
    for step in steps:
        sessions.setdefault(step["session"], []).append(keys[step["query"]])
    training = [queries for number, queries in sessions.items() if splits[number] == "training"]
    blend = Blend(tensors_from_arrow(env.store.open(refs["followers"], contracts.FOLLOWERS).read("followers")))
    suggested = env.store.open(refs["suggestions"], contracts.SUGGESTIONS).read("suggestions")["key"].to_pylist()
    rows = np.arange(len(suggested), dtype=np.uint32)
    weights = {"hammer": 0.0}
    for distance in (1, 2):
        for row, key in enumerate(suggested):
            expected = sum(
                one == "hammer" and other == key
                for queries in training
                for one, other in zip(queries, queries[distance:], strict=False)
            )
            found = dict(
                zip(*(part.tolist() for part in blend._followers[distance - 1].of(blend.row_of("hammer"))), strict=True)
            )
            # Pairs count by their age.
            assert (found.get(row, 0) > 0) == (expected > 0)
            assert found.get(row, 0) <= expected + 1e-4
            weights["hammer"] += found.get(row, 0)
    assert weights["hammer"] > 1
    assert blend.followed(["hammer"], rows).sum() > 0


def test_suggestions_are_embedded_in_shards(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = chain(env, log(tmp_path, shop()))
    ref = embed_suggestions.execute(env, refs["suggestions"], params=FeatureParams(), rows_per_shard=1)
    rows = read_label_features(env.store.open(ref, xmr.LABEL_FEATURES))
    assert rows.shape == (8, quality(env, ref)["columns"])
    assert np.sqrt(rows.power(2).sum(axis=1)) == pytest.approx(np.ones(8), abs=1e-5)


def test_a_completer_is_measured_beside_its_baselines(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = trained(env)
    ref = evaluate_completer.execute(env, *members(refs), params=EVALUATION, serving=ServingParams())
    table = env.store.open(ref, contracts.EVALUATION).read("figures").to_pylist()
    figures = {(row["method"], row["setting"], row["metric"]): row["value"] for row in table}
    found = quality(env, ref)
    assert found["tested"] == quality(env, refs["pairs"])["test"] == figures["completer", "prefix 2", "pairs"]
    assert found["mrr"] == pytest.approx(figures["completer", "all", "mrr"], abs=1e-6)
    mean = np.mean([figures["completer", f"prefix {n}", "mrr"] for n in (1, 2, 3)])
    assert found["mrr"] == pytest.approx(mean, abs=1e-6)
    # Who looks for a hammer looks for nails next: only popularity cannot know it.
    assert figures["completer", "prefix 0", "mrr"] > 2 * figures["popularity", "prefix 0", "mrr"] > 0
    assert figures["bigram", "prefix 0", "mrr"] > figures["popularity", "prefix 0", "mrr"]
    # By hand, for the completer.
    completer = open_completer(env.store, refs, ServingParams())
    artifact = env.store.open(refs["sessions"], contracts.SESSIONS)
    queries = artifact.read("queries").to_pylist()
    by_hand = []
    for pair in env.store.open(refs["pairs"], contracts.PAIRS).read("pairs").to_pylist():
        if pair["split"] == "test":
            previous = [queries[row]["query"] for row in reversed(pair["previous"])]
            answers = completer.complete(previous, queries[pair["next"]]["key"][:1], typos=False)
            texts = [answer.query for answer in answers]
            wanted = queries[pair["next"]]["query"]
            by_hand.append(1 / (texts.index(wanted) + 1) if wanted in texts else 0.0)
    assert figures["completer", "prefix 1", "mrr"] == pytest.approx(np.mean(by_hand))


def test_a_completer_without_a_ranker_is_measured(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = {name: ref for name, ref in trained(env).items() if name not in ("vocabulary", "tree", "model")}
    ref = evaluate_completer.execute(env, *members(refs), params=EVALUATION, serving=ServingParams())
    assert quality(env, ref)["mrr"] > quality(env, ref)["popularity_mrr"]  # type: ignore[operator]


def test_few_pairs_are_taken_evenly(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = trained(env)
    params = EvaluationParams(pairs=3, resamples=0)
    ref = evaluate_completer.execute(env, *members(refs), params=params, serving=ServingParams())
    assert quality(env, ref)["tested"] == 3


def test_weak_prefixes_are_of_queries_that_several_asked(tmp_path: Path) -> None:
    env = world(tmp_path)
    refs = trained(env)
    ref = list_weak_prefixes.execute(env, *members(refs), params=EVALUATION, serving=ServingParams())
    rows = env.store.open(ref, contracts.WEAK_PREFIXES).read("prefixes").to_pylist()
    nexts = _tested_keys(env, refs)
    assert {row["prefix"] for row in rows} == {key[:n] for key, users in nexts for n in (1, 2, 3) if users >= 2}
    for row in rows:
        mine = [key for key, users in nexts if users >= 2 and key[: len(row["prefix"])] == row["prefix"]]
        assert row["pairs"] == len(mine)
        assert 0 <= row["success_at_10"] <= 1
    misses = [row["pairs"] * (1 - row["success_at_10"]) for row in rows]
    assert misses == sorted(misses, reverse=True)
    strict = EvaluationParams(weak=WeakParams(pairs=10**6))
    none = list_weak_prefixes.execute(env, *members(refs), params=strict, serving=ServingParams())
    assert env.store.open(none, contracts.WEAK_PREFIXES).read("prefixes").num_rows == 0


def test_no_beginning_of_personal_data_is_shown() -> None:
    texts = ["hammer", "555 123-4567", "Anna@Example.org"]
    nobody = np.zeros(3, np.int64)
    tested = tested_pairs.TestedPairs(
        [("nails",)] * 3,
        ["nails"] * 3,
        list(map(matching_key, texts)),
        texts,
        nobody - 1,
        nobody + 9,
        nobody,
        nobody > 0,
    )
    assert tested.shown(9) == [True, False, False]
    assert tested.shown(10) == [False] * 3


def _tested_keys(env: Environment, refs: dict[str, Ref]) -> list[tuple[str, int]]:
    queries = env.store.open(refs["sessions"], contracts.SESSIONS).read("queries").to_pylist()
    pairs = env.store.open(refs["pairs"], contracts.PAIRS).read("pairs").to_pylist()
    return [(queries[pair["next"]]["key"], queries[pair["next"]]["users"]) for pair in pairs if pair["split"] == "test"]


def test_contexts_of_some_rows() -> None:
    contexts = Contexts(["a", "b", "c"], np.array([0, 2, 3, 3]), np.array([2, 0, 1]))
    part = contexts.rows(np.array([2, 0, 0]))
    assert [[part.keys[q] for q in part.previous[a:b]] for a, b in zip(part.indptr, part.indptr[1:], strict=False)] == [
        [], ["c", "a"], ["c", "a"],
    ]  # fmt: skip


def test_no_rows_have_no_contexts() -> None:
    from fingerpost.tasks.autocomplete.stages.pair_tables import PairTable

    empty = pa.table({"previous": pa.array([], pa.list_(pa.uint32()))})
    start, previous = PairTable(empty, np.empty(0, np.int64)).previous
    assert start.tolist() == [0]
    assert len(previous) == 0
