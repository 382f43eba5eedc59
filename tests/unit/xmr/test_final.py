"""A ranker is measured on queries that it has not seen, then trained on all of them, fully or refreshed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.xmr.gates import ranker_gates, unmeasured
from fingerpost.flows.domains.xmr.settings import RankerGates
from fingerpost.flows.report.page import render
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import Run
from fingerpost.flows.train_ranker import train_ranker
from fingerpost.schemas import corpus
from fingerpost.schemas import xmr as contracts
from fingerpost.schemas.errors import GateError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.corpus.open import read_features
from fingerpost.tasks.shards import SerialExecutor
from fingerpost.tasks.xmr.interactions import RowParams
from fingerpost.tasks.xmr.open import (
    PRODUCT,
    LiveRanker,
    member_roles,
    read_model,
    read_targets,
    read_training,
    read_tree,
    served_roles,
)
from tests.support.report_pages import Page
from tests.support.whole_runs import whole_run
from tests.unit.xmr import whole

#: Few shards, each of them all.
FINAL = {
    "xmr.interactions.final": "all",
    "xmr.baselines.network": False,
    "xmr.blocks.labels": 1000,
    "xmr.blocks.rows": 4096,
    "corpus.imports.rows_per_shard": 4096,
}
#: Of a full training: only these stages run once more.
AGAIN = ["include_held_out", "join_features", "train_rankers", "prune_rankers", "train_rankers", "prune_rankers"]


class Days:
    """A store in which a ranker was trained on the first day and refreshed on the second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.paths = folder, whole.write_days(folder)
        self.store = Store(str(folder / "store"))
        self.runs = {day: self.run(day) for day in whole.DAYS}

    def request(self, day: str, **settings: Any) -> RunRequest:
        asked = whole.request_for(self.store.url, self.paths[day], day)
        return asked.model_copy(update={"settings": asked.settings | FINAL | settings})

    @contextmanager
    def running(self, day: str, **settings: Any) -> Iterator[Run]:
        with unchanging_code(), whole_run("train_ranker", self.request(day, **settings), SerialExecutor()) as run:
            yield run

    def run(self, day: str, **settings: Any) -> dict[str, Any]:
        """The record of a run."""
        with self.running(day, **settings) as run:
            try:
                train_ranker.fn(run.request)
                return run.record(state="completed")
            except GateError as problem:
                return run.record(state="failed", error=str(problem))

    def members(self, day: str) -> Mapping[str, Ref]:
        return read_members(self.store, Ref.parse(self.runs[day]["refs"]["ranker"]))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(tmp_path_factory.mktemp("days"))


@pytest.mark.parametrize("day", whole.DAYS)
def test_what_answers_is_trained_on_all_queries_and_what_is_measured_on_a_part(days: Days, day: str) -> None:
    store, members = days.store, days.members(day)
    imported = store.manifest(members["interactions"]).quality
    held = imported["calibration"] + imported["test"]
    assert held > 50
    assert store.manifest(members["final_interactions"]).quality["training"] == imported["queries"]
    quality = store.manifest(Ref.parse(days.runs[day]["refs"]["ranker"])).quality
    assert (quality["trained"], quality["tested"]) == (imported["queries"], imported["test"])
    assert served_roles(members) == [("tree", "final_pruned"), ("tree_1", "final_pruned_1")]
    assert member_roles(members) == [("tree", "pruned"), ("tree_1", "pruned_1")]
    for role in ("model", "model_1"):
        rows = [store.manifest(members[name]).quality["rows"] for name in (role, f"final_{role}")]
        assert rows[1] - rows[0] == held
    assert quality["weights"] == sum(
        store.manifest(members[role]).quality["weights"] for _, role in served_roles(members)
    )
    # The same threshold and beam, and probabilities of scores of queries that were held out.
    swept = [store.manifest(members[role]).quality for role in ("pruned", "final_pruned")]
    assert [(one["threshold"], one["beam"]) for one in swept] == [(swept[0]["threshold"], swept[0]["beam"])] * 2
    release = Ref.parse(days.runs[day]["refs"]["ranker"])
    answers, measured = LiveRanker(store, release), LiveRanker(store, release, measured=True)
    assert answers.calibrator is not None
    assert answers.rank("a large red hammer", 1)[0].id == "hammer-red"
    assert answers.rank("a large red hammer", 1)[0].score != measured.rank("a large red hammer", 1)[0].score


@pytest.mark.parametrize("day", whole.DAYS)
def test_rows_of_all_queries_are_those_of_the_import_in_its_order(days: Days, day: str) -> None:
    store, members = days.store, days.members(day)
    every, part = (
        store.open(members[role], contracts.INTERACTIONS).read("queries")
        for role in ("final_interactions", "interactions")
    )
    assert every.drop(["split"]) == part.drop(["split"])
    assert set(every["split"].to_pylist()) == {"training"}
    features = {
        role: read_features(store.open(members[role], corpus.FEATURES))
        for role in ("features", "held_features", "final_features")
    }
    training = np.array(part["split"].to_pylist()) == "training"
    queries, labels = len(training), store.manifest(members["interactions"]).quality["labels"]
    assert features["final_features"].shape[0] == queries + labels
    of_queries, of_labels = features["final_features"][:queries], features["final_features"][queries:]
    for rows, expected in (
        (of_queries[training], features["features"][: training.sum()]),
        (of_queries[~training], features["held_features"]),
        (of_labels, features["features"][training.sum() :]),
    ):
        assert abs(rows - expected).nnz == 0
    data = read_training(store, members["final_interactions"], members["final_features"], RowParams())
    assert data.queries == queries


def test_a_full_training_repeats_only_the_weights_and_a_refresh_only_what_it_solves(days: Days) -> None:
    first, second = (
        [stage for stage in days.runs[day]["stages"] if stage["part"].startswith("final")] for day in whole.DAYS
    )
    assert [stage["stage"] for stage in first] == AGAIN
    assert [stage["stage"] for stage in second] == [name.replace("train_", "refresh_") for name in AGAIN]
    assert second[2]["inputs"]["old_model"] == str(days.members(whole.DAYS[0])["final_model"])
    solved = second[2]["quality"]["drift"]["solved_share"]
    assert 0 < solved < 0.9
    again = days.run(whole.DAYS[1])
    assert not [stage["stage"] for stage in again["stages"] if stage["computed"]]


def test_metrics_and_baselines_are_of_what_has_not_seen_the_queries(days: Days) -> None:
    for day in whole.DAYS:
        record, members = days.runs[day], days.members(day)
        (compared,) = (stage for stage in record["stages"] if stage["stage"] == "compare_rankers")
        evaluated = days.store.manifest(members["evaluation"]).quality
        assert compared["quality"]["ranker_recall_at_10"] == pytest.approx(evaluated["recall_at_10"], abs=1e-6)
        assert compared["quality"]["frequent_recall_at_10"] == pytest.approx(
            evaluated["frequent_recall_at_10"], abs=1e-6
        )
        assert evaluated["frequent_ndcg_at_10"] < evaluated["ndcg_at_10"]
    text = Page(render(days.store, record)).text("ranking")
    queries = days.store.manifest(members["interactions"]).quality["queries"]
    assert f"then trained on all {queries:,} queries" in text


def test_what_is_measured_is_published_where_that_is_asked_for(days: Days) -> None:
    plain = days.run(whole.DAYS[0], **{"xmr.interactions.final": "training", "xmr.refresh.mode": "off"})
    computed = [stage["stage"] for stage in plain["stages"] if stage["computed"]]
    assert computed == ["pack_ranker", "assemble_ranker", "compare_rankers"]
    members = read_members(days.store, Ref.parse(plain["refs"]["ranker"]))
    assert not [role for role in members if role.startswith("final")]
    assert members["evaluation"] == days.members(whole.DAYS[0])["evaluation"]
    # Such a ranker is no base of one that is trained on all queries.
    pointer = Pointer(days.store, "shop", PRODUCT)
    pointer.promote(Ref.parse(plain["refs"]["ranker"]), gates=[])
    after = days.run(whole.DAYS[1])
    assert {"train_rankers"} <= {stage["stage"] for stage in after["stages"]}
    assert "refresh_rankers" not in {stage["stage"] for stage in after["stages"]}


def test_a_ranker_that_is_not_measured_says_so_and_misses_a_minimum(days: Days) -> None:
    nothing = {
        "xmr.interactions.test_share": 0.0,
        "xmr.interactions.calibration_share": 0.0,
        "xmr.sweep.megabytes": 0.0,
        "xmr.sweep.on": False,
        "xmr.baselines.compared": False,
        "xmr.refresh.mode": "off",
        "xmr.ensemble.seeds": [0],
    }
    unseen = days.run(whole.DAYS[0], **nothing)
    assert unseen["state"] == "completed"
    assert not [stage for stage in unseen["stages"] if stage["part"].startswith("final")]
    assert [note for note in unseen["notes"] if note.startswith("The ranker's quality is not measured: no query is")]
    assert "quality is not measured" in Page(render(days.store, unseen)).text("stages")
    assert [gate["gate"] for gate in unseen["gates"]][-1] == "ranker_tested 0 (at least 0)"
    kept = days.run(whole.DAYS[0], **nothing, **{"xmr.gates.recall_at_10": 0.1, "xmr.gates.tested": 1})
    assert kept["state"] == "failed"
    assert "ranker_recall_at_10 0 (at least 0.1)" in kept["error"]
    assert "ranker_tested 0 (at least 1)" in kept["error"]
    assert (unseen["publications"], kept["publications"]) == ([], []), "a later day's stays live"


def test_a_ranker_must_beat_the_most_frequent_labels() -> None:
    quality = {"labels": 40, "quarantine_share": 0.0, "tested": 100, "recall_at_10": 0.085, "ndcg_at_10": 0.05}

    def missed(collection: str = "shop", limits: RankerGates = RankerGates(), **changed: float) -> dict[str, float]:
        manifest = Manifest({"quality": quality | changed}, {"collection": collection})
        return {gate.name: gate.value for gate in ranker_gates(manifest, limits) if not gate.holds}

    lead = "ranker_ndcg_at_10_over_frequent"
    assert missed(frequent_ndcg_at_10=0.07) == {lead: pytest.approx(-0.02)}
    assert missed(frequent_ndcg_at_10=0.05) == {lead: 0}
    assert missed(frequent_ndcg_at_10=0.04) == {}
    assert missed(frequent_ndcg_at_10=0.07, limits=RankerGates(over_frequent=-1)) == {}
    assert missed(ndcg_at_10=1.0, frequent_ndcg_at_10=1.0) == {}, "nothing is better than always right"
    few = {"ndcg_at_3": 0.2, "frequent_ndcg_at_3": 0.3}
    assert missed(**few) == {"ranker_ndcg_at_3_over_frequent": pytest.approx(-0.1)}
    assert missed() == {}, "of before, when the most frequent labels were not measured"
    # Unmeasured, a minimum is missed.
    assert missed(tested=0) == {}
    assert missed(SAMPLE, tested=0, recall_at_10=0.0) == {"ranker_recall_at_10": 0}
    assert unmeasured(Manifest({"quality": quality | {"tested": 0}}, {}))
    assert not unmeasured(Manifest({"quality": quality}, {}))


def test_weights_of_all_queries_rank_what_the_others_have_not_seen(days: Days) -> None:
    """On the held-out queries, which one has seen and the other has not."""
    store, members = days.store, days.members(whole.DAYS[0])
    release = Ref.parse(days.runs[whole.DAYS[0]]["refs"]["ranker"])
    for tree, model in served_roles(members):
        label_tree = read_tree(store.open(members[tree], contracts.TREE))
        assert read_model(store.open(members[model], contracts.MODEL), label_tree).nonzeros
    artifact = store.open(members["interactions"], contracts.INTERACTIONS)
    queries = artifact.read("queries")
    held = np.flatnonzero(np.array(queries["split"].to_pylist()) == "test")
    texts = [queries["text"][int(row)].as_py() for row in held]
    truth, keys = read_targets(artifact), artifact.read("labels")["id"].to_pylist()
    right = [
        sum(
            bool(found) and found[0].id in {keys[label] for label in truth[[row]].indices}
            for row, found in zip(held, LiveRanker(store, release, measured=measured).rank_many(texts, 1), strict=True)
        )
        for measured in (True, False)
    ]
    assert right[1] >= right[0]
    assert right[0] / len(held) == pytest.approx(
        store.manifest(members["evaluation"]).quality["precision_at_1"], abs=1e-6
    )
