"""TF-IDF features: the columns of all families concatenated, rows L2-normalised."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.tasks.corpus.ngrams import FamilyCounts, NgramParams, ShardCounts, count_family, csr_rows
from fingerpost.tasks.corpus.vocabulary import Vocabulary
from fingerpost.tasks.corpus.weighed_rows import Entries, TfidfParams, known_entries, weighed_rows

if TYPE_CHECKING:  # queries need no sparse matrix, and scipy takes time and memory
    from scipy import sparse


def _family_entries(family: FamilyCounts, vocabulary: Vocabulary, number: int) -> Entries:
    """The counts of one family in columns of its vocabulary."""
    indices, values, sizes = family.counts.indices, family.counts.data, np.diff(family.counts.indptr)
    chosen = vocabulary.families[number]
    if family.terms is not None and family.terms is not chosen.terms:
        columns = chosen.columns(family.terms)
        return known_entries(family.counts.indptr, indices, values, columns)
    return sizes.astype(np.int64), indices, values


def weigh_counts(shard: ShardCounts, vocabulary: Vocabulary, params: TfidfParams) -> "sparse.csr_array":
    """TF-IDF of a shard: CSR float32 (documents, vocabulary.size), sorted, rows of norm 1 (or empty).

    A row depends on its document only, not on the rest of the shard. ValueError for different numbers of families.
    """
    if not len(shard.families) == len(vocabulary.families) == len(params.family_weights):
        raise ValueError(
            f"families: expected the same number in counts, vocabulary and family_weights, got {len(shard.families)}, "
            f"{len(vocabulary.families)}, {len(params.family_weights)}; use the same parameters for all"
        )
    parts = [_family_entries(family, vocabulary, number) for number, family in enumerate(shard.families)]
    rows = weighed_rows(parts, vocabulary, params)
    return csr_rows(rows.data, rows.indices, rows.indptr, columns=vocabulary.size)


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

    def transform(self, texts: list[str]) -> "sparse.csr_array":
        """TF-IDF of texts: CSR float32 (texts, vocabulary.size), sorted, rows of norm 1 (or empty)."""
        return weigh_counts(self.count(texts), self.vocabulary, self.tfidf)
