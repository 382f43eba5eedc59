"""Ranks and Spearman's correlation are scipy's; the aggregate is the mean of ranks and knows what it is not given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from fingerpost.tasks.nas.ranks import AGGREGATED, aggregate, ranks, spearman

FEW = st.sampled_from([-1e300, -1.0, -0.0, 0.0, 1e-300, 1.0, 2.0, 1e300])
PAIRS = st.lists(st.tuples(FEW, FEW), min_size=2, max_size=40)


@given(PAIRS)
def test_ranks_and_correlations_are_scipys(pairs: list[tuple[float, float]]) -> None:
    left, right = np.array(pairs).T
    assert ranks(left).tolist() == rankdata(left).tolist()
    varied = len(set(left)) > 1 and len(set(right)) > 1
    expected = spearmanr(left, right).statistic if varied else float("nan")
    assert spearman(left, right) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_what_cannot_be_scored_ranks_last() -> None:
    assert ranks(np.array([2.0, np.nan, -np.inf, 1.0])).tolist() == [4.0, 1.5, 1.5, 3.0]


def test_the_aggregate_is_the_mean_of_the_ranks_as_a_fraction() -> None:
    scores = {"a": np.array([1.0, 2.0, 3.0, 4.0]), "b": np.array([10.0, 30.0, 20.0, 40.0])}
    assert aggregate(scores, ("a", "b")).tolist() == [0.25, 0.625, 0.625, 1.0]
    assert aggregate({**scores, "c": np.array([1.0])}, ("a",)).tolist() == [0.25, 0.5, 0.75, 1.0]
    assert aggregate({name: np.empty(0) for name in AGGREGATED}).tolist() == []


def test_missing_scores_and_other_candidates_are_named() -> None:
    with pytest.raises(ValueError, match="expected synflow, naswot, jacobian, got none of naswot, jacobian"):
        aggregate({"synflow": np.ones(2)})
    with pytest.raises(ValueError, match=r"of the same candidates, got lengths \{'a': 2, 'b': 3\}"):
        aggregate({"a": np.ones(2), "b": np.ones(3)}, ("a", "b"))
