"""Scores of pairs and their histograms: every path, order and thread count gives what counting one by one gives."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.ext import pair_counts as kernel

MEASURES = ("cosine", "euclidean")


@pytest.fixture(autouse=True)
def restored_path() -> Iterator[None]:
    before = kernel.active_path()
    yield
    kernel.force_path(before)


def rows(count: int, dim: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, dim))
    return (drawn / np.linalg.norm(drawn, axis=1)[:, None]).astype(np.float32)


def binning(measure: str, bins: int) -> dict[str, float]:
    return {"inverse_width": bins / 2, "offset": bins // 2 if measure == "cosine" else bins, "bins": bins}


def counted(
    scores: np.ndarray, left: np.ndarray, right: np.ndarray | None, measure: str, bins: int
) -> list[np.ndarray]:
    """What pair_counts returns, pair by pair from the scores."""
    where = binning(measure, bins)
    bin_of = np.clip(np.floor(scores.astype(np.float64) * bins / 2) + where["offset"], 0, bins - 1).astype(int)
    names, others = np.unique(left), np.unique(left if right is None else right)
    out = [np.zeros((len(of), bins), np.uint32) for of in (names, others, names)]
    for i, a in enumerate(left):
        for j, b in enumerate(left if right is None else right):
            if right is not None or j > i:
                at, place = bin_of[i, j], np.searchsorted(names, a)
                out[0][place, at] += 1
                out[1][np.searchsorted(others, b), at] += 1
                out[2][place, at] += a == b
    return out


@settings(max_examples=40)
@given(
    sizes=st.tuples(st.integers(1, 110), st.integers(1, 300)),
    dim=st.integers(1, 40),
    classes=st.integers(1, 12),
    bins=st.sampled_from([2, 64, 2048]),
    measure=st.sampled_from(MEASURES),
    one_side=st.booleans(),
    seed=st.integers(0, 99),
)
def test_counts_are_those_of_the_scores_on_every_path(
    sizes: tuple[int, int], dim: int, classes: int, bins: int, measure: str, one_side: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    left, right = rows(sizes[0], dim, seed), rows(sizes[1], dim, seed + 100)
    left_classes = np.sort(random.integers(0, classes, len(left)))
    right_classes = np.sort(random.integers(3, classes + 3, len(right)))
    other = left if one_side else right
    scores = kernel.pair_scores(left, other, measure=measure)
    expected = counted(scores, left_classes, None if one_side else right_classes, measure, bins)
    sides = (None, None) if one_side else (right, right_classes)
    for path in kernel.available_paths():
        kernel.force_path(path)
        assert kernel.pair_scores(left, other, measure=measure).tobytes() == scores.tobytes(), path
        found = kernel.pair_counts(left, left_classes, *sides, measure=measure, **binning(measure, bins))
        assert all((a == b).all() for a, b in zip(found, expected, strict=True)), path


@pytest.mark.parametrize("measure", MEASURES)
def test_scores_are_near_the_true_ones_and_the_same_either_way_round(measure: str) -> None:
    left, right = rows(50, 200, 0), rows(70, 200, 1)
    scores = kernel.pair_scores(left, right, measure=measure)
    wide, other = left.astype(np.float64), right.astype(np.float64)
    true = wide @ other.T if measure == "cosine" else -np.sqrt(((wide[:, None] - other) ** 2).sum(axis=2))
    assert abs(scores - true).max() < 2e-6
    assert (scores == kernel.pair_scores(right, left, measure=measure).T).all()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("one_side", [True, False])
def test_threads_change_nothing(measure: str, one_side: bool) -> None:
    left, right = rows(700, 24, 3), rows(500, 24, 4)
    left_classes, right_classes = np.arange(700) // 9, np.arange(500) // 7
    sides = (None, None) if one_side else (right, right_classes)
    results = [
        kernel.pair_counts(left, left_classes, *sides, measure=measure, **binning(measure, 256), threads=threads)
        for threads in (1, 2, 5)
    ]
    pairs = 700 * 699 // 2 if one_side else 700 * 500
    assert results[0][0].sum() == results[0][1].sum() == pairs
    for other in results[1:]:
        assert all((a == b).all() for a, b in zip(results[0], other, strict=True))


def test_scores_beyond_the_range_count_at_its_ends() -> None:
    near, far = np.float32([[0, 0]]), np.float32([[3, 4], [0, 0], [1e30, 0], [3e38, 3e38]])
    found = kernel.pair_counts(
        near, np.array([0]), far, np.arange(4), measure="euclidean", inverse_width=1.0, offset=8, bins=8
    )
    assert found[1].argmax(axis=1).tolist() == [3, 7, 0, 0]


def test_what_cannot_be_counted_is_refused() -> None:
    left, classes = rows(4, 3, 0), np.arange(4)
    where = binning("cosine", 8)
    with pytest.raises(ValueError, match="left classes: expected one a row, ascending"):
        kernel.pair_counts(left, classes[::-1], None, None, measure="cosine", **where)
    with pytest.raises(ValueError, match="right classes: expected one a row"):
        kernel.pair_counts(left, classes, left, classes[:3], measure="cosine", **where)
    with pytest.raises(ValueError, match="rows: expected both sides of one width, got 3 and 5"):
        kernel.pair_scores(left, rows(2, 5, 0), measure="cosine")
    with pytest.raises(ValueError, match="measure: expected one of"):
        kernel.pair_scores(left, left, measure="ip")
    with pytest.raises(ValueError, match="bins: expected 1 to 65536"):
        kernel.pair_counts(left, classes, None, None, measure="cosine", inverse_width=1.0, offset=0, bins=70_000)
    with pytest.raises(ValueError, match="right side: expected rows and classes or neither"):
        kernel.pair_counts(left, classes, left, None, measure="cosine", **where)
    with pytest.raises(ValueError, match="SIMD path: expected one of"):
        kernel.force_path("sse9")


def test_nothing_counts_nothing() -> None:
    none = np.zeros((0, 3), np.float32)
    found = kernel.pair_counts(
        rows(2, 3, 0), np.arange(2), none, np.zeros(0, int), measure="cosine", **binning("cosine", 8)
    )
    assert [part.shape for part in found] == [(2, 8), (0, 8), (2, 8)]
    assert not any(part.any() for part in found)
