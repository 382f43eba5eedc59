"""What terms weigh in documents whose fields count differently.

The model is InExpB2 of divergence from randomness: a term is informative where documents have it more often than they would
if its occurrences fell at random (Amati and van Rijsbergen, Probabilistic models of information retrieval based on measuring
the divergence from randomness, TOIS 20(4), 2002, sections 4 to 6: inverse expected document frequency, Bernoulli
after-effect, second normalization of the length). Fields are normalized by their own lengths and then summed by weight, so
that a term in two fields does not count as two terms (Macdonald, Plachouras, He, Lioma and Ounis, University of Glasgow at
WebCLEF 2005, section 2.1: the form of PL2F).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.fields import FIELDS
from fingerpost.tasks.corpus.lexicon import Lexicon
from fingerpost.tasks.corpus.term_counts import TermCounts


@dataclass(frozen=True)
class FieldWeights:
    """What an occurrence in each field counts beside the others, and how soon repeated terms add nothing.

    name, first, body: at least 0, one above; only their ratios matter. saturation: above 0; a term that occurs this often,
    in a document of mean length, has half of its largest weight. ValueError for other values.
    """

    name: float = 3.0
    first: float = 1.0
    body: float = 1.0
    saturation: float = 1.0

    def __post_init__(self) -> None:
        if not (min(self.fields) >= 0 and 0 < max(self.fields) < np.inf):
            raise ValueError(f"field weights: expected none negative and one positive, got {self.fields}; correct them")
        if not 0 < self.saturation < np.inf:
            raise ValueError(f"saturation: expected a number above 0, got {self.saturation}; 1 is usual")

    @property
    def fields(self) -> tuple[float, float, float]:
        """The weights in the order of `fingerpost.tasks.corpus.fields.FIELDS`."""
        return (self.name, self.first, self.body)


def term_impacts(
    counts: TermCounts, lexicon: Lexicon, weights: FieldWeights, *, lacking: bool = False
) -> sparse.csr_array:
    """What every term weighs in every document of a shard: CSR float32 (documents, lexicon's terms).

    tfn = sum over fields of weight * tf * log2(1 + mean length / length), the impact tfn / (tfn + saturation) * `rarities`.
    Stop words have impacts but count in no length. Rows ascend and hold no zeros. lacking: whether documents may have terms
    that the lexicon lacks, which count in the length and weigh nothing. ValueError for such a term otherwise.
    """
    columns = lexicon.columns(counts.terms)
    if (columns < 0).any() and not lacking:
        absent = counts.terms[int(np.argmin(columns))]
        raise ValueError(f"term {absent!r}: expected in the lexicon, found in none; merge the lexicon of all shards")
    known = columns[counts.indices] >= 0
    # A lacking term stands in any column, with a weight of 0 that is eliminated.
    terms = np.where(known, columns[counts.indices], 0)
    frequencies = _normalized(counts, ~(known & lexicon.stop[terms]), lexicon, weights)
    data = known * rarities(lexicon)[terms] * frequencies / (frequencies + weights.saturation)
    matrix = sparse.csr_array(
        (data.astype(np.float32), terms.astype(np.int32), counts.indptr),
        shape=(counts.documents, lexicon.size),
        copy=True,
    )
    matrix.eliminate_zeros()
    matrix.has_canonical_format = True
    return matrix


def rarities(lexicon: Lexicon) -> NDArray[np.float64]:
    """How much an occurrence of each term says: float64 (terms,), above 0.

    (F + 1) / df * log2((n + 1) / (ne + 0.5)) for a term that occurs F times in df of n documents; thrown at random its
    occurrences would reach ne = n (1 - (1 - 1 / n)^F) of them. Fields count alike here.
    """
    n = max(lexicon.documents, 1)
    occurrences = lexicon.occurrences.sum(axis=0).astype(np.float64)
    expected = n * (1 - (1 - 1 / n) ** occurrences)
    return (occurrences + 1) / np.maximum(lexicon.document_frequency, 1) * np.log2((n + 1) / (expected + 0.5))


def _normalized(
    counts: TermCounts, counted: NDArray[np.bool_], lexicon: Lexicon, weights: FieldWeights
) -> NDArray[np.float64]:
    """Occurrences of every entry, each field's scaled by its length, summed by weight.

    Weights are scaled so that a token of the collection counts 1 on average: the same saturation then suits all of them.
    """
    rows = np.repeat(np.arange(counts.documents), np.diff(counts.indptr))
    lengths = lexicon.field_lengths
    mean = float(np.array(weights.fields) @ lengths) / lengths.sum() if lengths.any() else 0.0
    total = np.zeros(len(counts.indices))
    for field in range(len(FIELDS)):
        occurrences = counts.occurrences[field].astype(np.float64)
        own = np.bincount(rows, weights=occurrences * counted, minlength=counts.documents)
        ratio = max(lengths[field], 1.0) / max(lexicon.documents, 1) / np.maximum(own, 1.0)
        total += weights.fields[field] / (mean or 1.0) * occurrences * np.log2(1 + ratio)[rows]
    return total
