"""Recall@1 and mAP@R: pytorch-metric-learning's figures, and brute force."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.metric import retrieval as module
from fingerpost.tasks.metric.retrieval import average_precision, evenly, retrieval
from fingerpost.tasks.metric.scores import Measure
from tests.unit.metric.worlds import embeddings

GOLDEN = Path(__file__).parents[2] / "golden" / "metric.npz"


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
@pytest.mark.parametrize("query_rows", [17, 1024])
def test_figures_are_those_of_pytorch_metric_learning(
    measure: Measure, query_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUERY_ROWS", query_rows)
    with np.load(GOLDEN) as golden:
        found = retrieval(golden["vectors"], golden["labels"], measure)
        overall, by_class = golden[f"accuracy_{measure}"], golden[f"accuracy_{measure}_classes"]
    # Theirs are means in float32 over classes, in float64 over rows.
    assert (found.recall_at_1, found.map_at_r) == pytest.approx(tuple(overall), abs=1e-12)
    assert (found.recall_at_1_classes, found.map_at_r_classes) == pytest.approx(tuple(by_class), abs=1e-6)
    assert (found.rows, found.lone_classes) == (238, 2)


@settings(max_examples=20)
@given(seed=st.integers(0, 99), classes=st.integers(1, 8), measure=st.sampled_from(["cosine", "euclidean"]))
def test_figures_are_those_of_brute_force(seed: int, classes: int, measure: Measure) -> None:
    vectors, labels = embeddings(classes, 25, 4, seed)
    wide = vectors.astype(np.float64)
    if measure == "cosine":
        wide /= np.linalg.norm(wide, axis=1)[:, None]
    distances = ((wide[:, None] - wide) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    first, average = [], []
    for row, label in enumerate(labels):
        others = int((labels == label).sum()) - 1
        if others:
            ranked = labels[np.argsort(distances[row])[:others]] == label
            first.append(ranked[0])
            average.append(sum(ranked[: place + 1].mean() for place in np.flatnonzero(ranked)) / others)
    found = retrieval(vectors, labels, measure)
    assert found.rows == len(first)
    if first:
        assert (found.recall_at_1, found.map_at_r) == pytest.approx((np.mean(first), np.mean(average)))


def test_places_after_r_count_for_nothing() -> None:
    same = np.array([[True, False, True, True], [False, True, True, True]])
    assert average_precision(same, np.array([2, 3])).tolist() == pytest.approx([1 / 2, (1 / 2 + 2 / 3) / 3])


def test_rows_in_one_place_find_each_other_and_not_themselves() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)
    assert retrieval(vectors, np.arange(10) // 5, "cosine").map_at_r == 1
    assert retrieval(np.ones((6, 2)), np.arange(6) // 2, "euclidean").rows == 6


def test_without_a_class_of_two_there_is_nothing_to_find() -> None:
    found = retrieval(np.eye(3), np.arange(3), "cosine")
    assert math.isnan(found.recall_at_1)
    assert math.isnan(found.map_at_r)
    assert (found.rows, found.lone_classes) == (0, 3)


def test_some_rows_ask_for_all_of_them_evenly_by_class() -> None:
    vectors, labels = embeddings(10, 1000, 6, 0)
    every, some = retrieval(vectors, labels, "cosine"), retrieval(vectors, labels, "cosine", queries=400)
    assert (every.rows, some.rows) == (1000, 400)
    assert retrieval(vectors, labels, "cosine", queries=5000) == every
    assert some.map_at_r == pytest.approx(every.map_at_r, abs=0.03)
    order = np.argsort(labels, kind="stable")
    assert np.bincount(labels[order][evenly(1000, 400)], minlength=10) == pytest.approx(
        0.4 * np.bincount(labels), abs=1.01
    )
