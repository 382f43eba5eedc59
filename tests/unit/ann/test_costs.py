"""What an index will cost: estimates that follow the size of the input, and a probe that builds a real graph."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fingerpost.tasks.ann.costs import PROBE_ROWS, IndexWork, Probe, build_seconds, index_costs, probe, vector_costs
from fingerpost.tasks.ann.hnsw import HnswParams

WORK = IndexWork(
    rows=1_000_000,
    dim=128,
    whole=True,
    params=HnswParams(metric="l2"),
    threads=2,
    workers=2,
    asked=2_500,
    evaluated=2_000,
    neighbors=10,
)
TIMED = Probe(PROBE_ROWS, 0.43, 17.6)


def test_a_probe_builds_the_first_rows_and_measures_their_degree() -> None:
    vectors = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    ticks = itertools.count(5.0, 2.5)
    found = probe(vectors, HnswParams(metric="l2"), clock=lambda: next(ticks))
    assert (found.rows, found.seconds) == (300, 2.5)
    assert 5 < found.degree <= 32


def test_as_many_rows_as_were_probed_take_as_long() -> None:
    assert build_seconds(PROBE_ROWS, TIMED) == pytest.approx(TIMED.seconds)


def test_a_build_grows_somewhat_faster_than_its_rows() -> None:
    ratio = build_seconds(1_000_000, TIMED) / build_seconds(100_000, TIMED)
    assert 11 < ratio < 20


def test_a_million_descriptors_cost_what_was_measured() -> None:
    """On two cores of a server processor: build 167 s at 1,530 MB, 361 MB packed, 84 MB of neighbours."""
    costs = index_costs(WORK, TIMED)
    assert costs["build_graph"].peak == pytest.approx(1_530 * 2**20, rel=0.2)
    assert costs["pack_index"].stored == pytest.approx(361.2e6, rel=0.1)
    assert costs["find_neighbors"].stored == pytest.approx(83.6e6, rel=0.05)
    assert vector_costs(1_000_000, 128, stored_row=99.0)["take_vectors"].stored == pytest.approx(517.1e6, rel=0.01)


def test_twice_the_rows_need_about_twice_the_memory_and_disk() -> None:
    once, twice = index_costs(WORK, TIMED), index_costs(replace(WORK, rows=2_000_000), TIMED)
    for stage in ("build_graph", "measure_searches", "pack_index"):
        assert 1.5 < twice[stage].peak / once[stage].peak < 2
        assert twice[stage].stored == pytest.approx(2 * once[stage].stored)
        assert twice[stage].seconds > 1.85 * once[stage].seconds


def test_floats_are_packed_as_floats_and_neighbours_may_be_left_out() -> None:
    whole, floats = index_costs(WORK, TIMED), index_costs(replace(WORK, whole=False, neighbors=0), TIMED)
    assert floats["pack_index"].stored - whole["pack_index"].stored == pytest.approx(3 * 128 * 1_000_000)
    assert "find_neighbors" in whole
    assert "find_neighbors" not in floats


def test_floats_lie_in_memory_twice_only_where_what_is_packed_is_no_copy_of_them() -> None:
    vectors = 4.0 * 128 * 1_000_000
    l2, cosine, odd = (
        index_costs(replace(WORK, whole=False, **changed), TIMED)
        for changed in ({}, {"params": HnswParams(metric="cosine")}, {"dim": 120})
    )
    for stage in ("measure_searches", "certify_search", "pack_index"):
        assert cosine[stage].peak - l2[stage].peak == pytest.approx(vectors)
        assert odd[stage].peak > l2[stage].peak
    # Vectors of length one are compared by their product, of codes.
    assert cosine["build_graph"].peak == pytest.approx(l2["build_graph"].peak, rel=0.01)


def test_shards_take_less_memory_each_and_share_the_time() -> None:
    whole, shards = index_costs(WORK, TIMED), index_costs(replace(WORK, shards=8, workers=4), TIMED)
    assert set(shards) - set(whole) == {"build_graph_shards", "merge_graph_shards"}
    assert "build_graph" not in shards
    assert shards["build_graph_shards"].peak < 0.4 * whole["build_graph"].peak
    assert shards["build_graph_shards"].stored == shards["merge_graph_shards"].stored == whole["build_graph"].stored
    few = index_costs(replace(WORK, shards=8, workers=1), TIMED)
    assert 3 < few["build_graph_shards"].seconds / shards["build_graph_shards"].seconds <= 4
    assert shards["merge_graph_shards"].seconds == pytest.approx(1.2 * whole["build_graph"].seconds, rel=0.1)


def test_no_processes_are_awaited_where_shards_run_in_that_of_the_flow() -> None:
    few, own = replace(WORK, rows=1_000, workers=1), replace(WORK, rows=1_000, workers=0)
    taken = [vector_costs(1_000, 8, stored_row=9.0, workers=workers)["take_vectors"].seconds for workers in (1, 0)]
    assert taken[0] - taken[1] == pytest.approx(4.0)
    shards = [index_costs(replace(one, shards=4), TIMED)["build_graph_shards"].seconds for one in (few, own)]
    assert shards[0] - shards[1] == pytest.approx(4.0)
