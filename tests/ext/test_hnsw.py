"""The HNSW extension beside its Python face: levels, paths, exact distances of candidates."""

from collections.abc import Iterator

import numpy as np
import pytest

from fingerpost.ext import hnsw
from fingerpost.ext.sources import source_hash


@pytest.fixture(autouse=True)
def restored_path() -> Iterator[None]:
    before = hnsw.active_path()
    yield
    hnsw.force_path(before)


def built(vectors: np.ndarray, metric: str, threads: int = 1) -> list[np.ndarray]:
    builder = hnsw.Builder(vectors, metric, 8, 40, 3)
    builder.insert_until(len(vectors), threads)
    builder.connect()
    levels = hnsw.node_levels(len(vectors), 8, 3)
    arrays = [np.array([builder.entry_point, *builder.counters])]
    for level in range(int(levels.max()) + 1):
        arrays += builder.level_links(level, np.flatnonzero(levels >= level).astype(np.uint32))
    return arrays


def test_the_binary_is_of_these_sources() -> None:
    assert source_hash("hnsw") == hnsw.SOURCE_HASH, "rebuild the extensions"


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("dim", [1, 19, 32])
def test_every_path_builds_the_same_graph(metric: str, dim: int) -> None:
    vectors = np.random.default_rng(dim).standard_normal((900, dim)).astype(np.float32)
    graphs = []
    for path in hnsw.available_paths():
        hnsw.force_path(path)
        graphs.append(built(vectors, metric))
    for other in graphs[1:]:
        assert len(other) == len(graphs[0])
        assert all(np.array_equal(a, b) for a, b in zip(graphs[0], other, strict=True))


def test_levels_are_geometric_and_do_not_depend_on_the_number_of_rows() -> None:
    levels = hnsw.node_levels(200_000, 16, 7)
    assert np.array_equal(levels[:1000], hnsw.node_levels(1000, 16, 7))
    assert not np.array_equal(levels, hnsw.node_levels(200_000, 16, 8))
    for level in (1, 2, 3):
        expected = 200_000 / 16**level
        assert abs((levels >= level).sum() - expected) < 5 * expected**0.5


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_gathered_distances_are_those_of_the_pairs(metric: str) -> None:
    rng = np.random.default_rng(0)
    queries, vectors = rng.standard_normal((3, 21)).astype(np.float32), rng.standard_normal((50, 21)).astype(np.float32)
    indptr, ids = np.array([0, 2, 2, 5]), np.array([4, 49, 0, 4, 7], dtype=np.uint32)
    found = hnsw.gather_distances(queries, vectors, indptr, ids, metric)
    raw = [hnsw.pair_distance(queries[q], vectors[i], metric) for q, i in zip([0, 0, 2, 2, 2], ids, strict=True)]
    expected = np.array(raw, dtype=np.float32)
    assert np.array_equal(found, expected if metric == "l2" else np.float32(1) - expected)


def test_normalised_rows_have_length_one_and_the_first_bad_row_is_named() -> None:
    rows = np.array([[3, 4], [1e30, 0], [1e-30, 1e-30], [0, 0], [0, 0]], dtype=np.float32)
    unit, bad = hnsw.normalise_rows(rows)
    assert bad == 3
    np.testing.assert_allclose(np.linalg.norm(unit[:3].astype(np.float64), axis=1), 1, rtol=1e-6)


def test_unknown_metric_and_empty_input_are_refused() -> None:
    with pytest.raises(ValueError, match=r"metric: expected one of .*, got 'hamming'"):
        hnsw.Builder(np.ones((2, 2), np.float32), "hamming", 8, 10, 0)
    with pytest.raises(ValueError, match="builder: expected vectors"):
        hnsw.Builder(np.ones((0, 2), np.float32), "l2", 8, 10, 0)
