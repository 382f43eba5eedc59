"""Packed indexes: exact without codes, near to it with them, in any form of storage, on any memory."""

from pathlib import Path

import numpy as np
import pytest

from fingerpost.ext import hnsw, packed
from fingerpost.schemas.aligned import aligned_empty
from fingerpost.tasks.ann.codes import CodeParams, fit_codes
from fingerpost.tasks.ann.exact import ExactIndex
from fingerpost.tasks.ann.graph import NONE, Graph, from_adjacency
from fingerpost.tasks.ann.hnsw import HnswIndex, HnswParams, build
from fingerpost.tasks.ann.packed import Arrays, PackedIndex, packed_shapes
from fingerpost.tasks.ann.packed_layout import node_order
from fingerpost.tasks.ann.recall import recall
from fingerpost.tasks.ann.search import Metric, VectorError
from tests.support.vectors import decaying

METRICS: tuple[Metric, ...] = ("l2", "ip", "cosine")


def graph_of(vectors: np.ndarray, metric: Metric) -> Graph:
    return build(vectors, HnswParams(max_neighbors=10, ef_construction=60, metric=metric, seed=1))[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 15, 16, 70])
def test_without_codes_it_is_plain_search_bit_for_bit(metric: Metric, dim: int) -> None:
    vectors, queries = decaying(900, dim, seed=2), decaying(50, dim, seed=3)
    graph = graph_of(vectors, metric)
    plain, index = HnswIndex(vectors, graph, metric), PackedIndex.pack(vectors, graph, metric)
    for ef in (10, 33):
        expected, found = plain.search(queries, 10, ef=ef), index.search(queries, 10, ef=ef)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.distances, expected.distances)
        assert found.counters == expected.counters


@pytest.mark.parametrize("metric", METRICS)
def test_another_order_of_nodes_finds_the_same(metric: Metric) -> None:
    vectors, queries = decaying(900, 30, seed=2), decaying(50, 30, seed=3)
    graph = graph_of(vectors, metric)
    codes = fit_codes(vectors, metric, CodeParams(bits=4))
    assert sorted(node_order(graph).tolist()) == list(range(900))
    for given in (None, codes):
        one, other = (
            PackedIndex.pack(vectors, graph, metric, codes=given, reordered=reordered).search(queries, 10, ef=40)
            for reordered in (False, True)
        )
        assert np.array_equal(one.ids, other.ids)
        assert np.array_equal(one.distances, other.distances)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [4, 8])
def test_codes_lose_little_and_distances_are_exact(metric: Metric, bits: int) -> None:
    vectors, queries = decaying(3000, 150, seed=4), decaying(100, 150, seed=5)
    graph, exact = graph_of(vectors, metric), ExactIndex(vectors, metric).search(queries, 10)
    index = PackedIndex.pack(vectors, graph, metric, codes=fit_codes(vectors, metric, CodeParams(bits=bits)))
    found = index.search(queries, 10, ef=80)
    assert recall(found, exact) > recall(HnswIndex(vectors, graph, metric).search(queries, 10, ef=80), exact) - 0.04
    rows, asked = (hnsw.normalise_rows(x)[0] if metric == "cosine" else x for x in (vectors, queries))
    indptr = np.arange(101, dtype=np.int64) * 10
    distances = hnsw.gather_distances(asked, rows, indptr, found.ids.ravel(), metric).reshape(found.ids.shape)
    assert np.array_equal(found.distances, distances)
    assert found.counters.distances == 100 * 40
    assert found.counters.estimates > found.counters.distances


@pytest.mark.parametrize("metric", METRICS)
def test_a_search_as_wide_as_the_index_is_exact_search(metric: Metric) -> None:
    vectors, queries = decaying(400, 90, seed=6), decaying(20, 90, seed=7)
    index = PackedIndex.pack(vectors, graph_of(vectors, metric), metric, codes=fit_codes(vectors, metric))
    found, exact = index.search(queries, 25, ef=400, rerank=400), ExactIndex(vectors, metric).search(queries, 25)
    assert np.array_equal(found.ids, exact.ids)


@pytest.mark.parametrize("low", [0, -128])
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("dim", [5, 32, 130])
def test_whole_numbers_are_kept_in_bytes_without_loss(low: int, metric: Metric, dim: int) -> None:
    random = np.random.default_rng(8)
    vectors = random.integers(low, low + 256, size=(300, dim)).astype(np.float32)
    queries = vectors[:20] + random.standard_normal((20, dim)).astype(np.float32)
    graph = graph_of(vectors, metric)
    index = PackedIndex.pack(vectors, graph, metric)
    assert index.header.keeping == "integers"
    assert np.array_equal(index.vectors, vectors)
    expected, found = HnswIndex(vectors, graph, metric).search(queries, 10, ef=30), index.search(queries, 10, ef=30)
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.distances, expected.distances)


@pytest.mark.parametrize("value", [0.5, 256.0, -129.0])
def test_other_numbers_are_not(value: float) -> None:
    vectors = np.arange(40, dtype=np.float32).reshape(20, 2)
    vectors[7, 1] = value
    graph = graph_of(vectors, "l2")
    assert PackedIndex.pack(vectors, graph, "l2").header.keeping == "float32"
    with pytest.raises(VectorError, match="expected whole numbers"):
        PackedIndex.pack(vectors, graph, "l2", keeping="integers")
    with pytest.raises(VectorError, match="expected whole numbers"):
        PackedIndex.pack(vectors + 1, graph, "cosine", keeping="integers")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [3, 16, 40, 129])
def test_twelve_bits_are_within_half_a_step(metric: Metric, dim: int) -> None:
    vectors, queries = decaying(500, dim, seed=9), decaying(30, dim, seed=10)
    vectors[:, 0] = 2.0
    graph = graph_of(vectors, metric)
    index = PackedIndex.pack(vectors, graph, metric, keeping="bits12", reordered=True)
    rows = hnsw.normalise_rows(vectors)[0] if metric == "cosine" else vectors
    step = (rows.max(axis=0) - rows.min(axis=0)) / 4095
    assert (np.abs(index.vectors - rows) <= 0.501 * step + 1e-6).all()
    found = index.search(queries, 10, ef=60)
    kept = index.vectors[found.ids]
    asked = (hnsw.normalise_rows(queries)[0] if metric == "cosine" else queries)[:, None]
    squares = ((asked - kept) ** 2).sum(axis=2)
    expected = {"l2": squares, "ip": 1 - (asked * kept).sum(axis=2), "cosine": squares / 2}[metric]
    assert np.allclose(found.distances, expected, rtol=1e-4, atol=1e-4)
    assert index.nbytes < PackedIndex.pack(vectors, graph, metric, keeping="float32").nbytes


@pytest.mark.parametrize("count", [0, 400])
def test_near_rows_in_twelve_bits_keep_their_places(count: int) -> None:
    random = np.random.default_rng(1)
    centres = decaying(60, 64, seed=2)
    rows = np.repeat(centres, 30, axis=0) + random.normal(size=(1800, 64)).astype(np.float32) * 0.01
    vectors, queries = rows[1::2], rows[:60:2]
    index = PackedIndex.pack(vectors, graph_of(vectors, "cosine"), "cosine", keeping="bits12")
    keep = None if count == 0 else np.arange(len(vectors)) < count
    found = index.search(queries, 10, ef=200, keep=keep)
    exact = ExactIndex(vectors[keep] if keep is not None else vectors, "cosine").search(queries, 10)
    hits = [len(set(a) & set(b)) for a, b in zip(found.ids.tolist(), exact.ids.tolist(), strict=True)]
    assert np.mean(hits) / 10 > 0.98


@pytest.mark.parametrize("coded", [False, True])
def test_all_paths_and_threads_give_the_same(coded: bool) -> None:
    vectors, queries = decaying(700, 140, seed=11), decaying(70, 140, seed=12)
    graph = graph_of(vectors, "cosine")
    codes = fit_codes(vectors, "cosine") if coded else None
    before = packed.active_path()
    answers = []
    try:
        for path in packed.available_paths():
            packed.force_path(path)
            for keeping in ("float32", "bits12"):
                index = PackedIndex.pack(vectors, graph, "cosine", codes=codes, keeping=keeping)
                for threads in (1, 2, 5):
                    answers.append((keeping, index.search(queries, 10, ef=30, threads=threads)))
                answers.append((keeping, index.search(queries[:1], 10, ef=30)))
    finally:
        packed.force_path(before)
    for keeping, found in answers:
        first = next(other for kept, other in answers if kept == keeping)
        assert np.array_equal(found.ids, first.ids[: len(found.ids)])
        assert np.array_equal(found.distances, first.distances[: len(found.ids)])


@pytest.mark.parametrize("coded", [False, True])
def test_only_kept_rows_are_found(coded: bool) -> None:
    vectors, queries = decaying(300, 20, seed=13), decaying(12, 20, seed=14)
    codes = fit_codes(vectors, "l2") if coded else None
    index = PackedIndex.pack(vectors, graph_of(vectors, "l2"), "l2", codes=codes, reordered=True)
    masks = np.random.default_rng(15).random((12, 300)) < 0.2
    masks[3] = False
    found = index.search(queries, 15, ef=300, keep=masks, rerank=300)
    every = ExactIndex(vectors, "l2").search(queries, 300)
    for query in range(12):
        expected = [row for row in every.ids[query].tolist() if masks[query, row]][:15]
        assert found.ids[query].tolist() == expected + [NONE] * (15 - len(expected))
        assert np.isinf(found.distances[query, len(expected) :]).all()
    assert np.array_equal(
        index.search(queries, 5, ef=60, keep=masks[0]).ids[1],
        index.search(queries[1:2], 5, ef=60, keep=masks[0]).ids[0],
    )


@pytest.mark.parametrize("coded", [False, True])
def test_fewer_rows_than_asked_for_are_padded(coded: bool) -> None:
    vectors = np.array([[0, 1], [1, 0], [3, 3]], dtype=np.float32)
    codes = fit_codes(vectors, "l2") if coded else None
    found = PackedIndex.pack(vectors, graph_of(vectors, "l2"), "l2", codes=codes).search([[0, 0.9]], 5, ef=1)
    assert found.ids[0].tolist() == [0, 1, 2, NONE, NONE]
    assert np.isinf(found.distances[0, 3:]).all()


@pytest.mark.parametrize("coded", [False, True])
def test_one_vector_is_an_index(coded: bool) -> None:
    vectors = np.array([[1, 2, 3]], dtype=np.float32)
    graph = Graph(np.zeros(2, np.int64), np.zeros(0, np.uint32), (), np.zeros(1, np.uint32))
    codes = fit_codes(vectors, "l2") if coded else None
    assert PackedIndex.pack(vectors, graph, "l2", codes=codes).search(vectors, 1, ef=1).ids.tolist() == [[0]]


@pytest.mark.parametrize("bits", [4, 8])
def test_crowds_of_equal_vectors_hide_no_others(bits: int) -> None:
    random = np.random.default_rng(16)
    vectors = random.standard_normal((3000, 70)).astype(np.float32)
    for point in range(5):
        vectors[random.permutation(3000)[:200]] = vectors[point]
    vectors[random.permutation(3000)[:300]] = 2
    _, first, counts = np.unique(vectors, axis=0, return_index=True, return_counts=True)
    others = first[counts == 1][:200]
    graph = build(vectors, HnswParams(max_neighbors=16, ef_construction=100, metric="l2"))[0]
    index = PackedIndex.pack(vectors, graph, "l2", codes=fit_codes(vectors, "l2", CodeParams(bits=bits)))
    found = index.search(vectors[others], 1, ef=100)
    assert (found.ids[:, 0] == others).mean() >= 0.99
    crowd = np.flatnonzero((vectors == 2).all(axis=1))
    near = index.search(np.full((1, 70), 2, np.float32), 100, ef=100)
    assert set(near.ids[0].tolist()) <= set(crowd.tolist())


def test_queries_without_a_direction_are_refused() -> None:
    vectors = decaying(60, 4, seed=17)
    graph = graph_of(vectors, "cosine")
    index = PackedIndex.pack(vectors, graph, "cosine", codes=fit_codes(vectors, "cosine"))
    queries = vectors[:40].copy()
    queries[33] = queries[37] = 0
    with pytest.raises(VectorError, match="queries row 33: expected a vector of nonzero length"):
        index.search(queries, 3, ef=10, threads=2)
    vectors[41] = 0
    with pytest.raises(VectorError, match="vectors row 41: expected a vector of nonzero length"):
        PackedIndex.pack(vectors, graph, "cosine", reordered=True)


def same(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_arrays_are_read_where_they_lie_and_written_where_they_are_to_lie(tmp_path: Path) -> None:
    vectors, queries = decaying(500, 40, seed=18), decaying(20, 40, seed=19)
    graph, codes = graph_of(vectors, "l2"), fit_codes(vectors, "l2")
    index = PackedIndex.pack(vectors, graph, "l2", codes=codes)
    assert all(array.ctypes.data % 64 == 0 for array in index.arrays().values() if array.size)
    shapes = packed_shapes(graph, 40, codes=codes, keeping="float32")
    out = {
        name: np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", dtype, shape)
        if np.prod(shape)
        else np.zeros(shape, dtype)
        for name, (shape, dtype) in shapes.items()
    }
    written = PackedIndex.pack(vectors, graph, "l2", codes=codes, out=out)
    assert same(written.arrays(), index.arrays())
    for array in out.values():
        if isinstance(array, np.memmap):
            array.flush()
    mapped = {
        name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") if np.prod(array.shape) else array
        for name, array in out.items()
    }
    opened = PackedIndex.from_arrays(mapped)
    assert np.shares_memory(opened.arrays()["codes"], mapped["codes"])
    found, expected = opened.search(queries, 10, ef=30), index.search(queries, 10, ef=30)
    assert np.array_equal(found.ids, expected.ids)
    assert opened.metric == "l2"
    assert opened.size == 500
    assert np.array_equal(opened.vectors, vectors)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize(("columns", "reordered"), [(32, False), (32, True), (40, False)])
def test_lasting_vectors_are_kept_where_they_lie_if_they_are_what_is_kept(
    metric: Metric, columns: int, reordered: bool
) -> None:
    vectors = aligned_empty((300, columns), np.float32)
    vectors[...] = decaying(300, columns, seed=21)
    graph, codes = graph_of(vectors, metric), fit_codes(vectors, metric)
    copied = PackedIndex.pack(vectors, graph, metric, codes=codes, reordered=reordered)
    vectors.setflags(write=False)
    lent = PackedIndex.pack(vectors, graph, metric, codes=codes, reordered=reordered)
    assert same(lent.arrays(), copied.arrays())
    assert not np.shares_memory(copied.arrays()["store"], vectors)
    kept = metric != "cosine" and columns == 32 and not reordered
    assert np.shares_memory(lent.arrays()["store"], vectors) == kept
    found, expected = lent.search(vectors[:20], 5, ef=20), copied.search(vectors[:20], 5, ef=20)
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.distances, expected.distances)


def test_arrays_that_do_not_fit_are_refused() -> None:
    vectors = decaying(100, 20, seed=20)
    graph, codes = graph_of(vectors, "l2"), fit_codes(vectors, "l2")
    arrays = PackedIndex.pack(vectors, graph, "l2", codes=codes).arrays()
    numbers = arrays["numbers"].copy()
    numbers[0] = 99
    with pytest.raises(ValueError, match=r"expected format 1, got .99.; pack it again"):
        PackedIndex.from_arrays(arrays | {"numbers": numbers})
    for name, cut in (
        ("store", arrays["store"][:-1]),
        ("codes", arrays["codes"][:, :-64]),
        ("shift", arrays["shift"][:-1]),
    ):
        with pytest.raises(ValueError, match=r"expected"):
            PackedIndex.from_arrays(arrays | {name: np.ascontiguousarray(cut)})
    with pytest.raises(VectorError, match="expected 100 rows, one per node"):
        PackedIndex.pack(vectors[1:], graph, "l2")
    with pytest.raises(ValueError, match="codes: expected those of 20 columns under ip"):
        PackedIndex.pack(vectors, graph, "ip", codes=codes)
    with pytest.raises(ValueError, match="out links: expected"):
        PackedIndex.pack(
            vectors, graph, "l2", out={name: np.zeros((1, 1), np.uint32) for name in arrays} | {"numbers": numbers}
        )
    with pytest.raises(ValueError, match="queries: expected 20 columns, got 3"):
        PackedIndex.from_arrays(arrays).search(np.ones((1, 3)), 1, ef=1)


def test_nodes_that_nobody_reaches_do_no_harm() -> None:
    graph = from_adjacency([0, 1, 2, 2], [1, 0], entry_points=[0])
    vectors = np.eye(3, dtype=np.float32)
    found = PackedIndex.pack(vectors, graph, "l2", codes=fit_codes(vectors, "l2"), reordered=True)
    assert found.search(vectors[2:], 3, ef=9).ids.tolist() == [[0, 1, NONE]]


DAMAGED = ("links", "upper_nodes", "upper_start", "upper_links", "entries", "rows", "numbers")


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_numbers_are_refused_or_do_no_harm(name: str) -> None:
    vectors = decaying(400, 20, seed=1)
    arrays = PackedIndex.pack(
        vectors, graph_of(vectors, "l2"), "l2", codes=fit_codes(vectors, "l2"), reordered=True
    ).arrays()
    random = np.random.default_rng(2)
    refused = 0
    for number in range(60):
        damaged = arrays[name].copy()
        places = random.integers(0, damaged.size, size=1 + number % 3)
        info = np.iinfo(damaged.dtype)
        values = [info.max, info.max - 1, info.min, 400, 401, 0, 7, int(random.integers(0, 10**9))]
        damaged.reshape(-1)[places] = random.choice(values, size=len(places))
        try:
            index = PackedIndex.from_arrays(arrays | {name: damaged})
        except ValueError:
            refused += 1
            continue
        for keep in (None, np.arange(400) % 2 == 0):
            found = index.search(vectors[:20], 10, ef=60, keep=keep).ids
            assert ((found < 400) | (found == NONE)).all()
    assert refused > 0 or name == "links"
