"""The nearest of a set for many queries at once against a sort of all distances, and the choice of this way of searching."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import filtered as kernel
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.filter_methods import chosen_methods, packed_methods
from fingerpost.tasks.ann.graph import NONE
from fingerpost.tasks.ann.search import Metric
from fingerpost.tasks.ann.set_products import nearest_of_set, prepared_rows

METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


@settings(max_examples=80, deadline=None)
@given(
    count=st.one_of(st.integers(0, 40), st.integers(200, 700)),
    asked=st.integers(0, 6),
    columns=st.integers(1, 40),
    k=st.one_of(st.integers(1, 12), st.integers(50, 400)),
    spread=st.sampled_from([2, 1000]),
    metric=st.sampled_from(METRICS),
    path=st.sampled_from(kernel.available_paths()),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_is_the_sort_of_all_distances(
    count: int, asked: int, columns: int, k: int, spread: int, metric: Metric, path: str, seed: int
) -> None:
    """With many ties (values 1 and 2 only) and with few, to the bit."""
    random = np.random.default_rng(seed)
    held = prepared_rows(random.integers(1, spread + 1, (count, columns)).astype(np.float32), "rows", metric)
    queries = prepared_rows(random.integers(1, spread + 1, (asked, columns)).astype(np.float32), "queries", metric)
    numbers = np.sort(random.choice(5000, count, replace=False)).astype(np.int64)
    before = kernel.active_path()
    kernel.force_path(path)
    try:
        found = nearest_of_set(queries, held, numbers, k, metric)
    finally:
        kernel.force_path(before)
    some = min(k, count)
    assert (found.ids[:, some:] == NONE).all()
    assert np.isinf(found.distances[:, some:]).all()
    if not count or not asked:
        return
    # Rows of length one are as good for ip, and are not scaled again.
    wanted = ExactIndex(held, "l2" if metric == "l2" else "ip").search(queries, some)
    assert (found.ids[:, :some] == numbers[wanted.ids]).all()
    assert found.distances[:, :some].tobytes() == wanted.distances.tobytes()
    assert asked * (count + some) <= found.counters.distances <= 2 * asked * count


def test_only_what_may_be_nearest_is_compared_again() -> None:
    random = np.random.default_rng(0)
    held, queries = (random.standard_normal((rows, 64)).astype(np.float32) for rows in (5000, 20))
    found = nearest_of_set(queries, held, np.arange(5000), 10, "l2")
    assert found.counters.distances - 5000 * 20 <= 20 * 16


def test_overflowing_products_hide_nothing() -> None:
    """Products that are no numbers: the row is compared by its own distance."""
    held = np.full((30, 4), 1e18, np.float32) * np.arange(1, 31, dtype=np.float32)[:, None]
    held[7] = [3e38, -3e38, 3e38, -3e38]
    queries = np.array([[1e18, 1e18, 1e18, 2e18], [3e38, 3e38, -3e38, -3e38]], np.float32)
    with np.errstate(all="ignore"):
        found = nearest_of_set(queries, held, np.arange(30), 3, "l2")
    assert found.ids[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("missing", ["rows", "numbers", "ids"])
def test_lengths_that_do_not_fit_are_refused(missing: str) -> None:
    arrays = {
        "products": np.zeros((2, 5), np.float32),
        "queries": np.zeros((2, 3), np.float32),
        "rows": np.zeros((5, 3), np.float32),
        "numbers": np.arange(5),
        "metric": "l2",
        "k": 2,
        "ids": np.zeros((2, 2), np.uint32),
        "distances": np.zeros((2, 2), np.float32),
    }
    arrays[missing] = arrays[missing][1:]  # type: ignore[index]
    with pytest.raises(ValueError, match="products: expected one of each query and row"):
        kernel.nearest_screened(*arrays.values())  # type: ignore[arg-type]


@given(
    passing=st.lists(st.integers(0, 10**6), min_size=2, max_size=6),
    shared=st.integers(0, 2000),
    columns=st.integers(1, 2000),
    ef=st.integers(1, 500),
    lines=st.one_of(st.none(), st.integers(1, 30)),
)
def test_a_set_is_searched_alike_alone_and_among_others(
    passing: list[int], shared: int, columns: int, ef: int, lines: int | None
) -> None:
    rows, queries = np.array(passing), np.full(len(passing), shared)
    floats = chosen_methods(rows, queries, size=10**6, columns=columns, ef=ef)
    codes = packed_methods(rows, queries, size=10**6, columns=columns, ef=ef, lines=lines, exact_rows=512)
    for number in range(len(rows)):
        one = slice(number, number + 1)
        alone = chosen_methods(rows[one], queries[one], size=10**6, columns=columns, ef=ef)
        assert alone.tolist() == floats[one].tolist()
        alone = packed_methods(rows[one], queries[one], size=10**6, columns=columns, ef=ef, lines=lines, exact_rows=512)
        assert alone.dtype == codes.dtype
        assert alone.tolist() == codes[one].tolist()
