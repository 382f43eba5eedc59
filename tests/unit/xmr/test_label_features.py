"""Label embeddings beside their formulas, whatever the blocks."""

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.xmr import label_features
from fingerpost.tasks.xmr.label_features import EmbeddingParams, embed_labels
from fingerpost.tasks.xmr.sparse_rows import MatrixError
from tests.unit.xmr.worlds import topic_problem


def unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1)
    return rows / np.where(norms > 0, norms, 1)[:, None]


def test_pifa_is_its_formula() -> None:
    x, y = topic_problem(0)
    expected = unit(unit(y.toarray().astype(float)).T @ x.toarray())
    found = embed_labels(x, y)
    assert found.dtype == np.float32
    assert found.has_sorted_indices
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)


def test_blocks_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = topic_problem(1)
    whole = embed_labels(x, y)
    monkeypatch.setattr(label_features, "BLOCK_LABELS", 7)
    parts = sparse.vstack([embed_labels(x, y, begin=0, end=11), embed_labels(x, y, begin=11)], format="csr")
    assert np.array_equal(whole.data, parts.data)
    assert np.array_equal(whole.indices, parts.indices)


def test_concatenated_and_blended() -> None:
    x, y = topic_problem(2)
    plain = embed_labels(x, y).toarray()
    rng = np.random.default_rng(0)
    given = sparse.random_array((60, 150), density=0.1, rng=rng, dtype=np.float32, format="csr")
    beside = embed_labels(x, y, EmbeddingParams("pifa_concatenated"), own_features=given).toarray()
    assert np.array_equal(beside, np.hstack([plain, given.toarray()]))
    mixed = embed_labels(x, y, EmbeddingParams("pifa_blended", blend=0.25), own_features=given).toarray()
    np.testing.assert_allclose(mixed, 0.25 * plain + 0.75 * given.toarray(), atol=1e-6)
    with pytest.raises(MatrixError, match="label features: expected"):
        embed_labels(x, y, EmbeddingParams("pifa_blended"))
    with pytest.raises(ValueError, match="blend: expected 0 to 1"):
        EmbeddingParams(blend=2.0)


def test_pii_is_the_set_of_a_labels_rows() -> None:
    x, y = topic_problem(3)
    found = embed_labels(x, y, EmbeddingParams("pii"), begin=5, end=20)
    np.testing.assert_allclose(found.toarray(), unit(y.toarray().T)[5:20], atol=1e-6)


def test_labels_without_rows_stay_empty() -> None:
    x, y = topic_problem(4)
    wide = sparse.hstack([y, sparse.csr_array((y.shape[0], 2), dtype=np.float32)], format="csr")
    assert embed_labels(x, wide)[[60, 61]].nnz == 0


def test_other_rows_are_refused() -> None:
    x, y = topic_problem(5)
    with pytest.raises(MatrixError, match="targets: expected 400 rows, got 399"):
        embed_labels(x, y[:399])
    broken = x.copy()
    broken.data[3] = np.nan
    with pytest.raises(MatrixError, match="features: expected finite numbers"):
        embed_labels(broken, y)
