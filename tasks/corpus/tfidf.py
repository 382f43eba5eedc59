"""TF-IDF features: the columns of all families concatenated, rows L2-normalised."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.ngrams import FamilyCounts, NgramParams, ShardCounts, count_family, csr_rows
from fingerpost.tasks.corpus.vocabulary import Vocabulary


@dataclass(frozen=True)
class TfidfParams:
    """How counts become features.

    sublinear: replace a count of at least 1 by 1 + ln(count); smaller counts, from field weights below 1, stay as they
    are, which keeps weights monotone. family_weights: factors of the families, in their order, before normalisation.
    """

    sublinear: bool = False
    family_weights: tuple[float, ...] = (1.0, 0.6)


def _family_values(
    family: FamilyCounts, vocabulary: Vocabulary, number: int, params: TfidfParams
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Weighted, not yet normalised values of one family: (entries per row, columns in the family, values)."""
    indices, values, sizes = family.counts.indices, family.counts.data, np.diff(family.counts.indptr)
    chosen = vocabulary.families[number]
    if family.terms is not None and family.terms is not chosen.terms:
        columns = chosen.columns(family.terms)
        named = columns[indices] if len(columns) else indices
        known = named >= 0
        ends = np.concatenate(([0], np.cumsum(known)))[family.counts.indptr]
        indices, values, sizes = named[known], values[known], np.diff(ends)
    if params.sublinear:
        values = np.where(values >= 1, 1 + np.log(np.maximum(values, 1)), values)
    # The order of the two products is the same in both branches, so a single query has the same bits as in a batch.
    idf, weight = vocabulary.idf[number], params.family_weights[number]
    if len(indices) < len(idf):
        scale = (idf[indices] * weight).astype(np.float32)
    else:
        scale = (idf * weight).astype(np.float32)[indices]
    return sizes.astype(np.int64), indices, values * scale


def _join(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]], offsets: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The families' columns concatenated: (entries per row, columns, values)."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.sum([part[0] for part in parts], axis=0).astype(np.int64)
    filled = np.cumsum(sizes) - sizes
    indices = np.empty(sizes.sum(), dtype=np.int32)
    values = np.empty(len(indices), dtype=np.float32)
    for offset, (part_sizes, columns, part_values) in zip(offsets, parts, strict=True):
        target = np.arange(len(columns)) + np.repeat(filled - (np.cumsum(part_sizes) - part_sizes), part_sizes)
        indices[target] = columns + np.int32(offset)
        values[target] = part_values
        filled += part_sizes
    return sizes, indices, values


def weigh_counts(shard: ShardCounts, vocabulary: Vocabulary, params: TfidfParams) -> sparse.csr_array:
    """TF-IDF of a shard: CSR float32 (documents, vocabulary.size), sorted, rows of norm 1 (or empty).

    A row depends on its document only, not on the rest of the shard. ValueError for different numbers of families.
    """
    if not len(shard.families) == len(vocabulary.families) == len(params.family_weights):
        raise ValueError(
            f"families: expected the same number in counts, vocabulary and family_weights, got {len(shard.families)}, "
            f"{len(vocabulary.families)}, {len(params.family_weights)}; use the same parameters for all"
        )
    parts = [_family_values(family, vocabulary, number, params) for number, family in enumerate(shard.families)]
    sizes, indices, values = _join(parts, vocabulary.offsets)
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    rows = np.repeat(np.arange(shard.documents, dtype=np.int32), sizes)
    # bincount adds float64 in order, so a row's norm does not depend on the number of rows.
    norms = np.sqrt(np.bincount(rows, weights=np.square(values), minlength=shard.documents))
    norms[norms == 0] = 1.0
    values *= np.repeat((1.0 / norms).astype(np.float32), sizes)
    return csr_rows(values, indices, indptr, columns=vocabulary.size)


@dataclass(frozen=True)
class Featurizer:
    """Transforms query texts into the feature space of the documents; a query is one field of weight 1."""

    vocabulary: Vocabulary
    ngrams: NgramParams
    tfidf: TfidfParams

    def count(self, texts: list[str]) -> ShardCounts:
        """Counts of every family over the terms of the texts; document frequencies are left empty."""
        no_frequencies = np.empty(0, dtype=np.int64)
        families = []
        for params in self.ngrams.families:
            counts, terms = count_family(texts, params)
            families.append(FamilyCounts(terms, no_frequencies, counts))
        return ShardCounts(len(texts), tuple(families))

    def transform(self, texts: list[str]) -> sparse.csr_array:
        """TF-IDF of texts: CSR float32 (texts, vocabulary.size), sorted, rows of norm 1 (or empty)."""
        return weigh_counts(self.count(texts), self.vocabulary, self.tfidf)
