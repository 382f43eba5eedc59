"""Randomized SVD against a dense one, and its independence of the sharding."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from fingerpost.tasks.corpus import svd
from fingerpost.tasks.corpus.svd import (
    SvdParams,
    factorize,
    finish,
    orthonormalize,
    pass_shard,
    project,
    projection,
    start_block,
)


def decaying(rows, columns, *, rate, seed=0, rank=60):
    """A dense matrix with singular values rate**i, as CSR float32."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((rows, rank)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, rank)))[0]
    return sparse.csr_array(((left * rate ** np.arange(rank)) @ right.T).astype(np.float32))


def unit_rows(rows, columns, *, density=0.05, seed=0):
    matrix = sparse.random_array((rows, columns), density=density, rng=np.random.default_rng(seed), dtype=np.float32)
    matrix = matrix.tocsr()
    norms = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    norms[norms == 0] = 1
    matrix = (sparse.diags_array((1 / norms).astype(np.float32)) @ matrix).tocsr()
    matrix.sort_indices()
    return matrix


def energy_of(matrix):
    return float(np.sum(matrix.data.astype(np.float64) ** 2)) * 1.001


def test_equals_a_dense_svd_where_the_spectrum_decays():
    matrix = decaying(500, 300, rate=0.8)
    params = SvdParams(rank=12, oversampling=10, passes=3)
    model = factorize([matrix], params, energy=energy_of(matrix))
    _, values, right = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(model.singular_values, values[:12], rtol=1e-4)
    # Singular vectors up to sign: each is matched by itself and by no other.
    np.testing.assert_allclose(np.abs(model.components.T @ right[:12].T), np.eye(12), atol=2e-3)


def test_passes_and_oversampling_approach_the_best_rank():
    matrix = unit_rows(600, 400)
    best = np.linalg.svd(matrix.toarray(), compute_uv=False)[:20]
    shares = []  # of the energy that the best 20 dimensions hold
    for passes in (1, 2, 4):
        params = SvdParams(rank=20, passes=passes)
        captured = factorize([matrix], params, energy=600).singular_values
        shares.append(np.sum(captured**2) / np.sum(best**2))
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < shares[2] <= 1 + 1e-5


def test_components_are_orthonormal_with_a_fixed_sign():
    matrix = unit_rows(300, 200)
    components = factorize([matrix], SvdParams(rank=15), energy=300).components
    assert components.dtype == np.float32
    np.testing.assert_allclose(components.T @ components, np.eye(15), atol=1e-5)
    largest = np.argmax(np.abs(components), axis=0)
    assert np.all(components[largest, np.arange(15)] > 0)


@pytest.mark.parametrize("cuts", [(), (4,), (1, 2, 3), (2, 5), (7,)])
def test_any_sharding_into_blocks_gives_the_same_bits(cuts, monkeypatch):
    monkeypatch.setattr(svd, "BLOCK_ROWS", 32)
    matrix = unit_rows(32 * 8 + 5, 150)
    params = SvdParams(rank=10, passes=2)
    whole = factorize([matrix], params, energy=matrix.shape[0])
    bounds = [0, *[32 * cut for cut in cuts], matrix.shape[0]]
    shards = [matrix[begin:end] for begin, end in pairwise(bounds)]
    cut = factorize(shards[::-1], params, energy=matrix.shape[0])
    np.testing.assert_array_equal(cut.components, whole.components)
    np.testing.assert_array_equal(cut.singular_values, whole.singular_values)


def test_a_pass_is_the_product_it_names():
    matrix = unit_rows(90, 70)
    block = start_block(70, SvdParams(rank=5))
    np.testing.assert_allclose(block.T @ block, np.eye(15), atol=1e-12)
    dense = matrix.toarray().astype(np.float64)
    np.testing.assert_allclose(pass_shard(matrix, block, energy=90), dense.T @ (dense @ block), atol=1e-5)


def test_orthonormalize_takes_ill_conditioned_blocks():
    rng = np.random.default_rng(1)
    block = rng.standard_normal((80, 6))
    block[:, 5] = block[:, 0] + 1e-13 * block[:, 1]
    basis = orthonormalize(block)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-10)
    np.testing.assert_allclose(basis @ (basis.T @ block), block, atol=1e-10)


def test_data_of_lower_rank_than_asked_for():
    matrix = decaying(60, 40, rate=0.7, rank=4)
    model = factorize([matrix], SvdParams(rank=10), energy=energy_of(matrix))
    values = np.linalg.svd(matrix.toarray(), compute_uv=False)[:10]
    np.testing.assert_allclose(model.singular_values, values, atol=1e-3)
    np.testing.assert_allclose(model.components.T @ model.components, np.eye(10), atol=1e-4)
    assert np.all(np.isfinite(project(matrix, projection(model, whitening=0.5))))


def test_fewer_features_than_rank_and_empty_data():
    matrix = unit_rows(50, 6, density=0.8)
    model = factorize([matrix], SvdParams(rank=10), energy=50)
    assert model.components.shape == (6, 6)
    nothing = factorize([sparse.csr_array((3, 6), dtype=np.float32)], SvdParams(rank=2), energy=3)
    assert nothing.singular_values.tolist() == [0, 0]
    assert np.all(np.isfinite(projection(nothing, whitening=0.5)))


def test_projected_rows_are_unit_and_the_same_bits_in_any_batch():
    matrix = unit_rows(200, 300)
    matrix.data[matrix.indptr[7] : matrix.indptr[8]] = 0
    components = projection(factorize([matrix], SvdParams(rank=37), energy=200), whitening=0.5)
    dense = project(matrix, components)
    assert dense.dtype == np.float32
    norms = np.linalg.norm(dense, axis=1)
    np.testing.assert_allclose(np.delete(norms, 7), 1, atol=1e-6)
    assert not dense[7].any()
    for row in range(0, 200, 7):
        np.testing.assert_array_equal(project(matrix[row : row + 1], components)[0], dense[row])
    np.testing.assert_array_equal(project(matrix[13:90], components), dense[13:90])


def test_whitening_divides_by_a_power_of_the_singular_values():
    model = svd.SvdModel(np.eye(3, 2, dtype=np.float32), np.array([4.0, 0.25]))
    np.testing.assert_allclose(projection(model, whitening=0.5), [[0.5, 0], [0, 2], [0, 0]])
    np.testing.assert_array_equal(projection(model, whitening=0.0), model.components)


def test_shapes_and_params_are_checked():
    with pytest.raises(ValueError, match="expected 5 columns, got 4"):
        pass_shard(sparse.csr_array((2, 4), dtype=np.float32), np.zeros((5, 2)), energy=1)
    with pytest.raises(ValueError, match="expected 5 columns, got 4"):
        project(sparse.csr_array((2, 4), dtype=np.float32), np.zeros((5, 2), np.float32))
    with pytest.raises(ValueError, match="expected at least one, got none"):
        factorize([], SvdParams(), energy=1)
    with pytest.raises(ValueError, match="expected rank and passes of at least 1"):
        SvdParams(rank=0)
    assert finish(np.zeros((4, 2)), np.eye(4, 2), SvdParams(rank=2)).components.shape == (4, 2)
