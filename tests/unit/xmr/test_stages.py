"""The ranker's stages without Prefect: what they make, wherever their shards run, and what the opened ranker answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.run.executor import DaskExecutor
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import FingerpostError, QuarantineLimitError
from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.shards import Executor, SerialExecutor
from fingerpost.tasks.stage_run import StageRun
from fingerpost.tasks.xmr.calibration import IsotonicCalibrator
from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.interactions import InteractionParams, RowParams, label_text, level_problem, splits_of
from fingerpost.tasks.xmr.label_blocks import BlockParams, parent_blocks
from fingerpost.tasks.xmr.label_features import EmbeddingParams, embed_labels
from fingerpost.tasks.xmr.memory import MemoryEstimate, memory_need
from fingerpost.tasks.xmr.open import LiveRanker, live, read_label_features, read_model, read_training, read_tree
from fingerpost.tasks.xmr.ranking import NONE, Ranker
from fingerpost.tasks.xmr.stages import interactions as interactions_stages
from fingerpost.tasks.xmr.stages import memory_budget
from fingerpost.tasks.xmr.stages import training as training_stages
from fingerpost.tasks.xmr.stages import trees as trees_stages
from fingerpost.tasks.xmr.training import TrainingParams
from tests.support.rankers import train_ranker
from tests.unit.xmr.shop import Shop, write_shop
from tests.worlds import DAY, identities


def world(folder: Path, executor: Executor | None = None) -> Environment:
    return Environment(Store(str(folder / "store")).prepare(), "shop", DAY, executor or SerialExecutor())


@pytest.fixture(scope="module")
def interactions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def made(interactions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, dict[str, Ref]]:
    """What this process alone makes."""
    env = world(tmp_path_factory.mktemp("serial"))
    refs = Shop().make(env, interactions)
    Pointer(env.store, "shop", contracts.RANKER.name).promote(refs["ranker"], gates=[Gate("made", 1, 1)])
    return env, refs


@pytest.fixture(scope="module")
def serial(made: tuple[Environment, dict[str, Ref]]) -> dict[str, str]:
    return {key: value for key, value in identities(made[0].store).items() if not key.startswith("live ")}


def test_what_is_made_of_shards_is_what_one_process_makes_in_one_piece(
    made: tuple[Environment, dict[str, Ref]],
) -> None:
    env, refs = made
    data = read_training(env.store, refs["interactions"], refs["features"], RowParams())
    chosen = data.targets.copy()
    tree = cluster_labels(embed_labels(data.features, data.targets), Shop().clusters)
    whole = train_ranker(data.features, chosen, tree, Shop().training).model

    stored_tree = read_tree(env.store.open(refs["tree"], contracts.TREE))
    assert all((ours == theirs).all() for ours, theirs in zip(stored_tree.parents, tree.parents, strict=True))
    assert tree.depth == 3
    stored = read_model(env.store.open(refs["model"], contracts.MODEL), stored_tree)
    assert [len(blocks) for blocks in stored.levels] == [1, 1, 4]
    for level in range(tree.depth):
        assert abs(stored.weights(level) - whole.weights(level)).max() == 0
        assert (stored.bias(level) == whole.bias(level)).all()


def test_the_parents_of_a_level_are_cut_by_their_children() -> None:
    tree = cluster_labels(embed_labels_of(40), ClusterParams(max_leaf_size=5, branching=4, flat_labels=0))
    assert parent_blocks(tree, tree.depth - 1, BlockParams(labels=12)) == [(0, 3), (3, 6), (6, 8)]
    assert parent_blocks(tree, 0, BlockParams(labels=1)) == [(0, 1)]


def embed_labels_of(count: int) -> Any:
    from scipy import sparse

    return sparse.csr_array(np.eye(count, dtype=np.float32))


def test_a_text_is_answered_as_in_the_evaluation(made: tuple[Environment, dict[str, Ref]], tmp_path: Path) -> None:
    env, refs = made
    queries = env.store.open(refs["interactions"], contracts.INTERACTIONS).read("queries")
    predictions = env.store.open(refs["predictions"], contracts.PREDICTIONS).read("ranking")
    ranker = live("shop", store=env.store.url)
    keys = ranker.labels[0]
    for row in predictions.slice(0, 30).to_pylist():
        answers = ranker.rank(queries["text"][row["query"]].as_py(), k=20)
        assert [answer.id for answer in answers] == [keys[label] for label in row["labels"] if label != NONE]
        assert [answer.score for answer in answers] == [
            s for s, i in zip(row["scores"], row["labels"], strict=True) if i != NONE
        ]
    best = ranker.rank("a large  red\n\nhammer", k=1)[0]
    assert (best.id, best.name) == ("hammer-red", "red hammer")
    assert best.probability is not None
    assert best.probability > 0.8
    assert ranker.rank("qqq") == []
    mapped = live("shop", store=env.store.url, mapped=tmp_path / "mapped").load()
    assert mapped.rank("large red hammer") == ranker.rank("large red hammer")
    verified = LiveRanker(env.store, refs["ranker"], verified=True)
    texts = queries["text"].slice(0, 50).to_pylist()
    assert verified.rank_many(texts, 5) == ranker.rank_many(texts, 5), "read and verified, or where its files lie"
    assert type(verified.features) is not type(ranker.features)
    again = live("shop", store=env.store.url, mapped=tmp_path / "mapped")
    assert again.rank_many(["green sofa", "black coat"], 3) == ranker.rank_many(["green sofa", "black coat"], 3)
    arrays = list((tmp_path / "mapped").glob("*/values"))
    assert len(arrays) == 6
    assert all(file.stat().st_size > 0 for file in arrays)


def test_held_out_queries_leave_no_trace_in_what_is_trained(made: tuple[Environment, dict[str, Ref]]) -> None:
    env, refs = made
    queries = env.store.open(refs["interactions"], contracts.INTERACTIONS).read("queries")
    parts = queries["split"].to_pylist()
    quality = env.store.manifest(refs["interactions"]).quality
    assert {part: parts.count(part) for part in set(parts)} == {
        part: quality[part] for part in ("training", "calibration", "test")
    }
    listed = env.store.open(refs["queries"], contracts.QUERIES).read("queries")["id"].to_pylist()
    held = {f"query {key}" for key, part in zip(queries["id"].to_pylist(), parts, strict=True) if part != "training"}
    assert held
    assert not held & set(listed)
    assert sum(key.startswith("label ") for key in listed) == 96


def test_a_query_keeps_its_part_among_other_queries() -> None:
    params = InteractionParams(test_share=0.3, calibration_share=0.2)
    keys = [f"query {number}" for number in range(500)]
    parts = splits_of(keys, params)
    assert splits_of(keys[100:200], params) == parts[100:200]
    assert 110 < parts.count("test") < 190
    assert 60 < parts.count("calibration") < 140
    assert splits_of(keys, replace(params, seed=1)) != parts


def test_labels_say_what_they_are() -> None:
    assert label_text("B01", "B01", " ") == ""
    assert label_text("B01", "", "") == ""
    assert label_text("ast.NodeVisitor", "ast.NodeVisitor", "") == "ast.NodeVisitor Node Visitor"
    assert label_text("B01", "read_csv", "Reads\n\nfiles") == "read_csv read csv Reads files"
    assert label_text("B01", "B01", "Reads") == "B01 Reads"


def test_weights_of_interactions_can_be_costs(
    made: tuple[Environment, dict[str, Ref]], interactions: Path, tmp_path: Path
) -> None:
    env, refs = made
    weighted = RowParams(label_rows=False, weighted=True)
    data = read_training(env.store, refs["interactions"], refs["features"], weighted)
    assert data.features.shape[0] == data.queries == 599
    tree = read_tree(env.store.open(refs["tree"], contracts.TREE))
    last = level_problem(data, tree, 2, TrainingParams(negatives="tfn"), weighted, predicted=None)
    assert last.targets.max() == 1
    assert (
        level_problem(data, tree, 1, TrainingParams(negatives="tfn"), weighted, predicted=None).targets.data == 1
    ).all()


class Stopping(SerialExecutor):
    """Stops after some shards, as if the process had been killed."""

    def __init__(self, after: int) -> None:
        self.left = after

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for position, found in super().map(function, items):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield position, found


@pytest.mark.parametrize("after", [9, 17, 22])
def test_a_run_that_was_stopped_goes_on_where_it_was(
    interactions: Path, serial: dict[str, str], tmp_path: Path, after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Shop().make(world(tmp_path, Stopping(after)), interactions)
    env = world(tmp_path)
    Shop().make(env, interactions)
    assert identities(env.store) == serial
    resumed = sum(int(env.store.manifest(Ref.parse(r.ref)).run["shards_resumed"]) for r in env.records if r.computed)
    assert resumed > 0


@pytest.fixture(scope="module")
def pair(forked_workers: None) -> Iterator[DaskExecutor]:
    executor = DaskExecutor(2)
    yield executor
    executor.close()


def test_an_input_with_too_many_bad_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("query,label\nred hammer,a\n,b\n,c\n")
    with pytest.raises(
        QuarantineLimitError, match=r"at most 5.0% bad rows.*found 2 bad.* 1 good.*2 no query.*quarantine_share"
    ):
        interactions_stages.import_interactions.execute(
            world(tmp_path), InteractionFile(str(tmp_path / "bad.csv")), params=InteractionParams()
        )


def test_less_memory_makes_smaller_blocks_of_the_same_weights(
    made: tuple[Environment, dict[str, Ref]], monkeypatch: pytest.MonkeyPatch
) -> None:
    env, refs = made
    asked = {"interactions": refs["interactions"], "features": refs["features"]}

    def made_within(megabytes: int) -> tuple[Ref, Ref]:
        blocks = BlockParams(labels=96, rows=200, memory_mb=megabytes)
        features = trees_stages.embed_labels.execute(
            env, *asked.values(), params=EmbeddingParams(), rows=RowParams(), blocks=blocks
        )
        model = training_stages.train_rankers.execute(
            env, *asked.values(), refs["tree"], params=Shop().training, rows=RowParams(), blocks=blocks
        )
        return features, model

    def stated(step: str) -> Callable[..., MemoryEstimate]:
        return lambda *_, block, **__: MemoryEstimate(step, {"labels": block * 2**20}, block, 10**6, 10**6)

    monkeypatch.setattr(trees_stages, "embedding_need", stated("label features"))
    monkeypatch.setattr(training_stages, "memory_need", stated("training"))
    roomy, tight = made_within(1000), made_within(30)
    tree = read_tree(env.store.open(refs["tree"], contracts.TREE))
    models = [read_model(env.store.open(model, contracts.MODEL), tree) for _, model in (roomy, tight)]
    assert [len(model.levels[-1]) for model in models] == [1, 4]
    assert [env.store.manifest(ref).quality["memory"]["block_labels"] for ref in (*roomy, *tight)] == [96, 96, 24, 24]
    for level in range(tree.depth):
        assert (models[0].weights(level) != models[1].weights(level)).nnz == 0
    features = [read_label_features(env.store.open(ref, contracts.LABEL_FEATURES)) for ref, _ in (roomy, tight)]
    assert (features[0] != features[1]).nnz == 0
    assert len(env.store.open(tight[0], contracts.LABEL_FEATURES).entries("features")) == 4
    with pytest.raises(
        FingerpostError,
        match=(
            r"memory: expected a need of at most 5\.0 MiB, got \d+\.\d MiB for training with .*; raise"
            r" xmr\.blocks\.memory_mb"
        ),
    ):
        training_stages.train_rankers.execute(
            env, *asked.values(), refs["tree"], params=Shop().training, rows=RowParams(), blocks=BlockParams(96, 200, 5)
        )
    monkeypatch.setattr(memory_budget, "available_memory", lambda: 20 * 2**20)
    with pytest.raises(FingerpostError, match=r"at most 20\.0 MiB, got .*; set xmr\.blocks\.memory_mb"):
        made_within(0)
    with pytest.raises(FingerpostError, match=r"at most 20\.0 MiB"):
        made_within(31)


def test_what_is_needed_is_stated_and_logged(
    made: tuple[Environment, dict[str, Ref]], caplog: pytest.LogCaptureFixture
) -> None:
    env, refs = made
    shape, available = memory_budget.problem_of(
        StageRun(env, contracts.MODEL, refs["model"], replace=False),
        refs["interactions"],
        refs["features"],
        RowParams(),
        refs["tree"],
    )
    assert available > 2**20
    read = 2 * sum(
        entry.bytes for role in ("interactions", "features") for entry in env.store.manifest(refs[role]).files
    )
    found = memory_need(shape, Shop().training, block=30).total + read
    assert env.store.manifest(refs["model"]).quality["memory"] == {
        "stated_mb": round(found / 2**20, 1),
        "block_labels": 30,
    }
    assert {"label_features", "tree"} <= {role for role in refs if "memory" in env.store.manifest(refs[role]).quality}
    with caplog.at_level("INFO", logger="fingerpost.run"):
        trees_stages.cluster_labels.execute(env, refs["label_features"], params=Shop().clusters, blocks=BlockParams(31))
    assert "xmr.tree: 8." in caplog.text
    assert "for the label tree with blocks of 96 labels" in caplog.text


def test_negatives_of_users_need_a_file(made: tuple[Environment, dict[str, Ref]]) -> None:
    env, refs = made
    with pytest.raises(
        FingerpostError, match=r"got user without a file of them; choose one, or name the file in xmr\.negatives"
    ):
        training_stages.train_rankers.execute(
            env,
            refs["interactions"],
            refs["features"],
            refs["tree"],
            params=TrainingParams(negatives="user"),
            rows=RowParams(),
            blocks=BlockParams(),
        )


def with_negatives(folder: Path) -> InteractionFile:
    """The shop's interactions, and for each of the first queries two labels of its colour that were not wanted."""
    lines = (write_shop(folder).read_text().splitlines())[1:300]
    labels = [line.split(",")[0] for line in (folder / "labels.csv").read_text().splitlines()[1:]]
    pairs = []
    for place, line in enumerate(lines):
        query, label, _ = line.split(",")
        alike = [other for other in labels if other != label and other.split("-")[1] == label.split("-")[1]]
        pairs += [f"{query},{alike[place % 11]}", f"{query},{alike[(place + 4) % 11]}"]
    (folder / "negatives.csv").write_text(
        "\n".join(["query,label", *pairs, "nobody asked this,hammer-red", "soup,"]) + "\n"
    )
    return InteractionFile(
        str(folder / "interactions.csv"), str(folder / "labels.csv"), negatives_path=str(folder / "negatives.csv")
    )


def test_what_users_did_not_want_is_what_rankers_are_told_apart_from(pair: DaskExecutor, tmp_path: Path) -> None:
    shop = replace(Shop(), training=TrainingParams(negatives="user"), source=with_negatives(tmp_path))
    env = world(tmp_path)
    refs = shop.make(env, tmp_path / "interactions.csv")
    quality = env.store.manifest(refs["interactions"]).quality
    assert quality["quarantined"] == 2
    data = read_training(env.store, refs["interactions"], refs["features"], RowParams())
    assert data.negatives is not None
    assert data.negatives.shape == data.targets.shape
    assert 0 < data.negatives.nnz < quality["negatives"]  # those of held-out queries are not trained on
    tree = read_tree(env.store.open(refs["tree"], contracts.TREE))
    above = tree.targets(data.negatives)
    given = {level: above[level - 1] for level in range(1, tree.depth)}
    whole = train_ranker(data.features, data.targets.copy(), tree, shop.training, given=given).model
    other = train_ranker(data.features, data.targets.copy(), tree, TrainingParams(negatives="tfn")).model
    stored = read_model(env.store.open(refs["model"], contracts.MODEL), tree)
    for level in range(tree.depth):
        assert abs(stored.weights(level) - whole.weights(level)).max() == 0
    assert abs(stored.weights(2) - other.weights(2)).max() > 0.1

    before = env.store.manifest(refs["model"]).digest
    two = replace(env, executor=pair, forced=frozenset({"train_rankers"}), records=[])
    again = training_stages.train_rankers.execute(
        two,
        refs["interactions"],
        refs["features"],
        refs["tree"],
        params=shop.training,
        rows=shop.rows,
        blocks=shop.blocks,
    )
    assert two.records[-1].computed
    assert env.store.manifest(again).digest == before


@pytest.mark.parametrize("method", ["pifa_concatenated", "pifa_blended", "pii"])
def test_every_label_representation_makes_a_tree(
    made: tuple[Environment, dict[str, Ref]], method: Any, tmp_path: Path
) -> None:
    env, refs = made
    features = trees_stages.embed_labels.execute(
        env,
        refs["interactions"],
        refs["features"],
        params=EmbeddingParams(method),
        rows=RowParams(),
        blocks=BlockParams(40),
    )
    tree = trees_stages.cluster_labels.execute(env, features, params=Shop().clusters, blocks=BlockParams(40))
    assert env.store.manifest(tree).quality["widths"] == [4, 16, 96]


def test_an_opened_release_names_its_parts(made: tuple[Environment, dict[str, Ref]]) -> None:
    env, refs = made
    ranker = LiveRanker(env.store, refs["ranker"])
    assert {field.name for field in fields(IsotonicCalibrator)} == {"knots", "levels"}
    assert isinstance(ranker.ranker, Ranker)
    assert ranker.members == {role: ref for role, ref in refs.items() if role != "ranker"}


@pytest.mark.parametrize(("held", "labels"), [(0.0, 3), (0.9, 3), (0.3, 1)])
def test_a_ranker_of_few_labels_or_without_held_out_queries_answers(tmp_path: Path, held: float, labels: int) -> None:
    lines = ["query,label"] + [f"cheap thing {row} of kind{row % labels},kind-{row % labels}" for row in range(30)]
    (tmp_path / "few.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "labels.csv").write_text("id,name\nnever-chosen,something else\n")
    env = world(tmp_path)
    shop = replace(
        Shop(),
        clusters=ClusterParams(),
        blocks=BlockParams(),
        interactions=InteractionParams(test_share=held, calibration_share=0.0),
    )
    refs = shop.make(env, tmp_path / "few.csv")
    ranker = LiveRanker(env.store, refs["ranker"])
    answers = ranker.rank("a thing of kind0", k=10)
    assert len(answers) == labels + 1
    assert held == 0.9 or answers[0].id == "kind-0"
    assert all(answer.probability is None for answer in answers)
    quality = env.store.manifest(refs["ranker"]).quality
    assert quality["tested"] == sum(
        part == "test" for part in splits_of([line.split(",")[0] for line in lines[1:]], shop.interactions)
    )
