"""What terms weigh in documents whose fields count differently.

Occurrences and lengths of the fields are summed by weight before anything else, so that a term in two fields does not count
as two terms (Robertson, Zaragoza and Taylor, Simple BM25 extension to multiple weighted fields, CIKM 2004; Robertson and
Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, section 3.6). With weights of 1, BM25F is BM25 of the
joined text (`fingerpost.tasks.corpus.bm25`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.term_counts import TermCounts

#: Divergence from randomness (Amati and van Rijsbergen, TOIS 20(4), 2002), and BM25.
MODELS = ("inexpb2", "bm25")


@dataclass(frozen=True)
class FieldWeights:
    """What an occurrence in each field counts, and how terms are weighed.

    name, first, body: at least 0, one above. model: one of `MODELS`. k1: saturation of repeated terms of BM25, at least 0;
    b: its length normalization, 0 to 1. ValueError for other values.
    """

    name: float = 1.0
    first: float = 1.0
    body: float = 1.0
    model: str = "inexpb2"
    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if not (min(self.fields) >= 0 and 0 < max(self.fields) < np.inf):
            raise ValueError(f"field weights: expected none negative and one positive, got {self.fields}; correct them")
        if self.model not in MODELS:
            raise ValueError(f"model: expected {' or '.join(MODELS)}, got {self.model!r}; choose one of them")
        if not (0 <= self.k1 < np.inf and 0 <= self.b <= 1):
            raise ValueError(f"bm25: expected k1 >= 0 and 0 <= b <= 1, got {self.k1} and {self.b}; correct them")

    @property
    def fields(self) -> tuple[float, float, float]:
        """The weights in the order of `fingerpost.tasks.corpus.fields.FIELDS`."""
        return (self.name, self.first, self.body)


def inverse_document_frequency(lexicon: Lexicon) -> NDArray[np.float64]:
    """ln(1 + (n - df + 0.5) / (df + 0.5)) of every term, float64 (terms,), which is never negative."""
    frequency = lexicon.document_frequency
    return np.log1p((lexicon.documents - frequency + 0.5) / (frequency + 0.5))


def term_impacts(counts: TermCounts, lexicon: Lexicon, weights: FieldWeights) -> sparse.csr_array:
    """What every term weighs in every document of a shard: CSR float32 (documents, lexicon's terms).

    Rows ascend and hold no zeros. ValueError for a term that the lexicon lacks.
    """
    columns = lexicon.columns(counts.terms)
    if (columns < 0).any():
        absent = counts.terms[int(np.argmin(columns))]
        raise ValueError(f"term {absent!r}: expected in the lexicon, found in none; merge the lexicon of all shards")
    frequencies, lengths = _joined(counts, weights)
    lengths /= _mean_length(lexicon, weights)
    rows = np.repeat(np.arange(counts.documents), np.diff(counts.indptr))
    terms = columns[counts.indices]
    weigh = _bm25 if weights.model == "bm25" else _inexpb2
    data = weigh(frequencies, lengths[rows], terms, lexicon, weights)
    matrix = sparse.csr_array(
        (data.astype(np.float32), terms.astype(np.int32), counts.indptr), shape=(counts.documents, lexicon.size)
    )
    matrix.eliminate_zeros()
    matrix.has_canonical_format = True
    return matrix


def _joined(counts: TermCounts, weights: FieldWeights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Occurrences summed over fields by weight (entries,), and their sum for each document."""
    frequencies = np.array(weights.fields) @ counts.occurrences.astype(np.float64)
    rows = np.repeat(np.arange(counts.documents), np.diff(counts.indptr))
    lengths = np.bincount(rows, weights=frequencies, minlength=counts.documents)
    return frequencies, lengths.astype(np.float64, copy=False)


def _mean_length(lexicon: Lexicon, weights: FieldWeights) -> float:
    return float(np.array(weights.fields) @ lexicon.field_lengths) / max(lexicon.documents, 1) or 1.0


def _bm25(
    frequencies: NDArray[np.float64],
    lengths: NDArray[np.float64],
    terms: NDArray[np.int64],
    lexicon: Lexicon,
    weights: FieldWeights,
) -> NDArray[np.float64]:
    """BM25 of occurrences, lengths over the mean one."""
    discount = weights.k1 * (1 - weights.b + weights.b * lengths)
    idf = inverse_document_frequency(lexicon)[terms]
    # Without occurrences there is no weight, but 0 to divide by where the length is 0 as well.
    return idf * frequencies * (weights.k1 + 1) / np.where(frequencies > 0, frequencies + discount, 1.0)


def _inexpb2(
    frequencies: NDArray[np.float64],
    lengths: NDArray[np.float64],
    terms: NDArray[np.int64],
    lexicon: Lexicon,
    weights: FieldWeights,
) -> NDArray[np.float64]:
    """InExpB2 with c = 1: inverse expected document frequency, Bernoulli after-effect, second normalization of the length.

    tfn = tf log2(1 + 1 / length), weight = tfn / (tfn + 1) * (F + 1) / df * log2((n + 1) / (ne + 0.5)); F is how often the
    term occurs in all documents, by weight, and ne = n (1 - (1 - 1 / n)^F) in how many it would if it fell at random.
    """
    n = max(lexicon.documents, 1)
    occurrences = np.array(weights.fields) @ lexicon.occurrences.astype(np.float64)
    expected = n * (1 - (1 - 1 / n) ** occurrences)
    # A term of many occurrences can be expected in more documents than half; it then weighs little, but never below 0.
    rarity = (occurrences + 1) / np.maximum(lexicon.document_frequency, 1) * np.log2((n + 1) / (expected + 0.5))
    normalized = frequencies * np.log2(1 + 1 / np.where(lengths > 0, lengths, 1.0))
    return rarity[terms] * normalized / (normalized + 1)
