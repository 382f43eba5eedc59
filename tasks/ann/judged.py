"""Judged retrieval: metrics of rankings by graded judgements, their uncertainty, and the comparison of two systems.

Gains are 2^grade - 1 and discounts 1 / log2(rank + 1) (Burges et al. 2005, section 6), the ideal ranking being that of all
judged documents of a query. A document without a judgement counts as not relevant.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

#: The metrics of a query, all from 0 to 1, in the order in which they are shown.
METRICS = ("ndcg_at_10", "mrr", "recall_at_100", "precision_at_10")
#: The rank up to which answers count: those of recall, and of the first relevant document.
DEPTH = 100
_FIRST = 10
#: Cells of a resampling that are in memory at a time.
_CELLS = 1 << 22


@dataclass(frozen=True)
class JudgedParams:
    """Parameters of an import of judged queries.

    tuning: fraction of the queries, chosen by a hash of their ids and ``seed``, that the parameters of answering are
        chosen on; the others are judged. 0 chooses on none of them.
    quarantine_share: maximum fraction of quarantined rows; an import with more fails.
    seed: seed of the choice of queries for tuning.
    """

    tuning: float = 0.5
    quarantine_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.tuning <= 0.9:
            raise ValueError(f"tuning: expected 0 to 0.9, got {self.tuning}; leave queries to be judged")
        if not 0 <= self.quarantine_share <= 1:
            raise ValueError(f"quarantine_share: expected 0 to 1, got {self.quarantine_share}; 0.2 is usual")


@dataclass(frozen=True)
class IntervalParams:
    """Parameters of the interval of a mean.

    resamples: number of bootstrap resamples of queries.
    confidence: probability that an interval covers the mean.
    seed: seed of the resamples.
    """

    resamples: int = 2_000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(
                f"confidence: expected a probability between 0 and 1, got {self.confidence}; 0.95 is usual"
            )
        if self.resamples < 100:
            raise ValueError(f"resamples: expected 100 or more, got {self.resamples}; 2000 is usual")


@dataclass(frozen=True)
class Judgements:
    """Grades of documents for queries, by query.

    indptr: int64 (queries + 1,). documents: int64 (n,), rows, ascending and distinct for each query. grades: float64 (n,),
    0 for a document that is judged not to be relevant, higher the better it answers.
    """

    indptr: NDArray[np.int64]
    documents: NDArray[np.int64]
    grades: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        queries: NDArray[np.integer],
        documents: NDArray[np.integer],
        grades: NDArray[np.floating],
        *,
        count: int,
    ) -> "Judgements":
        """The judgements of triples, in any order, of ``count`` queries; ValueError for a pair that occurs twice."""
        order = np.lexsort((documents, queries))
        query, document = queries[order].astype(np.int64), documents[order].astype(np.int64)
        if np.any((np.diff(query) == 0) & (np.diff(document) == 0)):
            raise ValueError("judgements: expected one grade of a document for a query, found two; keep one")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(query, minlength=count))]).astype(np.int64)
        return cls(indptr, document, grades[order].astype(np.float64))

    @property
    def size(self) -> int:
        """The number of queries."""
        return len(self.indptr) - 1

    @cached_property
    def query_of(self) -> NDArray[np.int64]:
        """int64 (n,): the query of each judgement."""
        return np.repeat(np.arange(self.size, dtype=np.int64), np.diff(self.indptr))

    @cached_property
    def relevant(self) -> NDArray[np.int64]:
        """int64 (queries,): the number of relevant documents of each query, those of a grade above 0."""
        return np.bincount(self.query_of[self.grades > 0], minlength=self.size).astype(np.int64)

    def take(self, rows: NDArray[np.int64]) -> "Judgements":
        """The judgements of some queries, in that order."""
        place = np.full(self.size, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        kept = place[self.query_of] >= 0
        return Judgements.of(place[self.query_of[kept]], self.documents[kept], self.grades[kept], count=len(rows))

    def grades_of(self, ranked: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64 (queries, depth): the grades of ranked documents, 0 for those without a judgement and for rows below 0."""
        if not len(self.documents):
            return np.zeros(ranked.shape)
        width = 1 + max(int(self.documents.max()), int(ranked.max(initial=0)))
        keys = self.query_of * width + self.documents
        wanted = np.arange(self.size, dtype=np.int64)[:, None] * width + ranked
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[place] == wanted) & (ranked >= 0), self.grades[place], 0.0)


@dataclass(frozen=True)
class JudgedQueries:
    """Judged queries of one purpose: their ids and texts, and the judgements of rows of documents."""

    ids: list[str]
    texts: list[str]
    judgements: Judgements


def for_tuning(ids: Sequence[str], params: JudgedParams) -> NDArray[np.bool_]:
    """bool (queries,): which queries parameters are chosen on; it depends on a query's id and the seed alone."""
    digests = (
        hashlib.blake2b(f"{params.seed} {key}".encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in ids
    )
    return np.array([int.from_bytes(digest, "big") / 2**64 < params.tuning for digest in digests], dtype=bool)


def query_metrics(ranked: NDArray[np.int64], judgements: Judgements) -> dict[str, NDArray[np.float64]]:
    """The metrics of each query, float64 (queries,); NaN for a query without a relevant document.

    ranked: int64 (queries, depth), rows of documents, best first, -1 where there are no more; more than ``DEPTH`` are cut.
    """
    if ranked.shape[0] != judgements.size:
        raise ValueError(f"ranked: expected {judgements.size} rows, one a query, got {ranked.shape[0]}; give all")
    grades = judgements.grades_of(ranked[:, :DEPTH])
    hits, relevant = grades > 0, judgements.relevant
    first = np.where(hits.any(axis=1), 1.0 / (1.0 + hits.argmax(axis=1)), 0.0) if hits.shape[1] else np.zeros(len(hits))
    values = {
        "ndcg_at_10": _discounted(grades[:, :_FIRST]) / np.maximum(_ideal(judgements), 1e-300),
        "mrr": first,
        "recall_at_100": hits.sum(axis=1) / np.maximum(relevant, 1),
        "precision_at_10": hits[:, :_FIRST].sum(axis=1) / _FIRST,
    }
    return {name: np.where(relevant > 0, values[name], np.nan) for name in METRICS}


def _discounted(grades: NDArray[np.float64]) -> NDArray[np.float64]:
    """The discounted cumulative gain of each row of grades, best answer first."""
    gains = (2.0**grades - 1.0) / np.log2(np.arange(grades.shape[1]) + 2.0)
    return np.asarray(gains.sum(axis=1))


def _ideal(judgements: Judgements) -> NDArray[np.float64]:
    """The gain of the best possible first answers to each query."""
    order = np.lexsort((-judgements.grades, judgements.query_of))
    rank = np.arange(len(order)) - judgements.indptr[judgements.query_of]
    best = np.zeros((judgements.size, _FIRST))
    first = rank < _FIRST
    best[judgements.query_of[first], rank[first]] = judgements.grades[order][first]
    return _discounted(best)


@dataclass(frozen=True)
class Mean:
    """A mean over queries, and the interval in which it lies at the given confidence."""

    value: float
    low: float
    high: float


def mean_of(values: NDArray[np.float64], params: IntervalParams) -> Mean:
    """The mean with a percentile interval over resampled queries (Efron and Tibshirani 1993, section 13.3).

    values: float64 (queries,), without NaN. ValueError for none.
    """
    if not len(values):
        raise ValueError("values: expected those of one query or more, got none; leave the figure out")
    rng, count = np.random.default_rng(params.seed), len(values)
    means = np.empty(params.resamples)
    step = max(1, _CELLS // count)
    for begin in range(0, params.resamples, step):
        rows = rng.integers(0, count, size=(min(step, params.resamples - begin), count))
        means[begin : begin + step] = values[rows].mean(axis=1)
    tail = (1 - params.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Mean(float(values.mean()), float(low), float(high))


@dataclass(frozen=True)
class Paired:
    """One system beside another over the same queries.

    queries: their number. difference: the mean of ours minus theirs. probability: that of a mean difference as large as
    that, in either direction, between systems of which each answers each query as well as the other. random_fall: the fall that
    is exceeded with probability ``level`` between such systems.
    """

    queries: int
    difference: float
    probability: float
    random_fall: float


def paired(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    *,
    level: float = 0.05,
    rounds: int = 10_000,
    seed: int = 0,
) -> Paired:
    """Fisher's randomization test of two systems' values for the same queries (Smucker, Allan and Carterette 2007, 3.1).

    Each difference gets either sign: in every way where there are no more than ``rounds``, else in as many random ones.
    ours, theirs: float64 (queries,), without NaN. ValueError for none, or of different lengths.
    """
    if len(ours) != len(theirs) or not len(ours):
        raise ValueError(f"paired: expected values of the same queries, got {len(ours)} and {len(theirs)}; pair them")
    differences = ours - theirs
    means, exact = _randomized(differences, rounds, seed)
    seen = float(differences.mean())
    # Sums of the same numbers in another order differ in their last bits.
    extreme = int((np.abs(means) >= abs(seen) - 1e-12).sum())
    probability = extreme / len(means) if exact else (1 + extreme) / (1 + len(means))
    return Paired(len(ours), seen, probability, max(0.0, float(np.quantile(means, 1 - level, method="higher"))))


def _randomized(differences: NDArray[np.float64], rounds: int, seed: int) -> tuple[NDArray[np.float64], bool]:
    """Mean differences under changed signs, and whether these are all there are."""
    count = len(differences)
    exact = count < 62 and 2**count <= rounds
    total = 2**count if exact else rounds
    rng, means = np.random.default_rng(seed), np.empty(total)
    step = max(1, _CELLS // count)
    for begin in range(0, total, step):
        size = min(step, total - begin)
        if exact:
            signs = (np.arange(begin, begin + size)[:, None] >> np.arange(count)) & 1
        else:
            signs = rng.integers(0, 2, size=(size, count), dtype=np.int8)
        means[begin : begin + size] = np.where(signs == 1, differences, -differences).mean(axis=1)
    return means, exact
