"""Exported trees: the probabilities of scikit-learn, missing values among them, and what they refuse."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier

from fingerpost.ext.trees import tree_sums
from fingerpost.tasks.kg.boosting import BoostingParams, fit_matcher
from fingerpost.tasks.kg.exported_trees import exported
from fingerpost.tasks.kg.trees import BoostedTrees


def rows_and_labels(seed: int, count: int = 400, width: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, width)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[:, 3] = np.round(rows[:, 3], 1)
    labels = (np.nan_to_num(rows[:, 0] - rows[:, 3]) + rng.normal(size=count) * 0.5 > 0).astype(int)
    rows[:, 5] = np.nan
    return rows, labels


@pytest.mark.parametrize("seed", range(4))
def test_probabilities_are_those_of_the_classifier(seed: int) -> None:
    rows, labels = rows_and_labels(seed)
    matcher = fit_matcher(rows, labels, BoostingParams(trees=40, seed=seed))
    trees = exported(matcher.model, matcher.columns)
    other = rows_and_labels(seed + 100)[0]
    for some in (rows, other):
        assert np.array_equal(expit(trees.log_odds(some)), matcher.probabilities(some))
        assert trees.probabilities(some) == pytest.approx(matcher.probabilities(some), rel=1e-14)


def test_stored_trees_are_the_same() -> None:
    rows, labels = rows_and_labels(9)
    matcher = fit_matcher(rows, labels, BoostingParams(trees=5))
    trees = exported(matcher.model, matcher.columns)
    again = BoostedTrees.from_arrays(trees.arrays("one."), "one.")
    assert np.array_equal(again.log_odds(rows), trees.log_odds(rows))
    assert np.array_equal(trees.log_odds(rows[3:4]), trees.log_odds(rows)[3:4])


def test_a_tree_without_a_split_adds_its_leaf() -> None:
    rows = np.zeros((30, 1), np.float32)
    matcher = fit_matcher(rows, np.arange(30) % 2, BoostingParams(trees=3))
    assert np.array_equal(expit(exported(matcher.model, matcher.columns).log_odds(rows)), matcher.probabilities(rows))


def test_more_classes_are_refused() -> None:
    rows, _ = rows_and_labels(1)
    model = HistGradientBoostingClassifier(max_iter=2).fit(rows[:, :2], np.arange(len(rows)) % 3)
    with pytest.raises(ValueError, match="classifier: expected two classes, got 3"):
        exported(model, np.arange(2))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": [9, -1, -1]}, "expected features below 2, got 9"),
        ({"left": [0, 1, 2]}, "expected children after their parents"),
        ({"right": [3, 1, 2]}, "expected children after their parents"),
        ({"roots": [3]}, "expected roots of 0 to 2"),
        ({"roots": [-1]}, "expected roots of 0 to 2"),
        ({"values": [0.0, 1.0]}, "expected arrays of one length"),
    ],
)
def test_trees_that_do_not_fit_are_refused(changed: dict[str, list[float]], message: str) -> None:
    arrays = {"features": [1, -1, -1], "values": [0.5, -1, 1], "missing_left": [1, 0, 0]}
    arrays |= {"left": [1, 1, 2], "right": [2, 1, 2], "roots": [0]} | changed
    kinds = {"values": np.float64, "missing_left": np.uint8}
    given = {name: np.array(array, kinds.get(name, np.int32)) for name, array in arrays.items()}
    with pytest.raises(ValueError, match=message):
        tree_sums(**given, rows=np.zeros((1, 2), np.float32), start=0.0)


def test_a_matcher_of_features_with_a_column_without_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((200, 3)).astype(np.float32)
    labels = (values[:, 0] > 0.5).astype(int)
    values[:, 1] = np.nan
    values[::7, 0] = np.nan
    matcher = fit_matcher(values[:150], labels[:150], BoostingParams(trees=30))
    found = matcher.probabilities(values[150:])
    known = ~np.isnan(values[150:, 0])
    assert ((found > 0.5) == labels[150:])[known].mean() > 0.95
    again = fit_matcher(values[:150], labels[:150], BoostingParams(trees=30)).probabilities(values[150:])
    assert np.array_equal(found, again)
    with pytest.raises(ValueError, match="labels: expected pairs of both labels"):
        fit_matcher(values, np.ones(200, int), BoostingParams())
