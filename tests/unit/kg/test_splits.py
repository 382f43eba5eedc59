"""The split of known pairs: no entity is trained on and tested, and the order of rows changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.tasks.kg.splits import NONE, TEST, TRAINING, VALIDATION, KnownPairs, SplitParams, filled_splits

Rows = list[tuple[int, int, int, int]]
HALVES = SplitParams(0.25, 0.25)


def split(rows: Rows, params: SplitParams = HALVES, *, within: bool = False) -> list[int]:
    left, right, labels, splits = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    keys = [f"left {row}" for row in left]
    found = filled_splits(KnownPairs(left, right, labels, splits, within), keys, params)
    assert found.dtype == np.int8
    return found.tolist()


def groups_of(rows: Rows, *, within: bool) -> list[set[object]]:
    """The entities that positive pairs connect, by merging sets."""
    groups: list[set[object]] = []
    for left, right, label, _ in rows:
        ends = {left, right} if within else {("left", left), ("right", right)}
        if label:
            touched = [group for group in groups if group & ends]
            groups = [group for group in groups if not group & ends] + [ends.union(*touched)]
    return groups


_ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(10, 19), st.integers(0, 1), st.just(NONE)),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=150, deadline=None)
@given(_ROWS, st.booleans(), st.randoms())
def test_groups_stay_together_whatever_the_order(rows: Rows, within: bool, random: object) -> None:
    found = dict(zip([row[:2] for row in rows], split(rows, within=within), strict=True))
    assert set(found.values()) <= {TRAINING, VALIDATION, TEST}
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = dict(zip([row[:2] for row in shuffled], split(shuffled, within=within), strict=True))
    assert found == again
    for group in groups_of(rows, within=within):
        mine = [row[:2] for row in rows if (row[0] if within else ("left", row[0])) in group]
        assert len({found[pair] for pair in mine}) == 1
    # All pairs of a left entity are in one split.
    for left in {row[0] for row in rows}:
        assert len({found[row[:2]] for row in rows if row[0] == left}) == 1


def test_shares_of_many_pairs_and_another_seed() -> None:
    rows = [(row, row, 1, NONE) for row in range(4000)] + [(row, row + 1, 0, NONE) for row in range(4000)]
    params = SplitParams(0.1, 0.2)
    found = np.array(split(rows, params))
    for number, share in ((VALIDATION, 0.1), (TEST, 0.2), (TRAINING, 0.7)):
        assert np.mean(found[:4000] == number) == pytest.approx(share, abs=0.025)
        assert np.mean(found[4000:] == number) == pytest.approx(share, abs=0.025)
    assert split(rows, SplitParams(0.1, 0.2, seed=1)) != found.tolist()
    # What is added later moves nothing.
    assert split(rows[:2000], params) == found[:2000].tolist()


def test_a_few_pairs_are_in_every_split() -> None:
    for seed in range(20):
        found = split([(row, row, 1, NONE) for row in range(3)], SplitParams(0.01, 0.01, seed=seed))
        assert sorted(found) == [TRAINING, VALIDATION, TEST]
        assert split([(0, 0, 1, NONE), (1, 1, 1, NONE)], SplitParams(0, 0, seed=seed)) == [TRAINING, TRAINING]


def test_given_splits_stay_and_draw_their_group_along() -> None:
    rows = [(0, 0, 1, TEST), (0, 1, 1, NONE), (2, 1, 1, NONE), (3, 3, 1, VALIDATION), (3, 5, 0, NONE)]
    rows += [(row, row, 1, NONE) for row in range(10, 60)]
    found = split(rows)
    assert found[:5] == [TEST, TEST, TEST, VALIDATION, VALIDATION]
    # Test and validation are named, so that nothing else is added to them.
    assert set(found[5:]) == {TRAINING}


def test_validation_is_taken_from_training_where_only_training_and_test_are_given() -> None:
    rows = [(row, row, 1, TRAINING if row < 500 else TEST) for row in range(1000)]
    rows += [(row, row + 1, 0, TRAINING) for row in range(400)]
    found = split(rows, SplitParams(0.2, 0.3))
    assert found[500:1000] == [TEST] * 500
    assert np.mean(np.array(found[:500]) == VALIDATION) == pytest.approx(0.2, abs=0.05)
    # The negatives of an entity go along.
    assert all(found[1000 + row] == found[row] for row in range(400))
    assert split([(0, 0, 1, TRAINING), (1, 1, 1, VALIDATION)]) == [TRAINING, VALIDATION]


def test_no_pairs_and_wrong_shares() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert len(filled_splits(KnownPairs(nothing, nothing, nothing, nothing), [], HALVES)) == 0
    assert split([(0, 1, 0, NONE)]) in ([TRAINING], [VALIDATION], [TEST])
    with pytest.raises(ValueError, match="expected less than 1 together"):
        SplitParams(0.5, 0.5)
    with pytest.raises(ValueError, match="test_share: expected 0 to 1"):
        SplitParams(0.1, -0.1)
