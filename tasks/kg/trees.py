"""Boosted trees as arrays, evaluated without the library that trained them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.trees import tree_sums

#: The arrays of nodes and their dtypes.
ARRAYS = {
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
        return tree_sums(**{name: self.nodes[name] for name in ARRAYS}, rows=rows, start=self.start)  # type: ignore[arg-type]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (m,): the probability that a pair is one entity."""
        return 1.0 / (1.0 + np.exp(-self.log_odds(features)))

    def arrays(self, prefix: str = "") -> dict[str, NDArray[np.generic]]:
        """Named arrays to store."""
        found = {name: self.nodes[name] for name in ARRAYS} | {
            "columns": self.columns,
            "start": np.array([self.start]),
        }
        return {prefix + name: array for name, array in found.items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]], prefix: str = "") -> "BoostedTrees":
        """The inverse of arrays."""
        nodes = {name: np.ascontiguousarray(arrays[prefix + name], dtype=dtype) for name, dtype in ARRAYS.items()}
        columns = np.asarray(arrays[prefix + "columns"], dtype=np.int64)
        return BoostedTrees(nodes, columns, float(arrays[prefix + "start"][0]))
