"""Field-weighted n-gram counts of a shard of documents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fingerpost.ext.ngrams import count_ngrams, hash_ngrams
from fingerpost.tasks.corpus.fields import FIELDS

if TYPE_CHECKING:  # queries need no sparse matrix, and scipy takes time and memory
    from scipy import sparse


@dataclass(frozen=True)
class FamilyParams:
    """One kind of n-gram and the size of its vocabulary.

    kind: "word" or "char" (n-grams of each token followed by "#"). ngram_min, ngram_max: range of n. max_terms, min_df:
    maximum size of the vocabulary and minimum document frequency of a term. buckets: if above 0, terms are hashed to
    that number of columns instead. ValueError for values out of range.
    """

    kind: str
    ngram_min: int
    ngram_max: int
    max_terms: int = 60_000
    min_df: int = 1
    buckets: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("word", "char"):
            raise ValueError(f"kind: expected 'word' or 'char', got {self.kind!r}; choose one of them")
        if not 1 <= self.ngram_min <= self.ngram_max:
            raise ValueError(
                f"ngram range: expected 1 <= min <= max, got {self.ngram_min} to {self.ngram_max}; correct it"
            )
        if self.max_terms < 1 or self.min_df < 1 or self.buckets < 0:
            raise ValueError(
                f"family {self.kind}: expected max_terms and min_df of at least 1 and buckets of at least 0, "
                f"got {self.max_terms}, {self.min_df}, {self.buckets}; correct it"
            )


@dataclass(frozen=True)
class NgramParams:
    """The families of n-grams to count and the weight of an occurrence in each field."""

    families: tuple[FamilyParams, ...] = field(
        default=(FamilyParams("word", 1, 3, max_terms=80_000), FamilyParams("char", 3, 3, max_terms=20_000))
    )
    name_weight: float = 10.0
    first_weight: float = 30.0
    body_weight: float = 1.0

    def __post_init__(self) -> None:
        weights = self.field_weights
        if min(weights) < 0 or max(weights) <= 0:
            raise ValueError(f"field weights: expected none negative and one positive, got {weights}; correct them")
        if not self.families:
            raise ValueError("families: expected at least one, got none; name the n-grams to count")

    @property
    def field_weights(self) -> tuple[float, ...]:
        """The weights in the order of `fingerpost.tasks.corpus.fields.FIELDS`."""
        return (self.name_weight, self.first_weight, self.body_weight)


@dataclass(frozen=True)
class FamilyCounts:
    """Counts of one family in one shard.

    terms: sorted, the columns of ``counts`` (None if hashed: columns are buckets). frequencies: int64 (columns,), the
    number of documents of this shard that contain the term. counts: CSR float32 (documents, columns), sorted.
    """

    terms: list[str] | None
    frequencies: NDArray[np.int64]
    counts: "sparse.csr_array"


@dataclass(frozen=True)
class ShardCounts:
    """Counts of all families of one shard, in the order of the parameters."""

    documents: int
    families: tuple[FamilyCounts, ...]


def count_family(texts: list[str], params: FamilyParams) -> tuple["sparse.csr_array", list[str] | None]:
    """Counts of one family, one row per text: (CSR float32 (texts, columns), sorted terms or None if hashed)."""
    indptr, indices, counts, terms = counted(texts, params)
    columns = params.buckets if terms is None else len(terms)
    return csr_rows(counts, indices, indptr, columns=columns), terms


def counted(
    texts: list[str], params: FamilyParams
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], list[str] | None]:
    """The same as (indptr, indices, counts) of the rows, and sorted terms or None if hashed."""
    if not params.buckets:
        return count_ngrams(texts, family=params.kind, ngram_min=params.ngram_min, ngram_max=params.ngram_max)
    hashed = hash_ngrams(
        texts, family=params.kind, ngram_min=params.ngram_min, ngram_max=params.ngram_max, buckets=params.buckets
    )
    return *hashed, None


def csr_rows(
    data: NDArray[np.float32], indices: NDArray[np.int32], indptr: NDArray[np.int64], *, columns: int
) -> "sparse.csr_array":
    """A CSR array of rows whose indices are sorted and distinct, which is not checked."""
    from scipy import sparse

    matrix = sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, columns))
    matrix.has_canonical_format = True
    return matrix


def count_shard(names: Sequence[str], firsts: Sequence[str], bodies: Sequence[str], params: NgramParams) -> ShardCounts:
    """Counts the n-grams of documents of three fields; no n-gram spans two fields.

    A count is the sum over fields of weight times occurrences; a field of weight 0 is not read. ValueError if the
    fields differ in length.
    """
    documents = len(names)
    if not documents == len(firsts) == len(bodies):
        raise ValueError(
            f"fields: expected the same number of each, got {documents}, {len(firsts)}, {len(bodies)}; split them again"
        )
    fields = [
        (np.float32(weight), texts)
        for weight, texts in zip(params.field_weights, (names, firsts, bodies), strict=True)
        if weight > 0
    ]
    stacked = [text for _, texts in fields for text in texts]
    families = []
    for family in params.families:
        counts, terms = count_family(stacked, family)
        first = counts[:documents] if len(fields) > 1 else counts
        joined = first * fields[0][0] if fields[0][0] != 1 else first
        for number, (weight, _) in enumerate(fields[1:], start=1):
            joined = joined + counts[number * documents : (number + 1) * documents] * weight
        joined.sort_indices()
        frequencies = np.bincount(joined.indices, minlength=joined.shape[1]).astype(np.int64)
        families.append(FamilyCounts(terms, frequencies, joined))
    return ShardCounts(documents, tuple(families))


assert len(FIELDS) == len(NgramParams().field_weights)
