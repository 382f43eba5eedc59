"""The terms that vectors are computed from, and their weights in documents and queries."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.corpus.lexicon import Lexicon

if TYPE_CHECKING:  # queries have no sparse matrix, and scipy takes time and memory
    from scipy import sparse


@dataclass(frozen=True)
class TermWeightParams:
    """The columns of features.

    max_terms: maximum number of terms, the most frequent ones. min_df: minimum number of documents that a term is in;
    where no term is in so many, all count.
    ValueError for values below 1.
    """

    max_terms: int = 100_000
    min_df: int = 2

    def __post_init__(self) -> None:
        if self.max_terms < 1 or self.min_df < 1:
            raise ValueError(
                f"features: expected max_terms and min_df of at least 1, got {self.max_terms} and {self.min_df}; 100000 and"
                " 2 are usual"
            )


def inverse_document_frequency(lexicon: Lexicon) -> NDArray[np.float64]:
    """ln(1 + (n - df + 0.5) / (df + 0.5)) of every term, float64 (terms,), which is never negative."""
    frequency = lexicon.document_frequency
    return np.log1p((lexicon.documents - frequency + 0.5) / (frequency + 0.5))


def feature_columns(lexicon: Lexicon, params: TermWeightParams) -> NDArray[np.int64]:
    """The places in the lexicon of the terms that become columns, int64 (columns,), ascending; ties by term.

    Stop words become none.
    """
    frequent = (lexicon.document_frequency >= params.min_df) & ~lexicon.stop
    chosen = np.flatnonzero(frequent if frequent.any() else ~lexicon.stop if not lexicon.stop.all() else lexicon.stop)
    if len(chosen) > params.max_terms:
        order = np.argsort(-lexicon.document_frequency[chosen], kind="stable")
        chosen = np.sort(chosen[order[: params.max_terms]])
    return chosen.astype(np.int64)


def feature_rows(impacts: "sparse.csr_array", columns: NDArray[np.int64]) -> "sparse.csr_array":
    """What terms weigh in documents, those of the columns alone: CSR float32 (documents, columns), rows of norm 1.

    impacts: CSR (documents, lexicon's terms) with ascending rows. A row without a term of the columns is empty.
    """
    from scipy import sparse

    places = np.full(impacts.shape[1], -1, dtype=np.int32)
    places[columns] = np.arange(len(columns), dtype=np.int32)
    named = places[impacts.indices]
    known = named >= 0
    indptr = np.concatenate(([0], np.cumsum(known)))[impacts.indptr]
    rows = np.repeat(np.arange(impacts.shape[0]), np.diff(indptr))
    values = impacts.data[known]
    norms = np.sqrt(np.bincount(rows, weights=np.square(values, dtype=np.float64), minlength=impacts.shape[0]))
    scaled = (values / norms[rows]).astype(np.float32)
    matrix = sparse.csr_array((scaled, named[known], indptr), shape=(impacts.shape[0], len(columns)))
    matrix.has_canonical_format = True
    return matrix


@dataclass(frozen=True)
class TermWeights:
    """The weights of terms in queries.

    columns: int64 (c,), ascending, the places of features in the lexicon. factors: float32 (c,), their inverse document
    frequencies.
    """

    columns: NDArray[np.int64]
    factors: NDArray[np.float32]

    @classmethod
    def of(cls, lexicon: Lexicon, params: TermWeightParams) -> "TermWeights":
        """The weights for features of a lexicon."""
        columns = feature_columns(lexicon, params)
        return cls(columns, inverse_document_frequency(lexicon)[columns].astype(np.float32))

    def row(
        self, columns: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """A query as a row of features: its places among them, int64 (m,), and values, float32 (m,), of norm 1, or none.

        columns: int64 (q,), ascending places in the lexicon; weights: float32 (q,), their occurrences in the query.
        """
        places = np.searchsorted(self.columns, columns)
        known = np.flatnonzero(places < len(self.columns))
        known = known[self.columns[places[known]] == columns[known]]
        values = self.factors[places[known]] * weights[known]
        norm = np.sqrt(np.square(values, dtype=np.float64).sum())
        return places[known], values / np.float32(norm or 1.0)
