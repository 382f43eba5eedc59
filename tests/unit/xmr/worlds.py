"""Small ranking problems with structure: labels of a topic share features."""

import numpy as np
from scipy import sparse

from fingerpost.tasks.xmr.sparse_rows import checked_rows, normalised_rows


def topic_problem(
    seed: int = 0, *, rows: int = 400, labels: int = 60, features: int = 150
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Rows (n, d) of norm 1 and their labels (n, labels): each label has a few features of its own and of its topic."""
    rng = np.random.default_rng(seed)
    topics = max(2, labels // 10)
    words = np.stack(
        [np.concatenate([rng.choice(features, 5), 3 * (label % topics) + np.arange(3)]) for label in range(labels)]
    )
    y = np.zeros((rows, labels), np.float32)
    x = np.zeros((rows, features), np.float32)
    for row in range(rows):
        chosen = rng.choice(labels, rng.integers(1, 4), replace=False)
        y[row, chosen] = 1
        for label in chosen:
            x[row, rng.choice(words[label] % features, 5)] += 1
        x[row, rng.choice(features, 3)] += 0.3
    x /= np.linalg.norm(x, axis=1)[:, None]
    return checked_rows(sparse.csr_array(x), "features"), checked_rows(sparse.csr_array(y), "labels")


def leaf_centroids(features: sparse.csr_array, leaf_of_label: np.ndarray, leaves: int) -> sparse.csr_array:
    """Sums of the label features (labels, m) of each leaf, scaled to length one, CSR float32 (leaves, m)."""
    labels = len(leaf_of_label)
    choice = sparse.csr_array((np.ones(labels), (leaf_of_label, np.arange(labels))), shape=(leaves, labels))
    return normalised_rows(checked_rows(choice @ features, "leaf centroids"))
