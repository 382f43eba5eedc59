"""Histograms of pairs: what counting pair by pair gives, whatever the blocks, shards, threads and order."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.ann.search import VectorError
from fingerpost.tasks.metric.crossing import share_crossing
from fingerpost.tasks.metric.histograms import Block, PairCounter, block_pairs, count_pairs, pair_histograms
from fingerpost.tasks.metric.pairs import PairHistograms, exact_pairs, tails
from fingerpost.tasks.metric.scores import Measure, ScoreBins, bins_covering, class_rows
from tests.unit.metric.worlds import embeddings

MEASURES = ("cosine", "euclidean")


def bins_for(measure: Measure, count: int = 256) -> ScoreBins:
    return ScoreBins.cosine(count) if measure == "cosine" else ScoreBins.euclidean(16.0, count)


def same(a: PairHistograms, b: PairHistograms) -> bool:
    return bool((a.names == b.names).all() and (a.inside == b.inside).all() and (a.outside == b.outside).all())


@pytest.mark.parametrize("measure", MEASURES)
def test_counts_are_those_of_brute_force(measure: Measure) -> None:
    vectors, labels = embeddings(5, 60, 8, 0)
    bins = bins_for(measure, 16)
    found = pair_histograms(vectors, labels, bins)
    wide = vectors.astype(np.float64)
    if measure == "cosine":
        wide /= np.linalg.norm(wide, axis=1)[:, None]
    inside, outside = np.zeros((5, bins.count), int), np.zeros((5, bins.count), int)
    for i in range(60):
        for j in range(i):
            score = wide[i] @ wide[j] if measure == "cosine" else -np.linalg.norm(wide[i] - wide[j])
            place = int(np.clip(np.floor((score - bins.low) / bins.width), 0, bins.count - 1))
            if labels[i] == labels[j]:
                inside[labels[i], place] += 1
            else:
                outside[[labels[i], labels[j]], place] += 1
    assert (found.inside == inside).all()
    assert (found.outside == outside).all()
    sizes = np.bincount(labels)
    assert (found.positives == sizes * (sizes - 1) // 2).all()
    assert (found.negatives == sizes * (60 - sizes)).all()


@settings(max_examples=25)
@given(
    measure=st.sampled_from(MEASURES),
    seed=st.integers(0, 50),
    block_rows=st.integers(5, 130),
    threads=st.integers(1, 3),
)
def test_blocks_threads_and_order_change_nothing(measure: Measure, seed: int, block_rows: int, threads: int) -> None:
    vectors, labels = embeddings(7, 120, 5, seed)
    bins = bins_for(measure)
    order = np.random.default_rng(seed).permutation(120)
    found = pair_histograms(vectors[order], labels[order], bins, block_rows=block_rows, threads=threads)
    assert same(found, pair_histograms(vectors, labels, bins))


@settings(max_examples=25)
@given(seed=st.integers(0, 50), shards=st.integers(1, 6), rows=st.integers(2, 40))
def test_shards_add_up_to_the_whole(seed: int, shards: int, rows: int) -> None:
    vectors, labels = embeddings(6, 90, 4, seed)
    data, bins = class_rows(vectors, labels, "cosine"), bins_for("cosine")
    blocks = [Block(data.rows[at : at + rows], data.classes[at : at + rows]) for at in range(0, 90, rows)]
    owner = np.random.default_rng(seed).integers(0, shards, len(block_pairs(len(blocks))))
    total = PairCounter(6, bins)
    for shard in range(shards):
        mine = [pair for pair, own in zip(block_pairs(len(blocks)), owner, strict=True) if own == shard]
        total.merge(count_pairs(blocks, 6, bins, mine))
    assert same(total.histograms(data.names), pair_histograms(vectors, labels, bins))


def test_two_blocks_are_held_at_a_time() -> None:
    vectors, labels = embeddings(6, 90, 4, 0)
    data, bins = class_rows(vectors, labels, "cosine"), bins_for("cosine")
    made: list[weakref.ref[np.ndarray]] = []
    most = 0

    class Read(list[int]):
        """Blocks that are copied out of the rows each time."""

        def __getitem__(self, number: int) -> Block:  # type: ignore[override]
            nonlocal most
            rows = data.rows[10 * number : 10 * number + 10].copy()
            made.append(weakref.ref(rows))
            most = max(most, sum(ref() is not None for ref in made))
            return Block(rows, data.classes[10 * number : 10 * number + 10])

    found = count_pairs(Read(range(9)), 6, bins).histograms(data.names)  # type: ignore[arg-type]
    assert same(found, pair_histograms(vectors, labels, bins))
    assert most == 2


@settings(max_examples=40)
@given(
    measure=st.sampled_from(MEASURES),
    seed=st.integers(0, 99),
    classes=st.integers(2, 8),
    count=st.sampled_from([4, 64, 1024]),
    dim=st.integers(1, 12),
)
def test_histogram_is_exact_at_edges_and_within_a_bin_between(
    measure: Measure, seed: int, classes: int, count: int, dim: int
) -> None:
    vectors, labels = embeddings(classes, 40, dim, seed)
    bins = bins_for(measure, count)
    exact, found = exact_pairs(vectors, labels, measure), pair_histograms(vectors, labels, bins)
    assert same(exact.histograms(bins), found)
    inner = bins.edges[1:-1]
    for ours, theirs in zip(found.accepted(inner), exact.accepted(inner), strict=True):
        assert (ours == theirs).all()
    between = np.random.default_rng(seed).uniform(inner[0], inner[-1], 20)
    below, above = np.floor(between / bins.width) * bins.width, np.ceil(between / bins.width) * bins.width
    for kind in (0, 1):
        ours = found.accepted(between)[kind]
        assert (ours <= exact.accepted(below)[kind] + 1e-9).all()
        assert (ours >= exact.accepted(above)[kind] - 1e-9).all()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 0.93])
def test_thresholds_of_rates_are_within_a_bin_of_the_exact_ones(measure: Measure, rate: float) -> None:
    vectors, labels = embeddings(6, 150, 6, 1)
    bins = bins_for(measure, 1024)
    exact, found = exact_pairs(vectors, labels, measure), pair_histograms(vectors, labels, bins)
    assert abs(found.score_at_far(rate) - exact.score_at_far(rate)) <= bins.width
    assert abs(found.score_at_frr(rate) - exact.score_at_frr(rate)) <= bins.width
    at_far, at_frr = [exact.score_at_far(rate)], [exact.score_at_frr(rate)]
    assert exact.accepted(at_far)[1].sum() <= rate * exact.negatives.sum()
    assert exact.accepted(at_frr)[0].sum() >= (1 - rate) * exact.positives.sum()


def test_level_curves_are_crossed_at_their_lower_or_upper_end() -> None:
    edges, accepted = np.arange(6.0), np.array([10, 10, 5, 5, 5, 0])
    assert share_crossing(edges, accepted, 0.5) == 2
    assert share_crossing(edges, accepted, 0.5, highest=True) == 4
    assert share_crossing(edges, accepted, 1.0, highest=True) == 1
    assert share_crossing(edges, accepted, 1.0) == 0
    assert share_crossing(edges, accepted, 0.0) == 5
    assert share_crossing(edges, accepted, 0.25) == 4.5
    assert tails(np.array([0, 5, 0, 0, 5])).tolist() == accepted.tolist()


def test_bins_are_powers_of_two_and_cover_what_is_asked_for() -> None:
    bins = ScoreBins.euclidean(10.0, 1000)
    assert bins.width == 2**-6
    assert bins.count * bins.width >= 10.0
    assert bins.edges[-1] == 0
    assert ScoreBins.cosine(4).edges.tolist() == [-1, -0.5, 0, 0.5, 1]
    for make in (
        lambda: ScoreBins.cosine(100),
        lambda: ScoreBins.euclidean(0.0),
        lambda: ScoreBins("cosine", 0.3, -0.9, 4),
        lambda: ScoreBins("cosine", 0.5, -0.75, 4),
        lambda: ScoreBins("cosine", 2**-17, -1.0, 1 << 17),
    ):
        with pytest.raises(ValueError, match="expected"):
            make()


def test_bins_of_vectors_cover_every_distance_and_a_range_that_does_not_is_said() -> None:
    vectors, labels = embeddings(4, 60, 6, 2)
    assert bins_covering(vectors, "cosine", 64) == ScoreBins.cosine(64)
    bins, exact = bins_covering(vectors, "euclidean"), exact_pairs(vectors, labels, "euclidean")
    lowest = min(scores[0] for scores in exact.outside)
    assert 2 * lowest <= bins.low <= lowest
    short = pair_histograms(vectors, labels, ScoreBins.euclidean(1.0))
    with pytest.raises(ValueError, match=r"threshold: expected a distance of less than 0\.999"):
        short.score_at_frr(0.0)
    with pytest.raises(ValueError, match=r"threshold: expected a distance of less than 0\.999"):
        short.score_at_far(0.99)
    with pytest.raises(ValueError, match=r"threshold: expected a distance of less than 0\.999"):
        short.accepted([-1.5])
    pairs = pair_histograms(vectors, labels, bins)
    assert (pairs.accepted([2 * bins.low])[1][:, 0] == pairs.negatives).all(), "no pair lies that far apart"


def test_what_cannot_be_counted_is_refused() -> None:
    vectors, labels = embeddings(3, 10, 4, 0)
    with pytest.raises(VectorError, match="labels: expected one for each of 10 vectors"):
        pair_histograms(vectors, labels[:9], ScoreBins.cosine())
    vectors[4] = 0
    with pytest.raises(VectorError, match="vectors row 4: expected a vector of nonzero length"):
        pair_histograms(vectors, labels, ScoreBins.cosine())
    vectors[4, 1] = np.nan
    with pytest.raises(VectorError, match="vectors row 4: expected finite"):
        pair_histograms(vectors, labels, bins_for("euclidean"))
    with pytest.raises(ValueError, match="block rows: expected 1 to 65535"):
        pair_histograms(vectors, labels, ScoreBins.cosine(), block_rows=1 << 16)
    with pytest.raises(ValueError, match="pairs: expected at most 20,000,000"):
        exact_pairs(np.ones((7000, 1)), np.arange(7000), "cosine")
    with pytest.raises(ValueError, match="pair counts: expected the same bins"):
        PairCounter(3, ScoreBins.cosine(4)).merge(PairCounter(3, ScoreBins.cosine(8)))
