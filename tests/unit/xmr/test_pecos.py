"""The whole way beside libpecos, kept as a golden file (tests/golden/make_pecos_model.py)."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.xmr.label_features import EmbeddingParams, embed_labels
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker
from fingerpost.tasks.xmr.sparse_rows import checked_rows
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
from fingerpost.tasks.xmr.tree import LabelTree
from tests.support.rankers import Training, train_ranker

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "pecos_model.npz"
Golden = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def trained(golden: Golden) -> Training:
    levels = sum(name.startswith("parents") for name in golden)
    tree = LabelTree(tuple(golden[f"parents_{level}"] for level in range(levels)))
    x, y = (checked_rows(sparse.csr_array(golden[name]), name) for name in ("x", "y"))
    solver = SolverParams(
        cost_positive=1.0, cost_negative=1.0, eps=1e-6, max_iter=20_000, threshold=0.0, frequency_discount=0.0
    )
    return train_ranker(x, y, tree, TrainingParams(solver, negatives="tfn", normalise=False))


def test_label_features_are_those_of_libpecos(golden: Golden) -> None:
    x, y = sparse.csr_array(golden["x"]), sparse.csr_array(golden["y"].astype(np.float32))
    found = embed_labels(x, y, EmbeddingParams(normalise=False)).toarray()
    np.testing.assert_allclose(found, golden["pifa"], atol=1e-5)


def test_the_whole_model_is_that_of_libpecos(golden: Golden, trained: Training) -> None:
    model = trained.model
    for level in range(model.tree.depth):
        np.testing.assert_allclose(model.weights(level).toarray(), golden[f"weights_{level}"][:-1], atol=1e-3)
        np.testing.assert_allclose(model.bias(level), golden[f"weights_{level}"][-1], atol=1e-3)


def test_scores_are_those_of_libpecos(golden: Golden, trained: Training) -> None:
    x = checked_rows(sparse.csr_array(golden["x"]), "x")
    labels = golden["y"].shape[1]
    found = Ranker(trained.model, BeamParams(labels, "l3-hinge")).rank(x, labels)
    expected = np.take_along_axis(golden["scores"], found.ids.astype(int), axis=1)
    np.testing.assert_allclose(found.scores, expected, atol=2e-3)
    # Its order, but for neighbours that are nearer than the solvers' accuracy.
    assert (np.diff(expected, axis=1) < 4e-3).all()
