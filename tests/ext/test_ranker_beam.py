"""Beam search beside a slow one: every lookup, every post-processor, one query and many, left-out chunks."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from fingerpost.ext import ranker_beam
from fingerpost.ext.sources import source_hash
from fingerpost.tasks.xmr.model import RankerModel, join_chunks
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
from fingerpost.tasks.xmr.sparse_rows import MatrixError
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.beam_models import exhaustive, hinge, random_model, random_queries

NONE = 0xFFFFFFFF


def test_the_binary_is_of_these_sources() -> None:
    assert source_hash("ranker_beam") == ranker_beam.SOURCE_HASH


@pytest.mark.parametrize("lookup", ranker_beam.LOOKUPS)
@pytest.mark.parametrize(
    ("post", "transform", "products"),
    [
        ("l3-hinge", hinge(3), True),
        ("l1-hinge", hinge(1), True),
        ("log-l2-hinge", hinge(2), False),
        ("sigmoid", lambda v: -np.logaddexp(0, -v), True),
        ("log-sigmoid", lambda v: -np.logaddexp(0, -v), False),
    ],
)
def test_a_wide_beam_equals_scoring_everything(lookup, post, transform, products) -> None:
    model, queries = random_model(1), random_queries(2, 12)
    expected = exhaustive(model, queries, transform)
    expected = np.exp(expected) if products else expected
    found = Ranker(model, BeamParams(beam=40, post_processor=post), lookup=lookup).rank(queries, 40)
    for query in range(12):
        assert sorted(found.ids[query].tolist()) == list(range(40))
        np.testing.assert_allclose(found.scores[query], expected[query, found.ids[query]], atol=1e-5)
        assert (np.diff(found.scores[query]) <= 0).all()


@pytest.mark.parametrize("lookup", ranker_beam.LOOKUPS)
def test_chunk_products_equal_the_plain_product(lookup) -> None:
    model, queries = random_model(3, widths=(30,)), random_queries(4, 20)
    found = Ranker(model, BeamParams(post_processor="noop"), lookup=lookup).rank(queries, 30)
    plain = queries.toarray() @ model.weights(0).toarray() + model.bias(0)
    np.testing.assert_allclose(found.scores, np.take_along_axis(plain, found.ids.astype(int), 1), atol=1e-5)
    if lookup != "chosen":
        counters = found.counters
        assert getattr(counters, lookup) == 20
        assert counters.march + counters.binary + counters.hash + counters.dense == 20


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), beam=st.integers(1, 12), k=st.integers(1, 12), density=st.sampled_from([0.0, 0.05, 0.6])
)
def test_lookups_batches_and_threads_agree_to_the_bit(seed: int, beam: int, k: int, density: float) -> None:
    model, queries = random_model(seed), random_queries(seed, 7, density=density)
    params = BeamParams(beam, "l3-hinge")
    whole = Ranker(model, params).rank(queries, k)
    for lookup in ranker_beam.LOOKUPS:
        ranker = Ranker(model, params, lookup=lookup)
        found = ranker.rank(queries, k, threads=3)
        assert np.array_equal(found.ids, whole.ids)
        assert np.array_equal(found.scores, whole.scores)
        for row in range(7):
            one = ranker.rank(queries[[row]], k)
            assert np.array_equal(one.ids[0], whole.ids[row])
            assert np.array_equal(one.scores[0], whole.scores[row])


def test_blocks_and_threads_change_neither_results_nor_counters() -> None:
    """400 queries: one block of one thread, more blocks of more threads, each query alone."""
    model, queries = random_model(11, widths=(6, 40, 300)), random_queries(12, 400)
    ranker = Ranker(model, BeamParams(beam=5))
    whole = ranker.rank(queries, 4)
    for threads in (2, 3, 50):
        found = ranker.rank(queries, 4, threads=threads)
        assert np.array_equal(found.ids, whole.ids)
        assert np.array_equal(found.scores, whole.scores)
        assert found.counters == whole.counters
    alone = [ranker.rank(queries[[row]], 4) for row in range(400)]
    assert np.array_equal(np.concatenate([one.ids for one in alone]), whole.ids)
    assert np.array_equal(np.concatenate([one.scores for one in alone]), whole.scores)
    assert whole.counters.left_out > 0


@pytest.mark.parametrize("rows", [3, 7, 8, 9, 1500])
@pytest.mark.parametrize("lookup", ["hash", "dense"])
def test_features_are_found_wherever_they_lie(rows: int, lookup: str) -> None:
    """Crowded at the start, none in the middle, the first and the last feature of the vocabulary among them."""
    features = 200_000
    crowded = np.arange(rows - rows // 3)
    chosen = np.concatenate([crowded, features - 1 - 7 * np.arange(rows // 3)[::-1]]).astype(np.uint32)
    weights = np.arange(1, rows + 1, dtype=np.float32)
    chunk = (chosen, np.arange(rows + 1, dtype=np.uint32), np.zeros(rows, np.uint8), weights, np.zeros(1, np.float32))
    block = join_chunks(np.zeros(1, np.uint32), [chunk], [np.zeros(1, np.uint32)])
    model = RankerModel(features, LabelTree((np.zeros(1, np.int32),)), ((block,),))
    ranker = Ranker(model, BeamParams(post_processor="noop"), lookup=lookup)
    asked = np.unique(np.concatenate([chosen, chosen + 1, [features // 2]]))
    asked = asked[asked < features]
    each = sparse.csr_array(
        (np.ones(len(asked), np.float32), asked, np.arange(len(asked) + 1)), shape=(len(asked), features)
    )
    expected = np.zeros(features, np.float32)
    expected[chosen] = weights
    assert np.array_equal(ranker.rank(each, 1).scores[:, 0], expected[asked])
    together = sparse.csr_array((np.ones(len(asked), np.float32), asked, [0, len(asked)]), shape=(1, features))
    assert ranker.rank(together, 1).counters.hits == rows


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), beam=st.integers(1, 6))
def test_a_narrow_beam_keeps_the_best_nodes_of_each_level(seed: int, beam: int) -> None:
    model, queries = random_model(seed), random_queries(seed, 3)
    found = Ranker(model, BeamParams(beam, "l3-hinge")).rank(queries, 40)
    for query, row in enumerate(queries.toarray().astype(np.float64)):
        kept = {0: 0.0}
        for level, parents in enumerate(model.tree.parents):
            values = row @ model.weights(level).toarray() + model.bias(level)
            scores = {n: kept[p] + hinge(3)(values[n]) for n, p in enumerate(parents.tolist()) if p in kept}
            room = 40 if level == model.tree.depth - 1 else beam
            ranked = sorted(scores.items(), key=lambda item: -item[1])
            # Neighbours nearer than float32 can tell may be kept one for the other.
            assume(len(ranked) <= room or ranked[room - 1][1] - ranked[room][1] > 1e-5)
            kept = dict(ranked[:room])
        mine = dict(zip(found.ids[query].tolist(), found.scores[query].tolist(), strict=True))
        mine.pop(NONE, None)
        assert set(mine) == set(kept)
        assert all(abs(mine[node] - np.exp(kept[node])) < 1e-5 for node in mine)


def test_values_above_one_do_not_tie() -> None:
    bias = np.array([1.5, 0.9, 3.0, 1.0, 3.0], np.float32)
    chunk = (np.empty(0, np.uint32), np.zeros(1, np.uint32), np.empty(0, np.uint8), np.empty(0, np.float32), bias)
    block = join_chunks(np.zeros(1, np.uint32), [chunk], [np.arange(5, dtype=np.uint32)])
    model = RankerModel(50, LabelTree((np.zeros(5, np.int32),)), ((block,),))
    found = Ranker(model, BeamParams(post_processor="l3-hinge")).rank(random_queries(1, 1), 5)
    assert found.ids[0].tolist() == [2, 4, 0, 3, 1]
    np.testing.assert_allclose(found.scores[0], [1, 1, 1, 1, np.exp(-(0.1**3))], atol=2e-6)


def test_chunks_that_cannot_add_are_left_out() -> None:
    model, queries = random_model(5, widths=(8, 64)), random_queries(6, 50)
    narrow = Ranker(model, BeamParams(beam=8)).rank(queries, 2)
    whole = Ranker(model, BeamParams(beam=8)).rank(queries, 64)
    assert narrow.counters.left_out > 0
    assert whole.counters.left_out == 0
    assert np.array_equal(narrow.ids, whole.ids[:, :2])


def test_the_way_is_chosen_by_density() -> None:
    """Few features: march or search; many: a bitmap where one of 64 is there, else hashes."""
    rng = np.random.default_rng(0)
    features = 200_000
    ways = {}
    for name, rows, entries in (("march", 100, 80), ("binary", 900, 5), ("hash", 2000, 80), ("dense", 8000, 80)):
        chosen = np.sort(rng.choice(features, rows, replace=False)).astype(np.uint32)
        chunk = (
            chosen,
            np.arange(rows + 1, dtype=np.uint32),
            np.zeros(rows, np.uint8),
            np.ones(rows, np.float32),
            np.zeros(1, np.float32),
        )
        block = join_chunks(np.zeros(1, np.uint32), [chunk], [np.zeros(1, np.uint32)])
        model = RankerModel(features, LabelTree((np.zeros(1, np.int32),)), ((block,),))
        columns = np.sort(rng.choice(chosen, entries, replace=False))
        query = sparse.csr_array((np.ones(entries, np.float32), columns, [0, entries]), shape=(1, features))
        found = Ranker(model, BeamParams(post_processor="noop")).rank(query, 1)
        assert found.scores[0, 0] == entries
        ways[name] = getattr(found.counters, name)
    assert ways == {"march": 1, "binary": 1, "hash": 1, "dense": 1}


def test_queries_are_put_in_order_or_refused() -> None:
    model = random_model(7)
    ranker = Ranker(model)
    right = sparse.csr_array((np.array([1.0, 2.0], np.float32), np.array([3, 9]), [0, 2]), shape=(1, 50))
    wrong = sparse.csr_array((np.array([2.0, 1.0], np.float32), np.array([9, 3]), [0, 2]), shape=(1, 50))
    assert np.array_equal(ranker.rank(right, 5).ids, ranker.rank(wrong, 5).ids)
    broken = right.copy()
    broken.data[1] = np.inf
    with pytest.raises(MatrixError, match="queries: expected finite numbers"):
        ranker.rank(broken, 5)
    with pytest.raises(MatrixError, match="expected 50 columns, got 51"):
        ranker.rank(sparse.csr_array((1, 51), dtype=np.float32), 5)


def test_few_labels_are_padded() -> None:
    model = random_model(8, widths=(4,))
    found = Ranker(model).rank(random_queries(9, 2), 6)
    assert (found.ids[:, 4:] == NONE).all()
    assert (found.scores[:, 4:] == 0).all()
