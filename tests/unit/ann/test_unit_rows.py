"""Vectors scaled to length one, whatever their length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fingerpost.tasks.ann.codes import fit_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.hnsw import HnswParams, build
from fingerpost.tasks.ann.planned import PlanOpener
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search_plan import PLAIN, SearchPlan
from fingerpost.tasks.ann.unit_rows import coded_metric, unit_rows
from tests.support.vectors import decaying


@given(arrays.arrays(np.float64, (3, 4), elements=st.floats(-1, 1)), st.integers(-280, 280))
def test_the_direction_stays_and_the_length_is_one(rows: np.ndarray, exponent: int) -> None:
    kept = np.abs(rows).max(axis=1) > 0.01
    expected = rows[kept] / np.linalg.norm(rows[kept], axis=1, keepdims=True)
    assert unit_rows(rows[kept] * 10.0**exponent) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("length", [1e38, 1e20, 1.0, 1e-25, 1e-44])
def test_float32_too(length: float) -> None:
    found = unit_rows(np.array([[length, 0.0, -length]], dtype=np.float32))
    assert found == pytest.approx(np.array([[0.5**0.5, 0, -(0.5**0.5)]]), abs=1e-6)
    assert found.dtype == np.float32


def test_zeros_stay() -> None:
    assert not unit_rows(np.zeros((2, 3))).any()
    assert unit_rows(np.zeros((0, 3))).shape == (0, 3)


def test_a_row_without_a_direction_leaves_all_under_inner_product() -> None:
    rows = unit_rows(decaying(20, 5, seed=1))
    assert coded_metric(rows, "ip", unit=True) == "cosine"
    assert coded_metric(rows, "ip", unit=False) == "ip"
    assert coded_metric(rows, "l2", unit=True) == "l2"
    rows[3] = 0
    assert coded_metric(rows, "ip", unit=True) == "ip"


def test_codes_of_rows_of_length_one_find_what_plain_search_does() -> None:
    rows = unit_rows(decaying(4200, 200, seed=1))
    vectors, queries = rows[:4000], rows[4000:]
    graph = build(vectors, HnswParams(max_neighbors=10, ef_construction=60, metric="ip", seed=1))[0]
    codes = fit_codes(vectors, coded_metric(vectors, "ip", unit=True))
    opened = PlanOpener(vectors, graph, "ip", {"bits4": codes})
    exact = ExactIndex(vectors, "ip").search(queries, 10)
    found, plain = (opened(plan).search(queries, 10, ef=60) for plan in (SearchPlan("fast", codes="bits4"), PLAIN))
    assert recall(found, exact) > recall(plain, exact) - 0.01
    products = np.einsum("qd,qkd->qk", queries, vectors[found.ids])
    assert found.distances == pytest.approx(1 - products, abs=1e-5)
