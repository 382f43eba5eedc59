"""A threshold belongs to a model: others are refused with the reason, and it moves by its error rate."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.metric import open as metric_open
from fingerpost.tasks.metric.calibrated import CalibratedThreshold, ForeignModelError, calibrated, canary_rows, migrate
from fingerpost.tasks.metric.histograms import pair_histograms
from fingerpost.tasks.metric.recount import counted_at, recounting
from fingerpost.tasks.metric.scores import Measure, ScoreBins, bins_covering
from fingerpost.tasks.metric.thresholds import Target, choose_threshold, class_rates
from tests.unit.metric.worlds import embeddings

IDS = [f"row {number}" for number in range(160)]


def made(measure: Measure = "cosine") -> tuple[CalibratedThreshold, np.ndarray, np.ndarray]:
    vectors, labels = embeddings(10, 160, 8, 0)
    pairs = pair_histograms(vectors, labels, bins_covering(vectors, measure))
    choice = choose_threshold(pairs, Target("far", 0.05))
    return calibrated(choice, measure, model="toy 1", ids=IDS, vectors=vectors, canaries=5), vectors, labels


def test_vectors_of_the_model_are_taken_and_its_canaries_compared() -> None:
    threshold, vectors, _ = made()
    assert threshold.check() == 0
    assert threshold.check(model="toy 1", ids=IDS, vectors=vectors) == 5
    order = np.random.default_rng(0).permutation(160)
    noisy = vectors[order] * (1 + 1e-5 * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32))
    assert threshold.check(ids=[IDS[row] for row in order], vectors=noisy) == 5
    assert threshold.check(ids=["new"], vectors=vectors[:1]) == 0


def test_no_vectors_have_no_canaries() -> None:
    threshold, _, _ = made()
    assert threshold.check(ids=[], vectors=[]) == threshold.check(ids=[], vectors=np.zeros((0, 8))) == 0


@pytest.mark.parametrize("length", [1e37, 1e20, 1e-25, 1e-36])
def test_canaries_of_any_length_are_compared_by_direction(monkeypatch: pytest.MonkeyPatch, length: float) -> None:
    """A threshold that was chosen on vectors as they are, and an index of the same ones scaled to length one."""
    threshold, vectors, _ = made()
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    long = replace(threshold, canaries=(threshold.canaries.astype(np.float64) * length).astype(np.float32))
    monkeypatch.setattr(metric_open, "live", lambda *_, **__: SimpleNamespace(threshold=long, ref="r"))
    index = SimpleNamespace(metric="cosine", ref="i", members={}, store=SimpleNamespace(url="s"), vectors=unit)
    index.manifest, index.documents = SimpleNamespace(run={"collection": "c"}), pa.table({"id": IDS})
    assert metric_open.threshold_for(index) is long  # type: ignore[arg-type]
    index.vectors = np.roll(unit, 1, axis=0)
    with pytest.raises(ForeignModelError, match="of another model"):
        metric_open.threshold_for(index)  # type: ignore[arg-type]
    raw = (vectors.astype(np.float64) * length).astype(np.float32)
    assert long.check(ids=IDS, vectors=raw) == 5
    with pytest.raises(ForeignModelError, match="of another model"):
        long.check(ids=IDS, vectors=np.roll(raw, 1, axis=0))


def test_vectors_of_another_model_are_refused_with_the_reason() -> None:
    threshold, vectors, _ = made()
    with pytest.raises(ForeignModelError, match="expected vectors of model toy 1, got those of toy 2; migrate"):
        threshold.check(model="toy 2", ids=IDS, vectors=vectors)
    with pytest.raises(ForeignModelError, match="expected vectors of 8 dimensions as model toy 1 gives, got 7"):
        threshold.check(ids=IDS, vectors=vectors[:, :7])
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0].astype(np.float32)
    with pytest.raises(ForeignModelError, match=rf"vector of '{threshold.canary_ids[0]}' that model toy 1 gives"):
        threshold.check(ids=IDS, vectors=vectors @ turned)


def test_canaries_do_not_depend_on_the_order_and_mostly_not_on_more_rows() -> None:
    order = np.random.default_rng(0).permutation(160)
    chosen = [IDS[row] for row in canary_rows(IDS, 20)]
    assert [IDS[order[row]] for row in canary_rows([IDS[row] for row in order], 20)] == chosen
    more = [*IDS, *(f"later {number}" for number in range(40))]
    assert len({more[row] for row in canary_rows(more, 20)} & set(chosen)) >= 10


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_the_radius_is_that_of_the_projects_search(measure: Measure) -> None:
    threshold, vectors, _ = made(measure)
    found = ExactIndex(vectors, "cosine" if measure == "cosine" else "l2").search(vectors[:1], 160)
    near = set(found.ids[0][found.distances[0] <= threshold.search_radius()].tolist())
    wide = vectors.astype(np.float64)
    if measure == "cosine":
        unit = wide / np.linalg.norm(wide, axis=1)[:, None]
        expected = np.flatnonzero(unit @ unit[0] >= threshold.threshold)
    else:
        expected = np.flatnonzero(np.linalg.norm(wide - wide[0], axis=1) <= threshold.threshold)
    assert near == set(expected.tolist())
    assert 1 < len(near) < 160


@pytest.mark.parametrize("rate", ["far", "frr"])
def test_a_threshold_moves_by_its_error_rate(rate: str) -> None:
    vectors, labels = embeddings(12, 240, 8, 0)
    wider = np.hstack([vectors, 0.5 * np.random.default_rng(3).standard_normal((240, 4)).astype(np.float32)])
    old, new = (pair_histograms(rows, labels, ScoreBins.cosine()) for rows in (vectors, wider))
    recounts = recounting(vectors, labels, "cosine"), recounting(wider, labels, "cosine")
    found = migrate(0.6, rate, old, new, recounts=recounts)  # type: ignore[arg-type]
    expected = class_rates(counted_at(old, [0.6], recounts[0]), 0.6)
    assert (found.before.far == expected.far).all()
    name = f"global_{rate}"
    assert 0.95 * getattr(expected, name) <= getattr(found.after, name) <= getattr(expected, name)
    assert found.choice.threshold != 0.6
    assert found.choice.interval[0] < found.choice.threshold < found.choice.interval[1]
    changes = found.changes(rate, 3)  # type: ignore[arg-type]
    assert len(changes) == 3
    moves = np.abs(getattr(found.after, rate) - getattr(found.before, rate))
    assert abs(changes[0][2] - changes[0][1]) == pytest.approx(moves.max())
    same = migrate(0.6, rate, old, old, recounts=recounts[:1] * 2)  # type: ignore[arg-type]
    assert same.choice.threshold == pytest.approx(0.6, abs=2**-10)


def test_what_cannot_be_moved_or_kept_is_refused() -> None:
    vectors, labels = embeddings(6, 60, 4, 0)
    old = pair_histograms(vectors, labels, ScoreBins.cosine())
    with pytest.raises(ValueError, match="migration: expected pairs of the same rows for both models"):
        migrate(0.5, "far", old, pair_histograms(vectors[:-1], labels[:-1], ScoreBins.cosine()))
    with pytest.raises(ValueError, match="migration: expected a threshold with a far below 1"):
        migrate(-1.0, "far", old, old, recounts=(recounting(vectors, labels, "cosine"),) * 2)
    choice = choose_threshold(old, Target("far", 0.05))
    with pytest.raises(ValueError, match="threshold: expected a model's name and at least 8 vectors"):
        calibrated(choice, "cosine", model="", ids=IDS[:60], vectors=vectors)
    with pytest.raises(ValueError, match="60 vectors and 3 ids"):
        calibrated(choice, "cosine", model="m", ids=IDS[:3], vectors=vectors)
    one = calibrated(choice, "cosine", model="m", ids=IDS[:60], vectors=vectors, canaries=1)
    assert replace(one, model="n").canary_ids == one.canary_ids
