"""Features of labels, computed from their positive rows (PECOS, JMLR 23(98), 2022, section 3.1).

A block of labels depends on its own rows only, added in order in float64, so that every partition into blocks gives the
same bits.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows, csr_rows, normalised_rows

#: pifa: mean of a label's rows; concatenated, blended: with the labels' own features; pii: the set of a label's rows.
Embedding = Literal["pifa", "pifa_concatenated", "pifa_blended", "pii"]
EMBEDDINGS: tuple[Embedding, ...] = ("pifa", "pifa_concatenated", "pifa_blended", "pii")

#: Labels summed per batch.
BLOCK_LABELS = 2_048


@dataclass(frozen=True)
class EmbeddingParams:
    """How label features are computed.

    method: pifa (mean of a label's rows), pifa_concatenated or pifa_blended (with the features of the label's own
        text), or pii (the set of a label's rows).
    blend: weight of PIFA in "pifa_blended", 0 to 1.
    normalise: whether rows are scaled to unit length first, so that long rows do not dominate.
    """

    method: Embedding = "pifa"
    blend: float = 0.5
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.method not in EMBEDDINGS:
            raise ValueError(f"method: expected one of {EMBEDDINGS}, got {self.method!r}; choose one of them")
        if not 0.0 <= self.blend <= 1.0:
            raise ValueError(f"blend: expected 0 to 1, got {self.blend}; set it to the weight of PIFA")


def labels_by_row(targets: sparse.csr_array) -> sparse.csr_array:
    """Transposed targets, CSR float32 (labels, rows), of ``targets`` with rows scaled to unit length."""
    turned = normalised_rows(checked_rows(targets, "targets")).T.tocsr()
    return checked_rows(turned, "targets")


def pifa_block(features: sparse.csr_array, by_label: sparse.csr_array, begin: int, end: int) -> sparse.csr_array:
    """PIFA of the labels ``begin`` to ``end``: normalised sums of their rows, CSR float32 (end - begin, features)."""
    block = by_label[begin:end]
    used, columns = np.unique(block.indices, return_inverse=True)
    narrow = sparse.csr_array(
        (block.data.astype(np.float64), columns.astype(np.int32), block.indptr), shape=(block.shape[0], len(used))
    )
    product = narrow @ features[used].astype(np.float64)
    product = product.T.tocsr().T.tocsr() if not product.has_sorted_indices else product
    sums = csr_rows(
        product.data, product.indices.astype(np.int32), product.indptr.astype(np.int64), columns=features.shape[1]
    )
    return normalised_rows(sums)


def pifa(
    features: sparse.csr_array, by_label: sparse.csr_array, begin: int = 0, end: int | None = None
) -> sparse.csr_array:
    """PIFA of a range of labels, CSR float32, computed in batches of BLOCK_LABELS."""
    stop = by_label.shape[0] if end is None else end
    blocks = [
        pifa_block(features, by_label, first, min(first + BLOCK_LABELS, stop))
        for first in range(begin, stop, BLOCK_LABELS)
    ]
    if not blocks:
        return csr_rows(
            np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(1, np.int64), columns=features.shape[1]
        )
    return checked_rows(sparse.vstack(blocks, format="csr"), "label features")


def blend_rows(left: sparse.csr_array, right: sparse.csr_array, share: ArrayLike) -> sparse.csr_array:
    """``share`` * left + (1 - ``share``) * right, CSR float32; one share for all rows or one per row.

    Raises MatrixError for different shapes, ValueError for shares outside 0 to 1.
    """
    if left.shape != right.shape:
        raise MatrixError(
            f"label features: expected the shape {left.shape} of the rows' features, got {right.shape}; use one"
            " vocabulary"
        )
    weights = np.broadcast_to(np.asarray(share, dtype=np.float64), (left.shape[0],))
    if not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError("blend: expected shares from 0 to 1, got others; correct them")
    mixed = sparse.diags_array(weights) @ left + sparse.diags_array(1 - weights) @ right
    return checked_rows(mixed, "label features")


def embed_labels(
    features: sparse.csr_array,
    targets: sparse.csr_array,
    params: EmbeddingParams = EmbeddingParams(),
    *,
    own_features: sparse.csr_array | None = None,
    begin: int = 0,
    end: int | None = None,
) -> sparse.csr_array:
    """Features of the labels from ``begin`` to ``end``, CSR float32: the input of the clustering.

    features: CSR (n, d), the training rows.
    targets: CSR (n, labels), their labels with weights above 0.
    own_features: CSR (labels, m), the labels' own features, for "pifa_concatenated" (any m) and "pifa_blended" (m = d).

    Raises MatrixError for shapes that do not fit.
    """
    rows = checked_rows(features, "features")
    rows = normalised_rows(rows) if params.normalise else rows
    if targets.shape[0] != rows.shape[0]:
        raise MatrixError(
            f"targets: expected {rows.shape[0]} rows, got {targets.shape[0]}; pass the rows of the features"
        )
    stop = targets.shape[1] if end is None else end
    if params.method == "pii":
        return normalised_rows(checked_rows(checked_rows(targets, "targets").T.tocsr()[begin:stop], "targets"))
    pifa_rows = pifa(rows, labels_by_row(targets), begin, stop)
    if params.method == "pifa":
        return pifa_rows
    if own_features is None or own_features.shape[0] != targets.shape[1]:
        raise MatrixError(
            f"label features: expected rows of {targets.shape[1]} labels for {params.method}, got {own_features}; pass"
            " the labels' own features"
        )
    own_rows = checked_rows(own_features[begin:stop], "label features")
    if params.method == "pifa_blended":
        return blend_rows(pifa_rows, own_rows, params.blend)
    return checked_rows(sparse.hstack([pifa_rows, own_rows], format="csr"), "label features")
