"""Random forests of regression as arrays: trained by scikit-learn, evaluated without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.trees import tree_sums

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree

#: The arrays of nodes and their dtypes, see ``ext/trees.pyi``.
_NODES = {
    "features": np.int32,
    "values": np.float64,
    "missing_left": np.uint8,
    "left": np.int32,
    "right": np.int32,
    "roots": np.int32,
}

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Forest:
    """The nodes of all trees; a leaf's value is its tree's prediction."""

    nodes: Arrays

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the trees' predictions, float64 (n,) each, for features (n, d)."""
        count = len(self.nodes["roots"])
        sums = [self._sums(features, power) / count for power in (1, 2)]
        return sums[0], np.sqrt(np.maximum(sums[1] - sums[0] ** 2, 0.0))

    def _sums(self, features: NDArray[np.float32], power: int) -> NDArray[np.float64]:
        nodes = dict(self.nodes)
        if power == 2:
            leaves = np.asarray(self.nodes["features"], dtype=np.int32) < 0
            values = np.asarray(self.nodes["values"], dtype=np.float64)
            nodes["values"] = np.where(leaves, values**2, values)
        return tree_sums(**nodes, rows=np.ascontiguousarray(features), start=0.0)  # type: ignore[arg-type]

    def arrays(self, prefix: str) -> dict[str, NDArray[np.generic]]:
        """Named arrays to store."""
        return {prefix + name: self.nodes[name] for name in _NODES}

    @staticmethod
    def from_arrays(arrays: Arrays, prefix: str) -> "Forest":
        """The inverse of arrays."""
        return Forest({name: np.ascontiguousarray(arrays[prefix + name], dtype) for name, dtype in _NODES.items()})


def fit_forest(
    features: NDArray[np.float32], targets: NDArray[np.float64], *, trees: int, max_features: float, seed: int
) -> Forest:
    """A forest trained on features (n, d) and targets (n,), each tree on a bootstrap sample."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(trees, max_features=max_features, random_state=seed, n_jobs=1)
    model.fit(features, targets)
    return _exported([estimator.tree_ for estimator in model.estimators_])


def _exported(trees: "list[Tree]") -> Forest:
    """The arrays of scikit-learn's trees, in which a leaf has no children."""
    sizes = [tree.node_count for tree in trees]
    roots = np.append(0, np.cumsum(sizes))[:-1].astype(np.int32)
    shift = np.repeat(roots, sizes)
    own = np.arange(sum(sizes), dtype=np.int32)
    left, right, features, thresholds, values = (
        np.concatenate([np.ravel(getattr(tree, name)) for tree in trees])
        for name in ("children_left", "children_right", "feature", "threshold", "value")
    )
    leaves = left < 0
    return Forest(
        {
            "features": np.where(leaves, -1, features).astype(np.int32),
            "values": np.where(leaves, values, thresholds).astype(np.float64),
            "missing_left": np.zeros(len(own), dtype=np.uint8),
            "left": np.where(leaves, own, left + shift).astype(np.int32),
            "right": np.where(leaves, own, right + shift).astype(np.int32),
            "roots": roots,
        }
    )
