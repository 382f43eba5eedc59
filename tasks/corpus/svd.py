"""Randomized truncated SVD of a sharded sparse matrix, in a fixed number of passes.

Subspace iteration on XᵀX (Halko, Martinsson, Tropp 2011, section 4.5) followed by a Nyström factorisation of the
last pass (Tropp, Yurtsever, Udell, Cevher 2017, algorithm 3), which costs no further pass over the data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.linalg import blas

#: Rows that are multiplied together. Shards hold whole blocks, so that their sums do not depend on the sharding.
BLOCK_ROWS = 4_096

_CACHED_FEATURES = 256
_ORTHONORMAL = 1e-10


@dataclass(frozen=True)
class SvdParams:
    """Rank of the dense vectors and effort of the factorisation.

    rank: numbers of a vector.
    oversampling: additional columns of the random start.
    passes: number of passes over the data.
    whitening: each dimension of the vectors is divided by its singular value to this power; 0 keeps the scale of the
        decomposition, 1 gives all dimensions equal variance.
    seed: seed of the random start.
    """

    rank: int = 256
    oversampling: int = 10
    passes: int = 2
    whitening: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rank < 1 or self.oversampling < 0 or self.passes < 1:
            raise ValueError(
                "svd: expected rank and passes of at least 1 and oversampling of at least 0, "
                f"got {self.rank}, {self.passes}, {self.oversampling}; correct them"
            )


@dataclass(frozen=True)
class SvdModel:
    """components: float32 (features, rank), orthonormal columns; singular_values: float64 (rank,), descending."""

    components: NDArray[np.float32]
    singular_values: NDArray[np.float64]


def start_block(features: int, params: SvdParams) -> NDArray[np.float64]:
    """Random orthonormal start: float64 (features, min(rank + oversampling, features))."""
    columns = min(params.rank + params.oversampling, features)
    return orthonormalize(np.random.default_rng(params.seed).standard_normal((features, columns)))


def pass_shard(shard: sparse.csr_array, block: NDArray[np.float64], *, energy: float) -> NDArray[np.float64]:
    """One shard's XᵀX @ block: float64 (features, columns).

    energy: an upper bound on the sum of the squares of all entries of all shards (the number of documents if rows have
    norm 1), the same in every call of a pass. No sum can exceed it, so results rounded to multiples of
    ``energy * 2**-50`` add without error: any cut into shards of whole blocks, added in any order, gives the same bits.
    ValueError for another number of columns.
    """
    if shard.shape[1] != block.shape[0]:
        raise ValueError(f"shard: expected {block.shape[0]} columns, got {shard.shape[1]}; use one vocabulary")
    single = np.ascontiguousarray(block, dtype=np.float32)
    # Adding and subtracting 1.5 * 2**52 grid steps rounds to the grid.
    magic = 1.5 * 2.0 ** np.ceil(np.log2(max(energy, 1e-300)) + 2)
    total = np.zeros(block.shape)
    for begin in range(0, shard.shape[0], BLOCK_ROWS):
        _add_block(total, shard[begin : begin + BLOCK_ROWS], single, magic)
    return total


def _add_block(total: NDArray[np.float64], rows: sparse.csr_array, block: NDArray[np.float32], magic: float) -> None:
    """Add the rounded product of one block of rows, a few hundred features at a time to stay in the cache."""
    image = rows @ block
    turned = rows.T.tocsr()
    present = np.flatnonzero(np.diff(turned.indptr))
    product = turned[present] @ image
    for begin in range(0, len(present), _CACHED_FEATURES):
        features = present[begin : begin + _CACHED_FEATURES]
        part = product[begin : begin + _CACHED_FEATURES].astype(np.float64)
        part += magic
        part -= magic
        total[features] += part


def orthonormalize(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis of the block's column space: float64, same shape.

    Cholesky QR twice; Householder QR if the block is too ill-conditioned for that.
    """
    basis = block.copy()
    try:
        for _ in range(2):
            gram = basis.T @ basis
            if np.max(np.abs(gram - np.eye(len(gram))), initial=0.0) < _ORTHONORMAL:
                break
            basis = _divide_by_factor(basis, gram)
    except linalg.LinAlgError:
        basis = np.linalg.qr(block)[0]
    return np.ascontiguousarray(basis)


def _divide_by_factor(block: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
    """``block`` times the inverse of the upper Cholesky factor of ``square``; in place where the layout allows.

    Raises LinAlgError if the factor is too ill-conditioned.
    """
    factor = linalg.cholesky(square, lower=False, check_finite=False)
    diagonal = factor.diagonal()
    if diagonal.min() <= 1e-7 * diagonal.max():
        raise linalg.LinAlgError("the block has nearly dependent columns")
    return blas.dtrsm(1.0, factor, block.T, trans_a=1, overwrite_b=1).T


def finish(image: NDArray[np.float64], basis: NDArray[np.float64], params: SvdParams) -> SvdModel:
    """The factorisation from the last pass: ``image`` is XᵀX @ ``basis``, ``basis`` orthonormal (features, columns).

    The sign of each component makes its entry of largest magnitude (the first of equals) positive.
    """
    rank = min(params.rank, basis.shape[1])
    shift = np.sqrt(basis.shape[0]) * np.finfo(np.float64).eps * max(float(np.linalg.norm(image)), 1e-300)
    shifted = image + shift * basis
    core = basis.T @ shifted
    core = (core + core.T) / 2
    try:
        root = _divide_by_factor(shifted, core)
        values, small = linalg.eigh(root.T @ root)
        order = np.argsort(-values, kind="stable")[:rank]
        values = np.maximum(values[order], 0.0)
        if values[-1] <= 1e-12 * values[0] + 2 * shift:
            raise linalg.LinAlgError("the data has a lower rank than requested")
        vectors = root.astype(np.float32) @ (small[:, order] / np.sqrt(values)).astype(np.float32)
        squares = np.maximum(values - shift, 0.0)
    except linalg.LinAlgError:
        # The data has a lower rank than requested: Rayleigh-Ritz keeps the columns orthonormal.
        values, small = linalg.eigh((basis.T @ image + image.T @ basis) / 2)
        order = np.argsort(-values, kind="stable")[:rank]
        squares = np.maximum(values[order], 0.0)
        vectors = (basis @ small[:, order]).astype(np.float32)
    largest = np.argmax(np.abs(vectors), axis=0)
    vectors *= np.where(vectors[largest, np.arange(rank)] < 0, np.float32(-1), np.float32(1))
    return SvdModel(np.ascontiguousarray(vectors), np.sqrt(squares))


def factorize(shards: list[sparse.csr_array], params: SvdParams, *, energy: float) -> SvdModel:
    """The factorisation of shards in memory, equal to that of the sharded stage. ValueError without shards."""
    if not shards:
        raise ValueError("shards: expected at least one, got none; pass the rows to factorise")
    basis = start_block(shards[0].shape[1], params)
    for remaining in reversed(range(params.passes)):
        image = pass_shard(shards[0], basis, energy=energy)
        for shard in shards[1:]:
            image += pass_shard(shard, basis, energy=energy)
        if remaining:
            basis = orthonormalize(image)
    return finish(image, basis, params)


def projection(model: SvdModel, *, whitening: float) -> NDArray[np.float32]:
    """Components divided by their singular values to the power ``whitening``: float32 (features, rank).

    Dimensions with a singular value below a millionth of the largest carry no data and are set to zero.
    """
    values = model.singular_values
    empty = values <= 1e-6 * values.max(initial=0.0)
    scale = np.where(empty, 0.0, np.where(empty, 1.0, values) ** -whitening)
    return np.ascontiguousarray(model.components * scale, dtype=np.float32)


def project(features: sparse.csr_array, components: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dense rows of norm 1 (or zero): float32 (documents, rank).

    Sparse rows are multiplied independently, so a row has the same bits in any batch. ValueError for another number of
    columns.
    """
    if features.shape[1] != components.shape[0]:
        raise ValueError(
            f"features: expected {components.shape[0]} columns, got {features.shape[1]}; use one vocabulary"
        )
    dense = np.asarray(features @ components)
    norms = np.sqrt(np.einsum("ij,ij->i", dense, dense, dtype=np.float64))
    norms[norms == 0] = 1.0
    return np.ascontiguousarray((dense / norms[:, None]).astype(np.float32))
