"""Rankers and baselines on the same test rows: quality, bands of label frequency, latency of single queries, cost."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.corpus.tfidf import Featurizer
from tasks.xmr.metrics import CUTOFFS, Band, bands, evaluate, hits
from tasks.xmr.ranking import NONE, Ranking
from tasks.xmr.sparse_rows import MatrixError

#: A figure: method, setting, metric, value.
Figure = tuple[str, str, str, float]

Q = TypeVar("Q", list[str], sparse.csr_array)
Q_contra = TypeVar("Q_contra", contravariant=True)


class Answers(Protocol[Q_contra]):
    """Anything that ranks labels for queries: our ranker for rows of features, a baseline for texts."""

    def rank(self, queries: Q_contra, k: int = 10) -> Ranking: ...


class FeaturizedTexts:
    """Texts for what ranks rows of features; a text without a known term is not answered."""

    def __init__(self, featurizer: Featurizer, ranker: Answers[sparse.csr_array]) -> None:
        self._featurizer = featurizer
        self._ranker = ranker

    def rank(self, queries: Sequence[str], k: int = 10) -> Ranking:
        """The k best labels of each text."""
        rows = self._featurizer.transform(list(queries))
        found = self._ranker.rank(rows, k)
        known = (np.diff(rows.indptr) > 0)[:, None]
        return Ranking(np.where(known, found.ids, NONE), np.where(known, found.scores, np.float32(0)), found.counters)


@dataclass(frozen=True)
class Contender(Generic[Q]):
    """A system to be judged, the seconds that its training took and the bytes that it keeps."""

    name: str
    answers: Answers[Q]
    seconds: float = 0.0
    nbytes: int = 0


@dataclass(frozen=True)
class JudgeParams:
    """Labels asked for in the quality figures and the bands, and single queries that are timed with ``timed_k`` labels."""

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
    """``metrics`` and ``bands`` depend on the data alone; ``latency`` (milliseconds by percentile) and ``seconds`` do not."""

    name: str
    metrics: dict[str, float]
    bands: list[Band]
    latency: dict[str, float]
    seconds: float
    nbytes: int
    unanswered: float = field(default=0.0)

    def figures(self) -> list[Figure]:
        """What depends on the data alone as rows: all queries, and each band."""
        whole = {**self.metrics, "unanswered": self.unanswered}
        rows: list[Figure] = [(self.name, "all", metric, value) for metric, value in whole.items()]
        for band in self.bands:
            named = {key: float(value) for key, value in asdict(band).items() if key not in ("least", "most")}
            rows += [(self.name, f"seen {band.least}-{band.most}", key, value) for key, value in named.items()]
        return rows

    def measured(self) -> dict[str, float]:
        """What a clock said, and bytes."""
        return {**self.latency, "seconds": round(self.seconds, 3), "bytes": self.nbytes}


@dataclass(frozen=True)
class Examination(Generic[Q]):
    """Test queries and their true labels, with how often each label was seen in how many training rows."""

    queries: Q
    truth: sparse.csr_array
    counts: NDArray[np.int64]
    rows: int

    def __post_init__(self) -> None:
        queries = _length(self.queries)
        if self.truth.shape != (queries, len(self.counts)):
            raise MatrixError(
                f"truth: expected {(queries, len(self.counts))}, got {self.truth.shape}; one row a query, one column a"
                " label"
            )


def _length(queries: list[str] | sparse.csr_array) -> int:
    return len(queries) if isinstance(queries, list) else int(queries.shape[0])


def judge(
    contender: Contender[Q],
    test: Examination[Q],
    params: JudgeParams = JudgeParams(),
    *,
    clock: Callable[[], float],
    cutoffs: Sequence[int] = CUTOFFS,
) -> Scorecard:
    """All figures of one contender; every query is ranked in one call, then a sample one by one against the clock."""
    ranking = contender.answers.rank(test.queries, params.k)
    found = hits(ranking, test.truth)
    return Scorecard(
        name=contender.name,
        metrics=evaluate(ranking, test.truth, counts=test.counts, rows=test.rows, cutoffs=cutoffs),
        bands=bands(ranking, found, test.truth, test.counts, params.band_k),
        latency=latency(contender.answers, test.queries, params, clock=clock),
        seconds=contender.seconds,
        nbytes=contender.nbytes,
        unanswered=float((ranking.ids == NONE).all(axis=1).mean()) if len(ranking.ids) else 0.0,
    )


def latency(answers: Answers[Q], queries: Q, params: JudgeParams, *, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of single queries at the 50th, 95th and 99th percentile, the same sample for every contender."""
    count = _length(queries)
    if not count:
        return {}
    chosen = np.random.default_rng(params.seed).permutation(count)[: params.timed].tolist()
    for row in chosen[: params.warm_up]:
        answers.rank(queries[row : row + 1], params.timed_k)
    taken = []
    for row in chosen:
        query = queries[row : row + 1]
        started = clock()
        answers.rank(query, params.timed_k)
        taken.append(1000 * (clock() - started))
    return {f"p{share}_ms": round(float(np.percentile(taken, share)), 4) for share in (50, 95, 99)}


def judge_all(
    contenders: Sequence[Contender[Q]],
    test: Examination[Q],
    params: JudgeParams = JudgeParams(),
    *,
    clock: Callable[[], float],
    cutoffs: Sequence[int] = CUTOFFS,
) -> list[Scorecard]:
    """Every contender on the same queries; names must differ."""
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names):
        raise ValueError(f"contenders: expected different names, got {names}; rename one")
    return [judge(contender, test, params, clock=clock, cutoffs=cutoffs) for contender in contenders]
