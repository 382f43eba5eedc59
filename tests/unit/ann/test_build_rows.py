"""The forms of rows that a build computes distances from: the graph of whole numbers is that of floats, codes lose
nothing that a search would notice, and rows nearer than a code's step are told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import hnsw as kernel
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import faults
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.recall import recall
from tests.unit.ann.test_hnsw import clustered, same


def form(vectors: np.ndarray, metric: str) -> str:
    return kernel.Builder(np.ascontiguousarray(vectors, np.float32), metric, 4, 10, 0).form


@given(
    dim=st.integers(16, 47),
    low=st.integers(-300, 300),
    width=st.integers(1, 255),
    seed=st.integers(0, 2**32 - 1),
)
def test_whole_numbers_give_the_graph_of_floats(dim: int, low: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = rng.integers(low, low + width + 1, (300, dim)).astype(np.float32)
    params = HnswParams(metric="l2", max_neighbors=5, ef_construction=30)
    # Halves of whole numbers are exact too, and not whole.
    whole[0, 0] = low
    halves = (whole + np.float32(0.5)).astype(np.float32)
    assert form(whole, "l2") == "integers"
    assert form(halves, "l2") == "floats"
    assert same(build(whole, params)[0], build(halves, params)[0])


def test_the_form_follows_the_values() -> None:
    rng = np.random.default_rng(0)
    floats = rng.standard_normal((400, 64)).astype(np.float32)
    whole = rng.integers(0, 256, (400, 64)).astype(np.float32)
    wider = whole.copy()
    wider[7, 3] = 256
    assert [form(rows, "l2") for rows in (whole, wider, floats, floats[:, :40])] == [
        "integers",
        "codes",
        "codes",
        "floats",
    ]
    assert [form(rows, metric) for rows in (whole, floats) for metric in ("ip", "cosine")] == ["codes"] * 4
    # One far row would make every step too wide.
    far = floats.copy()
    far[5] *= 1e6
    assert form(far, "l2") == "floats"
    assert form(far, "cosine") == "codes"
    assert form(np.ones((5, 64)), "cosine") == "floats"


@pytest.mark.parametrize(("metric", "floor"), [("l2", 0.93), ("ip", 0.88), ("cosine", 0.93)])
def test_codes_lose_nothing_that_a_search_notices(metric: str, floor: float) -> None:
    # The same vectors with less columns than codes need differ in nothing but the form.
    flat, asked = clustered(3000, 40, 1), clustered(300, 40, 2)
    rows, queries = (np.pad(x, ((0, 0), (0, 24))) for x in (flat, asked))
    assert (form(flat, metric), form(rows, metric)) == ("floats", "codes")
    exact = ExactIndex(flat, metric).search(asked, 10)
    reached = []
    for vectors, wanted in ((flat, asked), (rows, queries)):
        graph, _ = build(vectors, HnswParams(metric=metric))
        assert faults(graph, 16) == []
        found = HnswIndex(vectors, graph, metric).search(wanted, 10, ef=40)
        reached.append(recall(found, exact))
    assert reached[1] >= reached[0] - 0.006, reached
    assert min(reached) >= floor, reached


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_rows_nearer_than_a_step_are_told_apart(metric: str) -> None:
    rng = np.random.default_rng(4)
    spread = rng.standard_normal((1200, 64))
    # Clusters larger than a list, whose rows all have one code.
    tight = np.repeat(rng.standard_normal((5, 64)), 120, axis=0) + 1e-4 * rng.standard_normal((600, 64))
    rows = np.concatenate([spread, tight])[rng.permutation(1800)].astype(np.float32)
    assert form(rows, metric) == "codes"
    graph, _ = build(rows, HnswParams(metric=metric))
    assert faults(graph, 16) == []
    queries = (tight[::6] + 1e-5 * rng.standard_normal((100, 64))).astype(np.float32)
    exact = ExactIndex(rows, metric).search(queries, 10)
    assert recall(HnswIndex(rows, graph, metric).search(queries, 10, ef=60), exact) >= 0.97


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("whole", [False, True])
def test_every_path_and_any_number_of_threads_give_the_same_graph(metric: str, whole: bool) -> None:
    rows = clustered(700, 70, 3)
    rows = np.round(rows * 9) if whole else rows
    params = HnswParams(metric=metric, max_neighbors=6, ef_construction=40)
    graph, counters = build(rows, params)
    active = kernel.active_path()
    try:
        for path in kernel.available_paths():
            kernel.force_path(path)
            for threads in (1, 3):
                other, work = build(rows, params, threads=threads)
                assert same(graph, other), (path, threads)
                assert counters == work
    finally:
        kernel.force_path(active)


@settings(max_examples=30, deadline=None)
@given(
    dim=st.integers(48, 170),
    metric=st.sampled_from(["l2", "ip", "cosine"]),
    whole=st.booleans(),
    size=st.sampled_from([1e-3, 1.0, 3e5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_of_any_width_are_the_same_on_every_path(
    dim: int, metric: str, whole: bool, size: float, seed: int
) -> None:
    """Rotation, range and codes go over registers, and what is left of a row one by one."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-90, 166, (150, dim)) if whole else size * rng.standard_normal((150, dim))
    rows, levels = rows.astype(np.float32), np.zeros(150, np.uint8)
    active, made = kernel.active_path(), []
    try:
        for path in kernel.available_paths():
            kernel.force_path(path)
            builder = kernel.Builder(rows, metric, 4, 30, 0, levels=levels)
            builder.insert_until(150, 1)
            lists = builder.level_links(0, np.arange(150, dtype=np.uint32))
            made.append((builder.form, *(part.tobytes() for part in lists)))
    finally:
        kernel.force_path(active)
    assert len(set(made)) == 1
    assert made[0][0] == ("integers" if whole and metric == "l2" else "codes")


def test_equal_directions_count_as_equal_rows_under_cosine() -> None:
    rng = np.random.default_rng(0)
    crowd = np.outer(2.0 ** rng.integers(-3, 4, 400), rng.standard_normal(64))
    rows = np.concatenate([rng.standard_normal((400, 64)), crowd]).astype(np.float32)
    graph, _ = build(rows, HnswParams(metric="cosine"))
    assert faults(graph, 16) == []
    # Not more than half of a list is of the crowd, so that a search that meets it comes out again.
    lists = [graph.indices[graph.indptr[i] : graph.indptr[i + 1]] for i in range(400, 800)]
    inside = [np.count_nonzero(ids >= 400) / 32 for ids in lists]
    assert np.mean(inside) <= 0.6, np.mean(inside)
    others = ExactIndex(rows, "cosine").search(rows[:100], 10)
    assert recall(HnswIndex(rows, graph, "cosine").search(rows[:100], 10, ef=100), others) >= 0.97


def test_levels_may_be_given() -> None:
    rows = clustered(300, 20, 3)
    drawn = kernel.node_levels(300, 8, 0)
    levels = np.zeros(300, np.uint8)
    levels[[5, 250]] = 2
    for given_levels, entry in ((drawn, int(drawn.argmax())), (levels, 5)):
        builder = kernel.Builder(rows, "l2", 8, 40, 0, levels=given_levels)
        builder.insert_until(300, 1)
        assert builder.entry_point == entry
    with pytest.raises(ValueError, match="levels: expected 300, got 299"):
        kernel.Builder(rows, "l2", 8, 40, 0, levels=levels[1:])
