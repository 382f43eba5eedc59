"""Evaluation of rankers and baselines on the same test queries: quality, frequency buckets, latency and cost."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerpost.tasks.corpus.tfidf import Featurizer
from fingerpost.tasks.xmr.metrics import CUTOFFS, FrequencyBucket, evaluate, frequency_buckets, hits
from fingerpost.tasks.xmr.ranking import NONE, Ranking
from fingerpost.tasks.xmr.sparse_rows import MatrixError

#: A measured value: method, setting, metric, value.
Figure = tuple[str, str, str, float]

Q = TypeVar("Q", list[str], sparse.csr_array)
Q_contra = TypeVar("Q_contra", contravariant=True)


class Answers(Protocol[Q_contra]):
    """Anything that ranks labels for queries: a ranker for rows of features, a baseline for texts."""

    def rank(self, queries: Q_contra, k: int = 10) -> Ranking: ...


class FeaturizedTexts:
    """Adapts a ranker of feature rows to texts; a text without a known term gets no answer."""

    def __init__(self, featurizer: Featurizer, ranker: Answers[sparse.csr_array]) -> None:
        self._featurizer = featurizer
        self._ranker = ranker

    def rank(self, queries: Sequence[str], k: int = 10) -> Ranking:
        """The k best labels for each text."""
        rows = self._featurizer.transform(list(queries))
        ranking = self._ranker.rank(rows, k)
        known = (np.diff(rows.indptr) > 0)[:, None]
        return Ranking(
            np.where(known, ranking.ids, NONE), np.where(known, ranking.scores, np.float32(0)), ranking.counters
        )


@dataclass(frozen=True)
class Candidate(Generic[Q]):
    """A system to evaluate, with its training time in seconds and its size in bytes."""

    name: str
    answers: Answers[Q]
    seconds: float = 0.0
    nbytes: int = 0


@dataclass(frozen=True)
class JudgeParams:
    """Parameters of an evaluation.

    k: labels ranked per query for the quality metrics.
    band_k: labels per query that count for the frequency buckets.
    timed: maximum number of single queries that are timed.
    timed_k: labels ranked per timed query.
    warm_up: queries answered before timing starts.
    seed: seed of the sample of timed queries.
    """

    k: int = 100
    band_k: int = 10
    timed: int = 500
    timed_k: int = 10
    warm_up: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "band_k", "timed", "timed_k"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        if self.warm_up < 0 or self.band_k > self.k:
            raise ValueError(
                f"judge: expected a warm_up of at least 0 and band_k of at most {self.k}, got {self.warm_up},"
                f" {self.band_k}; correct them"
            )


@dataclass(frozen=True)
class Scorecard:
    """The results of one candidate.

    metrics, buckets, unanswered (fraction of queries without an answer): depend on the data only.
    latency: milliseconds by percentile.
    seconds, nbytes: training time and size.
    """

    name: str
    metrics: dict[str, float]
    buckets: list[FrequencyBucket]
    latency: dict[str, float]
    seconds: float
    nbytes: int
    unanswered: float = field(default=0.0)

    def figures(self) -> list[Figure]:
        """Rows of the values that depend on the data only: over all queries, and for each frequency bucket."""
        overall = {**self.metrics, "unanswered": self.unanswered}
        rows: list[Figure] = [(self.name, "all", metric, value) for metric, value in overall.items()]
        for bucket in self.buckets:
            values = {key: float(value) for key, value in asdict(bucket).items() if key not in ("minimum", "maximum")}
            rows += [
                (self.name, f"seen {bucket.minimum}-{bucket.maximum}", key, value) for key, value in values.items()
            ]
        return rows

    def measured(self) -> dict[str, float]:
        """Latency, training time in seconds, and bytes."""
        return {**self.latency, "seconds": round(self.seconds, 3), "bytes": self.nbytes}


@dataclass(frozen=True)
class Evaluation(Generic[Q]):
    """Test queries with their true labels.

    truth: CSR (queries, labels).
    counts: int64 (labels,), positive training rows of each label.
    rows: number of training rows.

    Raises MatrixError for shapes that do not fit.
    """

    queries: Q
    truth: sparse.csr_array
    counts: NDArray[np.int64]
    rows: int

    def __post_init__(self) -> None:
        queries = _length(self.queries)
        if self.truth.shape != (queries, len(self.counts)):
            raise MatrixError(
                f"truth: expected {(queries, len(self.counts))}, got {self.truth.shape}; pass one row per query"
                " and one column per label"
            )


def _length(queries: list[str] | sparse.csr_array) -> int:
    return len(queries) if isinstance(queries, list) else int(queries.shape[0])


def evaluate_candidate(
    candidate: Candidate[Q],
    test: Evaluation[Q],
    params: JudgeParams = JudgeParams(),
    *,
    clock: Callable[[], float],
    cutoffs: Sequence[int] = CUTOFFS,
) -> Scorecard:
    """Evaluates one candidate: all queries in one call, then a sample of single queries for the latency.

    clock: seconds, for example time.perf_counter.
    """
    ranking = candidate.answers.rank(test.queries, params.k)
    hit = hits(ranking, test.truth)
    return Scorecard(
        name=candidate.name,
        metrics=evaluate(ranking, test.truth, counts=test.counts, rows=test.rows, cutoffs=cutoffs),
        buckets=frequency_buckets(ranking, hit, test.truth, test.counts, params.band_k),
        latency=latency(candidate.answers, test.queries, params, clock=clock),
        seconds=candidate.seconds,
        nbytes=candidate.nbytes,
        unanswered=float((ranking.ids == NONE).all(axis=1).mean()) if len(ranking.ids) else 0.0,
    )


def latency(answers: Answers[Q], queries: Q, params: JudgeParams, *, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of single queries at the 50th, 95th and 99th percentile, with the same sample for all candidates."""
    count = _length(queries)
    if not count:
        return {}
    chosen = np.random.default_rng(params.seed).permutation(count)[: params.timed].tolist()
    for row in chosen[: params.warm_up]:
        answers.rank(queries[row : row + 1], params.timed_k)
    milliseconds = []
    for row in chosen:
        query = queries[row : row + 1]
        started = clock()
        answers.rank(query, params.timed_k)
        milliseconds.append(1000 * (clock() - started))
    return {
        f"p{percentile}_ms": round(float(np.percentile(milliseconds, percentile)), 4) for percentile in (50, 95, 99)
    }


def evaluate_all(
    candidates: Sequence[Candidate[Q]],
    test: Evaluation[Q],
    params: JudgeParams = JudgeParams(),
    *,
    clock: Callable[[], float],
    cutoffs: Sequence[int] = CUTOFFS,
) -> list[Scorecard]:
    """Evaluates every candidate on the same queries; raises ValueError for duplicate names."""
    names = [candidate.name for candidate in candidates]
    if len(set(names)) != len(names):
        raise ValueError(f"candidates: expected different names, got {names}; rename one")
    return [evaluate_candidate(candidate, test, params, clock=clock, cutoffs=cutoffs) for candidate in candidates]
