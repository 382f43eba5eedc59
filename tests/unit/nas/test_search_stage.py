"""The stage that searches: what it writes, what it takes from other searches, what it says, and when it refuses."""

import importlib.util
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fingerpost.flows.ops.erase.traces import remove_artifacts
from fingerpost.flows.ops.keep.gc import EVALUATIONS, collect, plan_collection
from fingerpost.flows.run.progress import RunProgress
from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.evaluation_cache import FOLDER, EvaluationCache
from fingerpost.schemas.matrices import tensors_to_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.strangers import strangers
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.ledger import StageRecord
from fingerpost.tasks.nas.chosen import best_row
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.limits import LimitParams
from fingerpost.tasks.nas.open import read_examples, read_images
from fingerpost.tasks.nas.stages import evaluations
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training_params import TrainingParams
from tests.support.suggestion_artifacts import committed
from tests.unit.nas.searched import PARAMS, SearchWorld, world
from tests.unit.nas.small_spaces import SMALL

RANDOM = replace(PARAMS, method="random")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchWorld]:
    with unchanging_code():
        yield world(tmp_path_factory.mktemp("searches"))


def _files(store: Store) -> list[str]:
    return sorted(path for path in store.files.listing() if path.startswith(f"{FOLDER}/"))


def found_in(made: SearchWorld, ref: Ref) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The candidates of a search, and its figures."""
    return made.rows(ref), made.store.open(ref, contracts.SEARCH).quality


def test_a_search_is_stored_with_its_candidates_and_what_it_chose(made: SearchWorld) -> None:
    ref = made.search()
    rows = made.rows(ref)
    assert [row["number"] for row in rows] == list(range(PARAMS.evaluations + 1))
    assert (rows[0]["origin"], rows[0]["feasible"], rows[0]["trained"]) == ("given", False, True)
    quality = made.store.open(ref, contracts.SEARCH).quality
    best = rows[best_row(rows)]
    assert quality["architecture"] == best["architecture"]
    assert best["score"] == max(row["score"] for row in rows if row["feasible"]) == quality["accuracy"]
    assert best["latency_ms"] + best["latency_spread_ms"] <= quality["latency_limit_ms"]
    assert quality["latency_limit_ms"] == pytest.approx(0.9 * quality["reference_latency_ms"])
    # Classes are told apart by what a fifth of a second of training can give.
    assert quality["accuracy"] > 0.15
    assert made.measured(ref) == {"trainings": PARAMS.evaluations + 1, "cached": 0}
    assert strangers(made.store, everywhere=True) == []


def test_searches_share_evaluations_and_are_the_same_without_sharing(made: SearchWorld, tmp_path: Path) -> None:
    made.search()
    shared = made.search(RANDOM)
    counts = made.measured(shared)
    assert counts["cached"] > 0
    assert counts["trainings"] + counts["cached"] == RANDOM.evaluations + 1
    alone = world(tmp_path)
    ref = alone.search(RANDOM)
    assert ref == shared
    assert alone.measured(ref)["cached"] == 0
    assert found_in(alone, ref) == found_in(made, shared)
    # Another protocol is another evaluation.
    other = alone.search(RANDOM, training=TrainingParams(epochs=1, batch=60))
    assert alone.measured(other)["cached"] == 0


def test_records_that_are_damaged_or_of_another_candidate_are_not_read(made: SearchWorld) -> None:
    ref = made.search(RANDOM)
    paths = _files(made.store)
    kept = {path: made.store.files.read(path) for path in paths}
    for place, path in enumerate(paths):
        content = kept[path]
        if place % 3 == 0:
            made.store.files.write(path, content[: len(content) // 2])
        elif place % 3 == 1:
            made.store.files.write(path, content.replace(b'"accuracy": 0.', b'"accuracy": 1.'))
        else:
            made.store.files.write(path, kept[paths[place - 1]])
    before = found_in(made, ref)
    made.store.files.remove(str(ref))
    assert made.search(RANDOM) == ref
    assert found_in(made, ref) == before
    assert made.measured(ref)["cached"] == 0


def test_a_forced_search_evaluates_everything_again_and_reads_the_images_once(
    made: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = made.search(RANDOM)
    read: list[Ref] = []

    def reading(store: Store, images: Ref) -> LabelledImages:
        read.append(images)
        return read_images(store, images)

    monkeypatch.setattr(evaluations, "read_images", reading)
    monkeypatch.setattr(made.env, "forced", frozenset({"search_networks"}))
    evaluations._images.cache_clear()
    assert made.search(RANDOM) == ref
    assert made.measured(ref) == {"trainings": RANDOM.evaluations + 1, "cached": 0}
    assert read == [made.images]


def test_scores_need_no_training_and_are_stored(made: SearchWorld) -> None:
    ref = made.search(replace(PARAMS, method="zero-shot", scores=("synflow", "naswot", "parameters")))
    rows = made.rows(ref)
    assert sum(row["trained"] for row in rows) == PARAMS.finalists + 1
    scores = made.store.open(ref, contracts.SEARCH).read("scores").to_pylist()
    assert {row["name"] for row in scores} == {"synflow", "naswot", "parameters"}
    assert {row["architecture"] for row in scores} == {row["architecture"] for row in rows}


def test_a_supernet_evaluates_all_and_the_best_are_trained(made: SearchWorld) -> None:
    from fingerpost.tasks.nas.supernet import train_supernet

    sides = [read_examples(made.store, made.images, split) for split in ("training", "validation")]
    weights, epochs = train_supernet(SMALL, sides[0], sides[1], SupernetParams(epochs=1, batch=60))
    table = pa.table({"epoch": [1], "loss": [epochs[0].loss], "validation": [epochs[0].validation]})
    supernet = committed(made.store, contracts.SUPERNET, {"weights": tensors_to_arrow(weights), "epochs": table})
    ref = made.search(replace(PARAMS, method="single-shot"), supernet=supernet)
    rows = made.rows(ref)
    shared = {
        row["architecture"]: row["value"]
        for row in made.store.open(ref, contracts.SEARCH).read("scores").to_pylist()
        if row["name"] == "supernet"
    }
    # The reference has more stages than the space.
    assert set(shared) == {row["architecture"] for row in rows[1:]}
    trained = [row["architecture"] for row in rows[1:] if row["trained"]]
    assert len(trained) == PARAMS.finalists
    assert min(shared[name] for name in trained) == sorted(shared.values())[-PARAMS.finalists]
    assert all(row["accuracy"] == shared[row["architecture"]] for row in rows[1:] if not row["trained"])


def test_collections_remove_evaluations_that_are_old_and_forgetting_removes_all(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    cache, keys = EvaluationCache(store), [{"architecture": str(number)} for number in range(2)]
    for key in keys:
        cache.put(key, accuracy=0.5, scores={"zen": 1.25})
    assert cache.get(keys[0]) == {"accuracy": 0.5, "scores": {"zen": 1.25}}
    assert cache.get({"architecture": "2"}) is None
    now = datetime.now(UTC)
    assert plan_collection(store, keep_days=7, now=now + timedelta(days=6)).evaluations == []
    old = plan_collection(store, keep_days=7, now=now + timedelta(days=8))
    assert old.evaluations == _files(store)
    assert [(row.name, row.files) for row in old.rows] == [(EVALUATIONS, 2)]
    collect(store, keep_days=7, now=now + timedelta(days=8))
    assert _files(store) == []
    cache.put(keys[0], accuracy=None, scores={})
    remove_artifacts(store, [])
    assert _files(store) == []
    assert cache.get(keys[0]) is None


def test_the_progress_of_a_search_counts_on_over_its_generations(
    made: SearchWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "run.log"
    steps: list[tuple[str, int]] = []

    class Counted(RunProgress):
        def begin(self, stage: str, total: int) -> None:
            steps.append(("begin", total))
            super().begin(stage, total)

        def advance(self, stage: str, done: int) -> None:
            steps.append(("advance", done))
            super().advance(stage, done)

    monkeypatch.setattr(made.env, "progress", Counted(quiet=True, log_file=log))
    made.search(replace(RANDOM, seed=5))
    assert steps[0] == ("begin", PARAMS.evaluations + 1)
    assert [kind for kind, _ in steps].count("begin") == 1
    assert sorted({done for _, done in steps[1:]}) == list(range(PARAMS.evaluations + 2))
    said = [line for line in log.read_text().splitlines() if "generation" in line]
    assert len(said) == 4
    assert "nas.search: generation 1, 6 of 8 evaluations left, best so far 0." in said[0]
    assert "nas.search: generation 4, 0 of 8 evaluations left, best so far 0." in said[-1]


def test_what_a_stage_found_stands_under_its_bar() -> None:
    progress, shown = RunProgress(), io.StringIO()
    progress.console.file, progress.console._force_terminal, progress.console.width = shown, True, 80
    progress.console.is_interactive = True
    progress.begin("nas.search", 25)
    progress.advance("nas.search", 9)
    progress.tell("nas.search", "generation 3, 12 of 24 evaluations left, " + "best " * 20)
    progress.end(StageRecord("search_networks", "nas.search/day=2026-01-02/" + "0" * 32, True, "first run", 1.0, {}))
    lines = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).splitlines() if "generation 3" in line
    ]
    assert lines
    assert all(line.startswith("  generation 3, 12 of 24 evaluations left, best ") for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_limits_that_nothing_keeps_are_refused_before_anything_is_trained(made: SearchWorld) -> None:
    before = _files(made.store)
    with pytest.raises(FingerpostError, match=r"latency_ms of at most 1e-05 \(the smallest found: 0\.0"):
        made.search(limits=LimitParams(latency_ms=1e-5))
    assert _files(made.store) == before


def test_what_is_missing_is_named(made: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FingerpostError, match="expected a supernet for the method single-shot"):
        made.search(replace(PARAMS, method="single-shot"))

    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(evaluations, "evaluate_candidate", missing)
    with pytest.raises(FingerpostError, match=r"found torch missing; install the extra nas"):
        made.search(replace(RANDOM, seed=9))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(FingerpostError, match=r"found onnxscript missing; install the extra nas"):
        made.search(replace(RANDOM, seed=9))


def test_the_result_of_another_request_is_not_taken_for_it(made: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluations.Evaluations.__call__

    def dying(self: evaluations.Evaluations, requests: Any) -> Any:
        if self.asked:
            raise KeyboardInterrupt
        return whole(self, requests)

    monkeypatch.setattr(evaluations.Evaluations, "__call__", dying)
    with pytest.raises(KeyboardInterrupt):
        made.search(replace(RANDOM, seed=7))
    monkeypatch.setattr(evaluations.Evaluations, "__call__", whole)
    (folder,) = made.store.files.names(".work")
    name = f".work/{folder}/shard-00001.json"
    body = json.loads(made.store.files.read(name))
    assert body["figures"]["measure"] == "training"
    other = made.store.files.read(f".work/{folder}/shard-00002.json")
    made.store.files.write(name, other)
    with pytest.raises(FingerpostError, match="expected the interrupted search to go on with candidate"):
        made.search(replace(RANDOM, seed=7))
    made.store.files.remove(f".work/{folder}")
