"""Sets of rows are the masks and lists that they are made from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.tasks.ann.keep import Keep, keep_rows, packed_mask


@given(st.integers(0, 200), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_masks_come_back(size: int, queries: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    masks = random.random((queries, size)) < random.random((queries, 1))
    keep = keep_rows(masks, size=size, queries=queries)
    owners = keep.owners(queries)
    assert keep.shared(queries).tolist() == np.bincount(owners, minlength=keep.sets).tolist()
    for query, mask in enumerate(masks):
        assert (keep.mask(int(owners[query])) == mask).all()
        assert keep.rows(int(owners[query])).tolist() == np.flatnonzero(mask).tolist()
        assert keep.counts[owners[query]] == mask.sum()
        for row in range(size):
            assert bool(keep.bits[owners[query], row // 64] >> np.uint64(row % 64) & np.uint64(1)) == mask[row]
    listed = keep_rows([np.flatnonzero(mask)[::-1] for mask in masks], size=size, queries=queries)
    assert (listed.bits == keep.bits).all()
    assert (listed.owners(queries) == owners).all()


def test_equal_sets_are_stored_once() -> None:
    keep = keep_rows([[3, 1], [], [1, 3, 3], []], size=70, queries=4)
    assert keep.sets == 2
    assert keep.owners(4).tolist() == [0, 1, 0, 1]
    assert keep.counts.tolist() == [2, 0]


def test_one_mask_is_for_all_queries() -> None:
    mask = np.arange(130) % 3 == 0
    keep = keep_rows(mask, size=130, queries=9)
    assert keep.sets == 1
    assert keep.owners(9).tolist() == [0] * 9
    assert keep.owners(2).tolist() == [0, 0]
    assert keep.shared(2).tolist() == [2]
    assert keep_rows(keep, size=130, queries=5) is keep


def test_removed_rows_leave_every_set() -> None:
    masks = np.random.default_rng(0).random((3, 100)) < 0.5
    removed = np.arange(100) % 2 == 0
    left = keep_rows(masks, size=100, queries=3).without(removed)
    for number, mask in enumerate(masks):
        assert (left.mask(number) == (mask & ~removed)).all()


def test_common_rows_of_two_kinds_of_sets() -> None:
    random = np.random.default_rng(3)
    masks, allowed = random.random((4, 90)) < 0.5, random.random(90) < 0.5
    masks[2] = masks[0]
    joined = keep_rows(masks, size=90, queries=4).both(keep_rows(allowed, size=90, queries=4), 4)
    assert joined.sets == 3
    for query, number in enumerate(joined.owners(4).tolist()):
        assert (joined.mask(number) == (masks[query] & allowed)).all()


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (np.ones(9, dtype=bool), r"expected a mask \(10,\) or one for each query \(2, 10\), got \(9,\)"),
        (np.ones((3, 10), dtype=bool), r"got \(3, 10\)"),
        (np.ones(10), "expected a mask, or lists of rows for 2 queries, got float64"),
        ([[1]], "got 1 lists"),
        ([[1], [10]], "keep of query 1: expected rows 0 to 9"),
        ([[-1], [1]], "keep of query 0: expected rows 0 to 9"),
        ([[0.5], [1]], "keep of query 0: expected row numbers"),
        ([[[1]], [1]], "keep of query 0: expected row numbers"),
    ],
)
def test_other_shapes_are_refused(keep: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keep_rows(keep, size=10, queries=2)  # type: ignore[arg-type]


def test_sets_of_another_index_are_refused() -> None:
    bits = packed_mask(np.ones((2, 70), dtype=bool))
    with pytest.raises(ValueError, match="expected sets of the index's 71 rows, got 70"):
        keep_rows(Keep(70, bits[:1]), size=71, queries=1)
    with pytest.raises(ValueError, match="expected one set for all queries, got 2"):
        Keep(70, bits)
    with pytest.raises(ValueError, match="no bits beyond row 68"):
        Keep(69, bits[:1])
    with pytest.raises(ValueError, match="expected a set below 2"):
        Keep(70, bits, np.array([2]))
    with pytest.raises(ValueError, match="sets of 3 queries, got 1"):
        Keep(70, bits, np.array([1])).owners(3)
    with pytest.raises(ValueError, match="expected contiguous uint64"):
        Keep(200, bits[:1])
