"""Matching by gradient boosting on similarities of attributes: the baseline of the models that look at neighbours."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


@dataclass(frozen=True)
class BoostingParams:
    """Settings of scikit-learn's histogram gradient boosting.

    trees: number of trees.
    learning_rate: factor on what each tree adds.
    leaves: maximum number of leaves of a tree.
    least_pairs: minimum number of pairs of a leaf.
    penalty: L2 penalty of the leaves.
    fraction: fraction of the features that a split may use.
    seed: seed of the trees.
    """

    trees: int = 300
    learning_rate: float = 0.05
    leaves: int = 15
    least_pairs: int = 10
    penalty: float = 1.0
    fraction: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class BoostedMatcher:
    """A trained classifier, and which features it looks at."""

    model: "HistGradientBoostingClassifier"
    columns: NDArray[np.int64]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (pairs,): probability that a pair is one entity; features as in training."""
        return np.asarray(self.model.predict_proba(features[:, self.columns])[:, 1], dtype=np.float64)


def fit_matcher(features: NDArray[np.float32], labels: NDArray[np.integer], params: BoostingParams) -> BoostedMatcher:
    """The classifier of pairs by their features (pairs, features), NaN for unknown, and labels 0 or 1.

    ValueError if there are not pairs of both labels.
    """
    # Settings name the parameters above: a command that trains nothing does not wait for scikit-learn.
    from sklearn.ensemble import HistGradientBoostingClassifier

    labels = np.asarray(labels)
    if not (np.any(labels == 0) and np.any(labels == 1)):
        raise ValueError("labels: expected pairs of both labels, 0 and 1, got one alone; give some of the other")
    # scikit-learn 1.9.1 refuses a column without any value (findings/).
    columns = np.flatnonzero(~np.isnan(features).all(axis=0))
    model = HistGradientBoostingClassifier(
        max_iter=params.trees,
        learning_rate=params.learning_rate,
        max_leaf_nodes=params.leaves,
        min_samples_leaf=params.least_pairs,
        l2_regularization=params.penalty,
        max_features=params.fraction,
        early_stopping=False,
        random_state=params.seed,
    )
    return BoostedMatcher(model.fit(features[:, columns], labels), columns)
