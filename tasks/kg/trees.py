"""Boosted trees as arrays: scikit-learn's classifier as exported after training, evaluated without it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from fingerpost.ext.trees import tree_sums

_ARRAYS = {
    "features": np.int32,
    "values": np.float64,
    "missing_left": np.uint8,
    "left": np.int32,
    "right": np.int32,
    "roots": np.int32,
}


@dataclass(frozen=True)
class BoostedTrees:
    """The nodes of all trees, see ``ext/trees.pyi``; columns: those of a row that they look at; start: before all trees.

    columns: int64 (features,).
    """

    nodes: Mapping[str, NDArray[np.generic]]
    columns: NDArray[np.int64]
    start: float

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (m,): log odds that a pair is one entity; features (m, all), as in training."""
        rows = np.ascontiguousarray(features[:, self.columns], dtype=np.float32)
        return tree_sums(**{name: self.nodes[name] for name in _ARRAYS}, rows=rows, start=self.start)  # type: ignore[arg-type]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (m,): the probability that a pair is one entity."""
        return 1.0 / (1.0 + np.exp(-self.log_odds(features)))

    def arrays(self, prefix: str = "") -> dict[str, NDArray[np.generic]]:
        """Named arrays to store."""
        found = {name: self.nodes[name] for name in _ARRAYS} | {
            "columns": self.columns,
            "start": np.array([self.start]),
        }
        return {prefix + name: array for name, array in found.items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]], prefix: str = "") -> "BoostedTrees":
        """The inverse of arrays."""
        nodes = {name: np.ascontiguousarray(arrays[prefix + name], dtype=dtype) for name, dtype in _ARRAYS.items()}
        columns = np.asarray(arrays[prefix + "columns"], dtype=np.int64)
        return BoostedTrees(nodes, columns, float(arrays[prefix + "start"][0]))


def exported(model: HistGradientBoostingClassifier, columns: NDArray[np.int64]) -> BoostedTrees:
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
