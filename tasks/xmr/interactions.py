"""Queries and the labels chosen for them: the split of queries, and the rows that a ranker is trained on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.fields import name_parts
from fingerpost.tasks.corpus.scripts import WORD
from fingerpost.tasks.xmr.query_texts import query_text
from fingerpost.tasks.xmr.sparse_rows import MatrixError, checked_rows, normalised_rows
from fingerpost.tasks.xmr.training import LevelProblem, TrainingParams, active_rows
from fingerpost.tasks.xmr.tree import LabelTree

#: The splits of queries.
TRAINING, CALIBRATION, TEST = SPLITS = ("training", "calibration", "test")


@dataclass(frozen=True)
class InteractionParams:
    """Parameters of an import.

    test_share: fraction of the queries that are held out to test the ranker, sampled by a hash of query id and
        ``seed``.
    calibration_share: fraction of the queries that are held out to fit probabilities, sampled by a hash of query id
        and ``seed``.
    seed: seed of the choice of held-out queries.
    quarantine_share: maximum fraction of quarantined rows; an import with more fails.
    """

    test_share: float = 0.1
    calibration_share: float = 0.05
    seed: int = 0
    quarantine_share: float = 0.05

    def __post_init__(self) -> None:
        for name in ("test_share", "calibration_share", "quarantine_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}; correct it")
        if self.test_share + self.calibration_share >= 1:
            raise ValueError(
                f"test_share and calibration_share: expected less than 1 together, got {self.test_share} and "
                f"{self.calibration_share}; leave rows to train on"
            )


@dataclass(frozen=True)
class RowParams:
    """Selection and weights of training rows.

    label_rows: whether name and text of each label are a row, so that labels without a query can be ranked.
    weighted: whether the cost of a positive is multiplied by the weight of its interaction, relative to the largest
        of the query.
    """

    label_rows: bool = True
    weighted: bool = False


def splits_of(ids: Sequence[str], params: InteractionParams) -> list[str]:
    """The split of each query; it depends on the query's id and the seed only, not on other queries."""
    held = params.test_share + params.calibration_share
    splits = []
    for key in ids:
        digest = hashlib.blake2b(f"{params.seed} {key}".encode("utf-8", "surrogatepass"), digest_size=8)
        fraction = int.from_bytes(digest.digest(), "big") / 2**64
        splits.append(TEST if fraction < params.test_share else CALIBRATION if fraction < held else TRAINING)
    return splits


def label_text(key: str, name: str, text: str) -> str:
    """Text of a label: its name, the words in the name, and its text.

    Empty where there is nothing but an id of one word, which carries no information.
    """
    if not text.strip() and name in {"", key} and len(WORD.findall(key)) < 2 and not name_parts(key):
        return ""
    return query_text(" ".join([name or key, *name_parts(name or key), text]))


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a ranker is trained on: first those of queries, then those of label texts, if selected.

    features: CSR (n, d).
    targets: CSR (n, labels), weights of the positives.
    queries: number of rows of queries.
    label_features: CSR (labels, d), features of the label texts.
    negatives: CSR (n, labels), user-supplied negatives; None where there are none.
    """

    features: sparse.csr_array
    targets: sparse.csr_array
    queries: int
    label_features: sparse.csr_array
    negatives: sparse.csr_array | None = None

    @cached_property
    def scaled(self) -> sparse.csr_array:
        """The features scaled to unit length, computed once."""
        return normalised_rows(self.features)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of queries of each label, int64 (labels,)."""
        seen = self.targets[: self.queries].indices
        return np.bincount(seen, minlength=self.targets.shape[1]).astype(np.int64)


def training_rows(
    features: sparse.csr_array, targets: sparse.csr_array, params: RowParams, negatives: sparse.csr_array | None = None
) -> TrainingRows:
    """Training rows from the features of queries and label texts; labels without a known word add no row.

    features: CSR (queries + labels, d), queries first.
    targets: CSR (queries, labels), weights.
    negatives: CSR (queries, labels), user-supplied negatives.
    """
    rows, chosen = checked_rows(features, "features"), checked_rows(targets, "targets")
    queries, labels = chosen.shape
    label_features = checked_rows(rows[queries:], "label features")
    if not params.label_rows:
        return TrainingRows(checked_rows(rows[:queries], "features"), chosen, queries, label_features, negatives)
    with_text = np.flatnonzero(np.diff(label_features.indptr))
    own = sparse.csr_array(
        (np.ones(len(with_text), np.float32), with_text.astype(np.int32), np.arange(len(with_text) + 1)),
        shape=(len(with_text), labels),
    )
    kept = np.concatenate([np.arange(queries), queries + with_text])
    return TrainingRows(
        rows if len(kept) == rows.shape[0] else checked_rows(rows[kept], "features"),
        checked_rows(sparse.vstack([chosen, own], format="csr"), "targets"),
        queries,
        label_features,
        None if negatives is None else _longer(negatives, len(kept)),
    )


def _longer(matrix: sparse.csr_array, rows: int) -> sparse.csr_array:
    """The matrix with empty rows appended."""
    missing = sparse.csr_array((rows - matrix.shape[0], matrix.shape[1]), dtype=np.float32)
    return checked_rows(sparse.vstack([matrix, missing], format="csr"), "negatives")


def relative_costs(targets: sparse.csr_array) -> sparse.csr_array:
    """Weights relative to the maximum of their row: factors on the costs of positives."""
    costs = checked_rows(targets.copy(), "targets")
    sizes = np.diff(costs.indptr)
    filled = np.flatnonzero(sizes)
    if len(filled):
        maxima = np.maximum.reduceat(costs.data, costs.indptr[filled])
        costs.data = costs.data / np.repeat(maxima, sizes[filled])
    return costs


def level_problem(
    data: TrainingRows,
    tree: LabelTree,
    level: int,
    params: TrainingParams,
    rows: RowParams,
    *,
    predicted: sparse.csr_array | None,
) -> LevelProblem:
    """The problem of one level: targets, with costs on the last level, and the rows of each parent by ``negatives``.

    predicted: CSR (rows, parents), the predicted parents, for matcher-aware negatives. Raises MatrixError for
    user-supplied negatives without any.
    """
    chosen = data.targets.copy()
    chosen.data = np.ones_like(chosen.data)
    targets = tree.targets(chosen)
    above = targets[level - 1] if level else None
    user_parents = None
    if level and params.negatives == "user":
        if data.negatives is None:
            raise MatrixError(
                "user negatives: expected labels that were not chosen, got none; pass some, or select other negatives"
            )
        user_parents = tree.targets(data.negatives)[level - 1]
    active = active_rows(above, params.negatives, predicted=predicted, user_parents=user_parents)
    last = level == tree.depth - 1
    return LevelProblem(tree, level, relative_costs(data.targets) if last and rows.weighted else targets[level], active)
