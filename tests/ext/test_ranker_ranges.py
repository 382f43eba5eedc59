"""Beam search within ranges of labels, and through chain nodes, beside scoring all labels and masking them."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import ranker_beam
from fingerpost.tasks.xmr.label_ranges import LabelRanges, RangeError
from fingerpost.tasks.xmr.model import ModelError, RankerModel, join_chunks
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.beam_models import exhaustive, hinge, random_model, random_queries, random_tree

NONE = 0xFFFFFFFF
LABELS = 40
#: Many parents have one child, some have none.
WIDTHS = (3, 9, 12, LABELS)
RANGE = st.tuples(st.integers(0, LABELS), st.integers(0, LABELS)).map(sorted)


def ascending(ranges: list[list[int]]) -> list[list[int]]:
    """Ranges with ascending beginnings and ends."""
    return [[low, high] for low, high in zip(*(sorted(ends) for ends in zip(*ranges, strict=True)), strict=True)]


#: Up to three ranges, empty and overlapping ones among them, for each of five queries.
RANGES = st.lists(st.lists(RANGE, max_size=3).map(ascending), min_size=5, max_size=5)


def ranges_of(ranges: Sequence[Sequence[Sequence[int]]]) -> LabelRanges:
    flat = [one for of_query in ranges for one in of_query]
    low, high = (np.array([one[end] for one in flat], np.uint32) for end in (0, 1))
    start = np.concatenate(([0], np.cumsum([len(of_query) for of_query in ranges]))).astype(np.int64)
    return LabelRanges(start, low, high)


def wanted(ranges: Sequence[Sequence[int]]) -> np.ndarray:
    mask = np.zeros(LABELS, dtype=bool)
    for low, high in ranges:
        mask[low:high] = True
    return mask


def in_order(tree: LabelTree) -> LabelTree:
    """The tree with nodes in the order of their parents, so that each node's labels are a range."""
    return LabelTree(tuple(np.sort(parents) for parents in tree.parents), tree.chains)


def model_of(seed: int, *, chains: bool, ordered: bool) -> RankerModel:
    tree = random_tree(np.random.default_rng(seed), WIDTHS, chains=chains)
    return random_model(seed, tree=in_order(tree) if ordered else tree)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), chains=st.booleans(), ordered=st.booleans(), ranges=RANGES)
def test_a_wide_beam_equals_masked_scores_of_all_labels(
    seed: int, chains: bool, ordered: bool, ranges: list[list[list[int]]]
) -> None:
    model, queries = model_of(seed, chains=chains, ordered=ordered), random_queries(seed, 5)
    ranker = Ranker(model, BeamParams(LABELS, "l3-hinge"), ranges=True)
    everything, found = ranker.rank(queries, LABELS), ranker.rank(queries, LABELS, ranges=ranges_of(ranges))
    slow = np.exp(exhaustive(model, queries, hinge(3)))
    for query, of_query in enumerate(ranges):
        mask = wanted(of_query)
        kept = mask[everything.ids[query]]
        assert found.ids[query, : mask.sum()].tolist() == everything.ids[query][kept].tolist()
        assert found.scores[query, : mask.sum()].tolist() == everything.scores[query][kept].tolist()
        assert (found.ids[query, mask.sum() :] == NONE).all()
        assert (found.scores[query, mask.sum() :] == 0).all()
        np.testing.assert_allclose(everything.scores[query], slow[query, everything.ids[query]], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    chains=st.booleans(),
    ordered=st.booleans(),
    ranges=RANGES,
    beam=st.integers(1, 6),
    k=st.integers(1, 12),
)
def test_a_narrow_beam_returns_wanted_labels_with_their_scores(
    seed: int, chains: bool, ordered: bool, ranges: list[list[list[int]]], beam: int, k: int
) -> None:
    model, queries = model_of(seed, chains=chains, ordered=ordered), random_queries(seed, 5)
    ranker = Ranker(model, BeamParams(beam, "l3-hinge"), ranges=True)
    everything = ranker.rank(queries, LABELS, params=BeamParams(LABELS, "l3-hinge"))
    found = ranker.rank(queries, k, ranges=ranges_of(ranges))
    for query, of_query in enumerate(ranges):
        mask = wanted(of_query)
        score_of = dict(zip(everything.ids[query].tolist(), everything.scores[query].tolist(), strict=True))
        pairs = list(zip(found.ids[query].tolist(), found.scores[query].tolist(), strict=True))
        answered = [pair for pair in pairs if pair[0] != NONE]
        assert pairs[: len(answered)] == answered
        assert all(mask[label] and score == score_of[label] for label, score in answered)
        order = everything.ids[query].tolist()
        assert answered == sorted(answered, key=lambda pair: order.index(pair[0]))
        # Every kept node has a wanted label, so that a beam never ends without an answer.
        assert len({label for label, _ in answered}) == len(answered) >= min(mask.any(), 1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), chains=st.booleans(), ranges=RANGES, beam=st.integers(1, 6))
def test_lookups_batches_and_threads_agree_within_ranges(
    seed: int, chains: bool, ranges: list[list[list[int]]], beam: int
) -> None:
    model, queries = model_of(seed, chains=chains, ordered=False), random_queries(seed, 5)
    params, chosen = BeamParams(beam, "l3-hinge"), ranges_of(ranges)
    whole = Ranker(model, params, ranges=True).rank(queries, 7, ranges=chosen)
    for lookup in ranker_beam.LOOKUPS:
        ranker = Ranker(model, params, lookup=lookup, ranges=True)
        found = ranker.rank(queries, 7, ranges=chosen, threads=3)
        assert np.array_equal(found.ids, whole.ids)
        assert np.array_equal(found.scores, whole.scores)
        for row, of_query in enumerate(ranges):
            one_range = ranges_of([of_query])
            one = ranker.rank(queries[[row]], 7, ranges=one_range)
            assert np.array_equal(one.ids[0], whole.ids[row])
            assert np.array_equal(one.scores[0], whole.scores[row])
            ids, scores = ranker.rank_row(
                queries[[row]].indices, queries[[row]].data, 7, (one_range.low, one_range.high)
            )
            assert np.array_equal(ids, whole.ids[row])
            assert np.array_equal(scores, whole.scores[row])


def test_ranges_are_those_of_each_query_in_every_block() -> None:
    """300 queries in blocks of 64, of more threads than blocks."""
    model, queries = random_model(11, widths=(6, 40, 300)), random_queries(12, 300)
    low = np.arange(300, dtype=np.uint32)
    ranger = Ranker(model, BeamParams(beam=5), ranges=True)
    for threads in (1, 8):
        found = ranger.rank(queries, 2, ranges=LabelRanges.single(low, low + 1), threads=threads)
        assert found.ids[:, 0].tolist() == list(range(300))
        assert (found.ids[:, 1] == NONE).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(0, 2), beam=st.integers(1, 8), post=st.sampled_from(["", "log-"]))
def test_a_level_of_chain_nodes_changes_nothing(seed: int, at: int, beam: int, post: str) -> None:
    """Inserted above the first level, or below any but the labels: the same bits for every beam."""
    model, queries = model_of(seed, chains=True, ordered=False), random_queries(seed, 5)
    above = 1 if at == 0 else model.tree.width(at - 1)
    parents = (*model.tree.parents[:at], np.arange(above, dtype=np.int32), *model.tree.parents[at:])
    longer = RankerModel(
        model.features, LabelTree(parents, chains=True), (*model.levels[:at], (), *model.levels[at:]), model.normalised
    )
    for name in ("l3-hinge", "sigmoid"):
        params = BeamParams(beam, post + name)
        found, expected = (Ranker(one, params).rank(queries, 9) for one in (longer, model))
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.scores, expected.scores)


def chain_to_a_label(bias: Sequence[float]) -> RankerModel:
    """Two nodes with weights; below the first a chain down to label 0, below the second labels 1 and 2."""
    levels = (np.zeros(2, np.int32), np.array([0, 1], np.int32), np.array([0, 1, 1], np.int32))
    none = (np.empty(0, np.uint32), np.zeros(1, np.uint32), np.empty(0, np.uint8), np.empty(0, np.float32))
    top = join_chunks(
        np.zeros(1, np.uint32), [(*none, np.array(bias[:2], np.float32))], [np.arange(2, dtype=np.uint32)]
    )
    last = join_chunks(np.ones(1, np.uint32), [(*none, np.array(bias[2:], np.float32))], [np.array([1, 2], np.uint32)])
    return RankerModel(50, LabelTree(levels, chains=True), ((top,), (), (last,)))


def test_a_chain_node_has_the_score_of_its_parent() -> None:
    model = chain_to_a_label([0.5, 0.9, 0.2, 2.0])
    ranking = Ranker(model, BeamParams(post_processor="log-l1-hinge")).rank(random_queries(1, 1), 3)
    assert ranking.ids[0].tolist() == [2, 0, 1]
    np.testing.assert_allclose(ranking.scores[0], [-0.1, -0.5, -0.9], atol=1e-5)
    values = Ranker(model, BeamParams(post_processor="noop")).rank(random_queries(1, 1), 3)
    assert values.ids[0].tolist() == [2, 0, 1]
    np.testing.assert_allclose(values.scores[0], [2.0, 0.5, 0.2], atol=1e-6)
    assert Ranker(model, BeamParams(beam=1)).rank(random_queries(1, 1), 3).ids[0].tolist() == [2, 1, NONE]


def test_a_tree_may_be_a_chain() -> None:
    tree = LabelTree((np.zeros(1, np.int32), np.zeros(1, np.int32)), chains=True)
    ranker = Ranker(RankerModel(50, tree, ((), ())), ranges=True)
    found = ranker.rank(random_queries(1, 2), 2, ranges=ranges_of([[[0, 1]], []]))
    assert found.ids.tolist() == [[0, NONE], [NONE, NONE]]
    assert found.scores.tolist() == [[1, 0], [0, 0]]


def test_weights_of_chain_nodes_are_refused() -> None:
    model = chain_to_a_label([0.5, 0.9, 0.2, 2.0])
    single = random_model(1, tree=LabelTree((np.zeros(1, np.int32),))).levels[0]
    with pytest.raises(ModelError, match="model level 1: expected weights of 0 nodes, got 1"):
        RankerModel(50, model.tree, (model.levels[0], single, model.levels[2]))


def test_ranges_that_do_not_fit_are_refused() -> None:
    model, queries = random_model(1), random_queries(1, 2)
    fitting = ranges_of([[[0, 3]], [[2, 40]]])
    with pytest.raises(RangeError, match="expected a ranker made for them"):
        Ranker(model).rank(queries, 1, ranges=fitting)
    with pytest.raises(RangeError, match="one of the nodes of level 0; rank all levels"):
        Ranker(model, levels=1, ranges=True)
    ranker = Ranker(model, ranges=True)
    with pytest.raises(RangeError, match="expected those of 1 queries, got 2"):
        ranker.rank(queries[[0]], 1, ranges=fitting)
    with pytest.raises(RangeError, match="expected ends of at most 40, got 41"):
        ranker.rank(queries, 1, ranges=ranges_of([[[0, 3]], [[2, 41]]]))
    with pytest.raises(RangeError, match="low <= high"):
        ranges_of([[[3, 2]]])
    with pytest.raises(RangeError, match="expected ascending ranges"):
        ranges_of([[[1, 9]], [[3, 5], [2, 8]]])
    with pytest.raises(RangeError, match="expected ascending ranges"):
        ranges_of([[[1, 9], [3, 5]], []])
    ranges_of([[[3, 5]], [[2, 8], [2, 9]]])
    with pytest.raises(RangeError, match="index pointers from 0 to 1"):
        LabelRanges(np.array([0, 2]), fitting.low[:1], fitting.high[:1])


def test_the_memory_of_ranges_is_stated() -> None:
    tree = random_tree(np.random.default_rng(3), WIDTHS)
    ranker = Ranker(random_model(3, tree=tree), ranges=True)
    assert ranker.range_bytes == 4 * (sum(WIDTHS[:-1]) + 3 + 3 * LABELS)
    ordered = Ranker(random_model(3, tree=in_order(tree)), ranges=True)
    assert ordered.range_bytes == 4 * (sum(WIDTHS[:-1]) + 3)
    assert Ranker(random_model(3, tree=tree)).range_bytes == 0
