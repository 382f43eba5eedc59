"""The sweep of threshold and beam: its points, the front, and what a budget picks."""

import xml.etree.ElementTree as ElementTree
from dataclasses import asdict

import numpy as np
import pytest

from fingerpost.flows.domains.xmr.report.sweep_plots import sweep_svg
from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.metrics import evaluate
from fingerpost.tasks.xmr.model import RankerModel, prune
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
from fingerpost.tasks.xmr.sweep import NoSettingError, SweepPoint, choose, sweep_settings
from tests.support.rankers import pareto_front, size_threshold, train_ranker
from tests.unit.xmr.worlds import topic_problem


def point(threshold: float, beam: int, recall: float, size: int, ms: float | None) -> SweepPoint:
    return SweepPoint(threshold, beam, recall, recall, recall, size, size // 8, beam * size / 1e6, ms)


POINTS = [
    point(0.1, 10, 0.70, 50_000_000, 0.30),
    point(0.1, 20, 0.72, 50_000_000, 0.50),
    point(0.2, 10, 0.69, 25_000_000, 0.20),
    point(0.2, 20, 0.69, 25_000_000, 0.40),
    point(0.4, 10, 0.60, 10_000_000, 0.10),
]


@pytest.fixture(scope="module")
def model() -> RankerModel:
    x, y = topic_problem(0)
    return train_ranker(
        x, y, cluster_labels(embed_labels(x, y), ClusterParams(branching=2, max_leaf_size=10, flat_labels=0))
    ).model


def test_points_are_what_the_pruned_model_does(model) -> None:
    x, y = topic_problem(1)
    ticks = iter(np.arange(10**6) * 0.002)
    points = sweep_settings(
        model, x, y, thresholds=(0.1, 0.5), beams=(1, 8), k=5, clock=lambda: float(next(ticks)), timed_rows=7
    )
    assert [(p.threshold, p.beam) for p in points] == [(0.1, 1), (0.1, 8), (0.5, 1), (0.5, 8)]
    for found in points:
        cut = prune(model, threshold=found.threshold)
        ranking = Ranker(cut, BeamParams(found.beam)).rank(x, 5)
        figures = evaluate(ranking, y, counts=np.ones(60, np.int64), rows=400, cutoffs=(1, 5))
        assert found.recall == pytest.approx(figures["recall_at_5"])
        assert found.precision == pytest.approx(figures["precision_at_5"])
        assert found.precision_at_1 == pytest.approx(figures["precision_at_1"])
        assert (found.bytes, found.nonzeros) == (cut.nbytes, cut.nonzeros)
        assert found.latency_ms == pytest.approx(2.0)
        counters = ranking.counters
        parts = (counters.march, counters.binary, counters.hash, counters.dense, counters.hits)
        assert found.work == sum(parts) / 400 > 1
    assert points[2].bytes < points[0].bytes
    assert points[2].work < points[3].work
    assert sweep_settings(model, x, y, thresholds=(0.1,), beams=(1,))[0].latency_ms is None


def test_half_the_bytes_are_left(model) -> None:
    cut = prune(model, threshold=size_threshold(model))
    assert 0.45 * model.nbytes <= cut.nbytes <= 0.5 * model.nbytes
    assert size_threshold(model, 1.0) == 0


def test_a_budget_picks_the_setting() -> None:
    assert choose(POINTS) is POINTS[1]
    assert choose(POINTS, latency_ms=0.45) is POINTS[0]
    assert choose(POINTS, megabytes=30) is POINTS[2]  # the narrower beam of two alike
    assert choose(POINTS, megabytes=30, latency_ms=0.15) is POINTS[4]
    assert choose(POINTS, least_recall=0.65) is POINTS[2]
    assert choose(POINTS, work=500) is POINTS[0]
    assert choose(POINTS, work=499, megabytes=49) is POINTS[2]
    assert choose(POINTS, least_recall=0.71, latency_ms=1.0) is POINTS[1]


def test_a_budget_that_nothing_keeps_is_named() -> None:
    with pytest.raises(NoSettingError, match=r"latency: expected at most 0\.05 ms, got at least 0\.1 ms"):
        choose(POINTS, latency_ms=0.05)
    with pytest.raises(NoSettingError, match="work: expected at most 9 chunks and features a query, got at least 100"):
        choose(POINTS, work=9)
    with pytest.raises(NoSettingError, match="size: expected at most 1 MB, got at least 10 MB"):
        choose(POINTS, megabytes=1)
    with pytest.raises(NoSettingError, match=r"recall: expected at least 0\.9, got at most 0\.69"):
        choose(POINTS, least_recall=0.9, megabytes=30)
    with pytest.raises(NoSettingError, match="expected at least one point"):
        choose([])
    with pytest.raises(ValueError, match="latency_ms: expected points with a latency"):
        choose([point(0.1, 1, 0.5, 10, None)], latency_ms=1.0)


def test_the_front_has_what_nothing_beats() -> None:
    assert pareto_front(POINTS) == [POINTS[0], POINTS[1], POINTS[2], POINTS[4]]
    untimed = [point(0.1, 1, 0.5, 10, None), point(0.2, 1, 0.5, 9, None)]
    assert pareto_front(untimed) == untimed[1:]


@pytest.mark.parametrize("value", ["bytes", "latency_ms"])
def test_the_plot_names_beams_thresholds_and_the_choice(value) -> None:
    rows = [asdict(point) for point in POINTS]
    svg = sweep_svg(rows, k=10, chosen=(0.2, 20), value=value)
    ElementTree.fromstring(svg)
    for text in ("beam 10", "beam 20", "recall@10", "chosen", ">0.2<"):
        assert text in svg
    assert svg == sweep_svg(rows, k=10, chosen=(0.2, 20), value=value)
    assert "chosen" not in sweep_svg(rows, k=10, value=value)
