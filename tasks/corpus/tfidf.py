"""TF-IDF features: families joined side by side, then one L2 norm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.corpus.ngrams import FamilyCounts, NgramParams, ShardCounts, count_family, csr_rows
from tasks.corpus.vocabulary import Vocabulary


@dataclass(frozen=True)
class TfidfParams:
    """How counts become features.

    ``sublinear`` takes 1 + ln(count) for a count of at least 1 (a field weight below 1 leaves smaller counts as they
    are, so that weights stay monotone). ``family_weights`` multiply the families before the norm, in their order.
    """

    sublinear: bool = False
    family_weights: tuple[float, ...] = (1.0, 0.6)


def _global_rows(
    counts: sparse.csr_array, columns: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Rename columns and drop those that are -1; (entries a row int64, columns int32, counts float32)."""
    named = columns[counts.indices] if len(columns) else counts.indices
    known = named >= 0
    ends = np.concatenate(([0], np.cumsum(known)))[counts.indptr]
    return np.diff(ends), named[known], counts.data[known]


def _family_values(
    family: FamilyCounts, vocabulary: Vocabulary, place: int, params: TfidfParams
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Weighted, not yet normalised values of one family: (entries a row, columns in the family, values)."""
    sizes, columns, counts = _global_rows(family.counts, vocabulary.families[place].columns(family.terms))
    values = counts.astype(np.float64)
    if params.sublinear:
        np.log(values, out=values, where=values >= 1.0)
        values[counts >= 1.0] += 1.0
    values *= vocabulary.idf[place][columns]
    values *= params.family_weights[place]
    return sizes, columns, values


def weigh_counts(shard: ShardCounts, vocabulary: Vocabulary, params: TfidfParams) -> sparse.csr_array:
    """TF-IDF of a shard: CSR float32 (documents, vocabulary.size), sorted, rows of norm 1 (or empty).

    A row depends on that document alone, not on its neighbours in the shard.
    """
    if not len(shard.families) == len(vocabulary.families) == len(params.family_weights):
        raise ValueError(
            f"families: expected the same number in counts, vocabulary and family_weights, got {len(shard.families)}, "
            f"{len(vocabulary.families)}, {len(params.family_weights)}; use the parameters that made them"
        )
    documents = shard.documents
    parts = [_family_values(family, vocabulary, place, params) for place, family in enumerate(shard.families)]
    sizes = np.sum([part[0] for part in parts], axis=0).astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    indices = np.empty(indptr[-1], dtype=np.int32)
    values = np.empty(indptr[-1], dtype=np.float64)
    filled = indptr[:-1].copy()
    for offset, (part_sizes, columns, part_values) in zip(vocabulary.offsets, parts, strict=True):
        begins = np.cumsum(part_sizes) - part_sizes
        target = np.arange(len(columns)) + np.repeat(filled - begins, part_sizes)
        indices[target] = columns + np.int32(offset)
        values[target] = part_values
        filled += part_sizes
    rows = np.repeat(np.arange(documents), sizes)
    # bincount adds in order, so a row's norm does not depend on how many rows there are.
    norms = np.sqrt(np.bincount(rows, weights=values * values, minlength=documents))
    norms[norms == 0] = 1.0
    values /= norms[rows]
    return csr_rows(values.astype(np.float32), indices, indptr, columns=vocabulary.size)


@dataclass(frozen=True)
class Featurizer:
    """Turns query texts into the features that documents have; a query is one field of weight 1."""

    vocabulary: Vocabulary
    ngrams: NgramParams
    tfidf: TfidfParams

    def count(self, texts: list[str]) -> ShardCounts:
        """Counts of every family, terms as they occur; document frequencies are left empty."""
        nothing = np.empty(0, dtype=np.int64)
        families = []
        for params in self.ngrams.families:
            counts, terms = count_family(texts, params)
            families.append(FamilyCounts(terms, nothing, counts))
        return ShardCounts(len(texts), tuple(families))

    def transform(self, texts: list[str]) -> sparse.csr_array:
        """TF-IDF of texts: CSR float32 (texts, vocabulary.size), sorted, rows of norm 1 (or empty)."""
        return weigh_counts(self.count(texts), self.vocabulary, self.tfidf)
