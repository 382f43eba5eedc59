"""Queries and the labels chosen for them: what each query is for, and the rows that a ranker is trained on."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.corpus.fields import name_parts
from tasks.xmr.sparse_rows import MatrixError, checked_rows, normalised_rows
from tasks.xmr.training import LevelProblem, TrainingParams, active_rows
from tasks.xmr.tree import LabelTree

#: What a query is used for.
TRAINING, CALIBRATION, TEST = SPLITS = ("training", "calibration", "test")


@dataclass(frozen=True)
class InteractionParams:
    """Shares of the queries that are held out to test and to calibrate, drawn by a hash of a query's id and the seed, and
    the share of bad rows above which an import fails.
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
    """Which rows are trained on.

    label_rows: the name and text of each label is a row of its own, so that a label which no query was seen for can be
    found. weighted: weights of interactions, over the largest of their query, are factors on the cost of a positive.
    """

    label_rows: bool = True
    weighted: bool = False


def splits_of(ids: Sequence[str], params: InteractionParams) -> list[str]:
    """What each query is for; a query keeps its part whatever other queries there are."""
    held = params.test_share + params.calibration_share
    found = []
    for key in ids:
        digest = hashlib.blake2b(f"{params.seed} {key}".encode("utf-8", "surrogatepass"), digest_size=8)
        place = int.from_bytes(digest.digest(), "big") / 2**64
        found.append(TEST if place < params.test_share else CALIBRATION if place < held else TRAINING)
    return found


def query_text(text: str) -> str:
    """A query as its features are made: in one line, so that all of it is one field."""
    return " ".join(text.split())


def label_text(key: str, name: str, text: str) -> str:
    """What a label says about itself: its name, the words in the name, and its text; empty where there is only an id of
    one word, which says nothing.
    """
    if not text.strip() and name in {"", key} and len(re.findall(r"\w+", key)) < 2 and not name_parts(key):
        return ""
    return query_text(" ".join([name or key, *name_parts(name or key), text]))


@dataclass(frozen=True)
class TrainingRows:
    """Features (n, d) and weights of labels (n, labels), rows of queries first; ``queries`` is how many these are.

    label_features (labels, d): the labels' own texts, which are the rest of the rows where they are trained on. negatives
    (n, labels): labels that were not wanted for a row, None where nobody said.
    """

    features: sparse.csr_array
    targets: sparse.csr_array
    queries: int
    label_features: sparse.csr_array
    negatives: sparse.csr_array | None = None

    @cached_property
    def scaled(self) -> sparse.csr_array:
        """The features scaled to length one, made once."""
        return normalised_rows(self.features)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many queries have each label."""
        seen = self.targets[: self.queries].indices
        return np.bincount(seen, minlength=self.targets.shape[1]).astype(np.int64)


def training_rows(
    features: sparse.csr_array, targets: sparse.csr_array, params: RowParams, negatives: sparse.csr_array | None = None
) -> TrainingRows:
    """The rows to train on, of features whose first rows are the queries' and the others the labels' own.

    features: (queries + labels, d). targets: weights (queries, labels), negatives of the same shape. Labels without known
    words give no row.
    """
    rows, chosen = checked_rows(features, "features"), checked_rows(targets, "targets")
    queries, labels = chosen.shape
    given = checked_rows(rows[queries:], "label features")
    if not params.label_rows:
        return TrainingRows(checked_rows(rows[:queries], "features"), chosen, queries, given, negatives)
    named = np.flatnonzero(np.diff(given.indptr))
    own = sparse.csr_array(
        (np.ones(len(named), np.float32), named.astype(np.int32), np.arange(len(named) + 1)), shape=(len(named), labels)
    )
    kept = np.concatenate([np.arange(queries), queries + named])
    return TrainingRows(
        rows if len(kept) == rows.shape[0] else checked_rows(rows[kept], "features"),
        checked_rows(sparse.vstack([chosen, own], format="csr"), "targets"),
        queries,
        given,
        None if negatives is None else _longer(negatives, len(kept)),
    )


def _longer(matrix: sparse.csr_array, rows: int) -> sparse.csr_array:
    """The matrix with empty rows at its end."""
    missing = sparse.csr_array((rows - matrix.shape[0], matrix.shape[1]), dtype=np.float32)
    return checked_rows(sparse.vstack([matrix, missing], format="csr"), "negatives")


def relative_costs(targets: sparse.csr_array) -> sparse.csr_array:
    """Weights over the largest of their row, as factors on the cost of a positive."""
    costs = checked_rows(targets.copy(), "targets")
    sizes = np.diff(costs.indptr)
    filled = np.flatnonzero(sizes)
    if len(filled):
        most = np.maximum.reduceat(costs.data, costs.indptr[filled])
        costs.data = costs.data / np.repeat(most, sizes[filled])
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
    """What one level is solved on: the true parents, the predicted ones or those above labels that were not wanted, and the
    costs of positives at the labels.
    """
    chosen = data.targets.copy()
    chosen.data = np.ones_like(chosen.data)
    targets = tree.targets(chosen)
    above = targets[level - 1] if level else None
    given = None
    if level and params.negatives == "user":
        if data.negatives is None:
            raise MatrixError(
                "user negatives: expected labels that were not wanted, got none; give some, or others than user"
            )
        given = tree.targets(data.negatives)[level - 1]
    active = active_rows(above, params.negatives, predicted=predicted, given=given)
    last = level == tree.depth - 1
    return LevelProblem(tree, level, relative_costs(data.targets) if last and rows.weighted else targets[level], active)
