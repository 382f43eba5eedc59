"""The trees of scikit-learn's classifier as arrays."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.kg.boosting import BoostingParams, fit_matcher
from fingerpost.tasks.kg.trees import ARRAYS, BoostedTrees

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


def fit_trees(features: NDArray[np.float32], labels: NDArray[np.integer], params: BoostingParams) -> BoostedTrees:
    """Trees trained on pairs (m, features), NaN for unknown, with labels 0 or 1; without any known value no tree at all.

    ValueError if there are not pairs of both labels.
    """
    if np.isnan(features).all() and len(np.unique(labels)) > 1:
        share = float(np.mean(labels))
        nodes = {name: np.zeros(0, dtype=dtype) for name, dtype in ARRAYS.items()}
        return BoostedTrees(nodes, np.zeros(0, dtype=np.int64), float(np.log(share) - np.log1p(-share)))
    matcher = fit_matcher(features, labels, params)
    return exported(matcher.model, matcher.columns)


def exported(model: "HistGradientBoostingClassifier", columns: NDArray[np.int64]) -> BoostedTrees:
    """The trees of a trained classifier of two classes, whose features are some columns.

    ValueError for trees of categories and for more classes, which are not used here.
    """
    # scikit-learn keeps the trees in private attributes alone (1.9.1); a test compares its probabilities with ours.
    predictors = model._predictors
    if any(len(of_round) != 1 for of_round in predictors):
        raise ValueError(f"classifier: expected two classes, got {len(predictors[0])}; train on labels 0 and 1")
    trees = [of_round[0].nodes for of_round in predictors]
    if any(tree["is_categorical"].any() for tree in trees):
        raise ValueError("classifier: expected numeric features alone, got categories; encode them as numbers")
    roots = np.append(0, np.cumsum([len(tree) for tree in trees]))[:-1].astype(np.int32)
    nodes = np.concatenate(trees)
    shift = np.repeat(roots, [len(tree) for tree in trees])
    is_leaf = nodes["is_leaf"].astype(bool)
    own = np.arange(len(nodes), dtype=np.int32)
    found: dict[str, NDArray[np.generic]] = {
        "features": np.where(is_leaf, -1, nodes["feature_idx"]).astype(np.int32),
        "values": np.where(is_leaf, nodes["value"], nodes["num_threshold"]).astype(np.float64),
        "missing_left": nodes["missing_go_to_left"].astype(np.uint8),
        "left": np.where(is_leaf, own, nodes["left"].astype(np.int32) + shift).astype(np.int32),
        "right": np.where(is_leaf, own, nodes["right"].astype(np.int32) + shift).astype(np.int32),
        "roots": roots,
    }
    return BoostedTrees(found, columns, float(np.ravel(model._baseline_prediction)[0]))
