"""The stack of trees and an aligner, and thresholds of the F1 to be expected."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fingerpost.tasks.kg.boosting import BoostingParams
from fingerpost.tasks.kg.decisions import best_threshold
from fingerpost.tasks.kg.exported_trees import fit_trees
from fingerpost.tasks.kg.pair_scorer import Stack, StructurePairs
from fingerpost.tasks.kg.scorer import ScorerParams, fit_line, fit_stack, with_aligner
from tests.support.pair_thresholds import expected_threshold, f1_at, published_threshold

PARAMS = ScorerParams(BoostingParams(trees=10, fraction=0.5), forests=2)


def pairs_of(seed: int, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(int)
    features = (labels[:, None] + rng.normal(size=(count, 4)) * 0.8).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    return features, labels


def test_a_stack_averages_forests_and_is_stored_to_the_bit() -> None:
    features, labels = pairs_of(0)
    stack = fit_stack(("a", "b", "c", "d"), features, labels, PARAMS)
    first, second = (forest.log_odds(features) for forest in stack.forests)
    assert not np.array_equal(first, second)
    matches = int(labels.sum())
    assert stack.share == 30 / (30 + matches)
    wanted = (1 - stack.share) * (first + second) / 2 + stack.share * stack.line.log_odds(features)
    assert stack.of_features(features) == pytest.approx(wanted, rel=1e-12)
    again = Stack.from_arrays(stack.names, replace(stack, own=0.9, aligner=0.2, shift=-1.0).arrays())
    aligner = np.where(labels == 1, 2.0, np.nan)
    assert again.log_odds(features, aligner) == pytest.approx(
        0.9 * wanted - 1.0 + 0.2 * np.where(labels == 1, 2.0, 0.0), rel=1e-12
    )
    assert np.array_equal(again.log_odds(features), 0.9 * stack.of_features(features) - 1.0)
    alone = fit_stack(("a", "b", "c", "d"), features, labels, replace(PARAMS, line_matches=0))
    assert np.array_equal(alone.of_features(features), (first + second) / 2)


def test_a_line_is_a_logistic_regression_of_what_is_known() -> None:
    features, labels = pairs_of(4)
    features[:, 3] = 1.0
    line = fit_line(features, labels, PARAMS)
    assert line.slopes[3] == 0
    mean, spread = np.nanmean(features, axis=0, dtype=float), np.nanstd(features, axis=0, dtype=float)
    spread[3] = np.inf
    scaled = np.nan_to_num((features - mean) / spread)
    slow = LogisticRegression(C=PARAMS.line_scale).fit(scaled, labels)
    assert line.log_odds(features) == pytest.approx(slow.decision_function(scaled), abs=1e-3)
    assert np.array_equal(line.log_odds(features[7:8]), line.log_odds(features)[7:8])
    assert line.log_odds(np.full((1, 4), np.nan, np.float32)).tolist() == [line.shift]


def test_with_few_matches_no_two_pairs_are_tied() -> None:
    features, labels = pairs_of(5, 60)
    stack = fit_stack(("a", "b", "c", "d"), features, labels, PARAMS)
    other = np.random.default_rng(6).normal(size=(500, 4)).astype(np.float32)
    assert len(np.unique(stack.of_features(other))) == 500


def test_an_aligner_counts_only_where_validation_pairs_say_so() -> None:
    features, labels = pairs_of(1)
    stack = fit_stack(("a", "b", "c", "d"), features, labels, PARAMS)
    held, truth = pairs_of(2)
    trees, rng = stack.of_features(held), np.random.default_rng(3)
    useful = (2 * truth - 1) * 1.5 + rng.normal(size=len(truth))
    better = with_aligner(stack, trees, useful, truth, PARAMS)
    assert better.aligner > 0.5
    assert np.mean(np.sign(better.log_odds(held, useful)) == 2 * truth - 1) > np.mean(np.sign(trees) == 2 * truth - 1)
    for useless in (rng.normal(size=len(truth)), np.full(len(truth), np.nan), -useful):
        assert with_aligner(stack, trees, useless, truth, PARAMS) == stack
    few = truth.copy()
    few[np.flatnonzero(truth)[10:]] = 0
    assert with_aligner(stack, trees, useful, few, PARAMS) == stack


def test_without_a_known_feature_pairs_are_as_probable_as_matches_are_frequent() -> None:
    labels = np.array([1, 0, 0, 0])
    trees = fit_trees(np.full((4, 2), np.nan, np.float32), labels, BoostingParams())
    assert trees.probabilities(np.ones((3, 2), np.float32)) == pytest.approx([0.25] * 3)
    with pytest.raises(ValueError, match="labels: expected pairs of both labels"):
        fit_trees(np.full((4, 2), np.nan, np.float32), np.ones(4, int), BoostingParams())


def test_pairs_that_the_structure_does_not_have_are_improbable() -> None:
    pairs = StructurePairs.of(np.array([2, 0]), np.array([1, 5]), np.array([0.5, 0.25]))
    assert pairs.probabilities(np.array([(0, 5), (2, 1), (1, 2), (9, 9)])).tolist() == [0.25, 0.5, 0, 0]
    nothing = StructurePairs.of(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    assert np.isnan(nothing.probabilities(np.array([(0, 5)]))).all()


def test_the_expected_threshold_does_not_hang_on_single_pairs() -> None:
    labels = np.array([1] * 20 + [0] * 80)
    clean = np.append(np.linspace(4, 6, 20), np.linspace(-6, -4, 80))
    outlying = clean.copy()
    outlying[0], outlying[-1] = -4.2, 5.9
    assert -1 < expected_threshold(labels, clean) < 3
    assert abs(expected_threshold(labels, outlying)) < 3
    assert f1_at(labels, clean, expected_threshold(labels, outlying)) == 1
    assert f1_at(labels, clean, best_threshold(labels, outlying)) == 1
    for one in (np.ones(5, int), np.zeros(5, int)):
        with pytest.raises(ValueError, match="pairs: expected some of both labels"):
            expected_threshold(one, np.arange(5.0))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 30), st.floats(-50, 50))
def test_the_expected_threshold_goes_with_the_scale_of_scores(seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.random(60) < 0.4).astype(int)
    scores = labels * 2 + rng.normal(size=62)
    found = expected_threshold(labels, scores)
    assert f1_at(labels, scores, found) > 0.6 * f1_at(labels, scores, best_threshold(labels, scores))
    assert expected_threshold(labels, scores * scale + shift) == pytest.approx(found * scale + shift, abs=0.02 * scale)
    assert published_threshold(labels, scores) == pytest.approx(found, abs=0.02)


def test_settings_and_stages_load_no_package_that_trains() -> None:
    """Every process of a run loads them first; those of scipy take a fifth of its start."""
    modules = "fingerpost.flows.domains.settings, fingerpost.flows.run.catalog"
    unwanted = "{'scipy.optimize', 'scipy.stats', 'sklearn', 'torch'}"
    loaded = f"import sys, {modules}; print(sorted({unwanted} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"
