"""Threshold by beam: what recall costs in bytes and time, and the setting that a budget allows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tasks.xmr.ensembles import Combination, combine
from tasks.xmr.metrics import hits, precision_at, recall_at
from tasks.xmr.model import RankerModel, prune
from tasks.xmr.ranking import BeamParams, Ranker, Ranking
from tasks.xmr.sparse_rows import checked_rows


class NoSettingError(ValueError):
    """No setting of a sweep keeps the limits."""


@dataclass(frozen=True)
class SweepParams:
    """Thresholds (0: weights as trained) and beams to try, recall at ``k``, and limits for the setting; 0: no limit.

    ``megabytes`` bounds the model, ``latency_ms`` a query. Since a choice must not depend on a clock, a query's
    milliseconds are its counted work over ``work_per_ms``, a figure of the machine that serves (13,400 to 18,600 on
    debian12 from threshold 0.1 to 0.3 and beam 5 to 20, one thread); what a clock said for ``timed`` queries stands
    beside it, to correct it by. With ``least_recall`` the smallest model that reaches it is picked. ``on`` sweeps
    without any limit too.
    """

    on: bool = False
    thresholds: tuple[float, ...] = (0.0, 0.1, 0.15, 0.2, 0.3, 0.5)
    beams: tuple[int, ...] = (5, 10, 20)
    k: int = 10
    megabytes: float = 0.0
    least_recall: float = 0.0
    latency_ms: float = 0.0
    work_per_ms: float = 13_000.0
    timed: int = 200

    def __post_init__(self) -> None:
        if not self.thresholds or not self.beams or min(self.thresholds) < 0 or min(self.beams) < 1:
            raise ValueError(
                f"sweep: expected thresholds of at least 0 and beams of at least 1, got {self.thresholds} and"
                f" {self.beams}; correct them"
            )
        for name in ("megabytes", "least_recall", "latency_ms", "timed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}; 0 sets no limit")
        if self.k < 1 or not self.work_per_ms > 0:
            raise ValueError(
                f"k and work_per_ms: expected at least 1 and more than 0, got {self.k} and {self.work_per_ms}; raise"
                " them"
            )

    @property
    def picks(self) -> bool:
        """Whether a limit is set, so that its setting is published."""
        return bool(self.megabytes or self.least_recall or self.latency_ms)

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, as :func:`choose` takes them."""
        given = {
            "megabytes": self.megabytes,
            "least_recall": self.least_recall,
            "work": self.latency_ms * self.work_per_ms,
        }
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class SweepPoint:
    """One setting: precision at 1, precision and recall at k, bytes and weights of the model, a query's mean work
    (chunks multiplied and features found in them, which depends on no clock) and its median milliseconds.
    """

    threshold: float
    beam: int
    precision_at_1: float
    precision: float
    recall: float
    bytes: int
    nonzeros: int
    work: float = 0.0
    latency_ms: float | None = None


def sweep_settings(
    model: RankerModel | Sequence[RankerModel],
    queries: sparse.csr_array,
    truth: sparse.csr_array,
    *,
    thresholds: Sequence[float],
    beams: Sequence[int],
    k: int = 10,
    params: BeamParams = BeamParams(),
    combination: Combination = "average",
    clock: Callable[[], float] | None = None,
    timed_rows: int = 500,
) -> list[SweepPoint]:
    """A point for each threshold and beam, in that order; a threshold below the model's own changes nothing.

    queries: rows (q, d) whose true labels are ``truth``. clock: counts seconds; the median of single queries over the
    first ``timed_rows`` rows is then the latency. Several models are an ensemble: all are cut alike, their bytes and
    work are sums.
    """
    models = [model] if isinstance(model, RankerModel) else list(model)
    rows, true = checked_rows(queries, "queries"), checked_rows(truth, "truth", columns=models[0].tree.labels)
    singles = [rows[[row]] for row in range(min(timed_rows, rows.shape[0]))] if clock else []
    sizes, out = np.diff(true.indptr), []
    for threshold in thresholds:
        cuts = [prune(one, threshold=threshold) for one in models]
        rankers = [Ranker(cut, params) for cut in cuts]
        for beam in beams:
            chosen = BeamParams(beam, params.post_processor)
            rankings = [ranker.rank(rows, k, params=chosen) for ranker in rankers]
            found = hits(_combined(rankings, k, combination), true)
            latency = None
            if clock:
                latency = _median_ms(rankers, singles, k, chosen, combination, clock)
            out.append(
                SweepPoint(
                    threshold=threshold,
                    beam=beam,
                    precision_at_1=precision_at(found, 1),
                    precision=precision_at(found, k),
                    recall=recall_at(found, sizes, k),
                    bytes=sum(cut.nbytes for cut in cuts),
                    nonzeros=sum(cut.nonzeros for cut in cuts),
                    work=sum(map(work_of, rankings)),
                    latency_ms=latency,
                )
            )
    return out


def _combined(rankings: Sequence[Ranking], k: int, combination: Combination) -> Ranking:
    return combine(rankings, k, combination) if len(rankings) > 1 else rankings[0]


def work_of(ranking: Ranking) -> float:
    """A query's mean work: chunks multiplied and features found in them."""
    counters = ranking.counters
    chunks = counters.march + counters.binary + counters.hash + counters.dense
    return (chunks + counters.hits) / max(len(ranking.ids), 1)


def _median_ms(
    rankers: Sequence[Ranker],
    rows: Sequence[sparse.csr_array],
    k: int,
    params: BeamParams,
    combination: Combination,
    clock: Callable[[], float],
) -> float | None:
    seconds = []
    for row in rows:
        begin = clock()
        _combined([ranker.rank(row, k, params=params) for ranker in rankers], k, combination)
        seconds.append(clock() - begin)
    return 1000 * float(np.median(seconds)) if seconds else None


def choose(
    points: Sequence[SweepPoint],
    *,
    latency_ms: float | None = None,
    work: float | None = None,
    megabytes: float | None = None,
    least_recall: float | None = None,
) -> SweepPoint:
    """The setting of the best recall within the limits; with ``least_recall`` the smallest one that reaches it.

    Ties go to fewer bytes, then to the narrower beam. NoSettingError names the limit that comes nearest where none
    holds.
    """
    if latency_ms is not None and any(point.latency_ms is None for point in points):
        raise ValueError("latency_ms: expected points with a latency, got some without; sweep with a clock")
    left = list(points)
    if latency_ms is not None:
        left = _within(left, "latency", "ms", lambda point: point.latency_ms or 0.0, latency_ms)
    if work is not None:
        left = _within(left, "work", "chunks and features a query", lambda point: point.work, work)
    if megabytes is not None:
        left = _within(left, "size", "MB", lambda point: point.bytes / 1e6, megabytes)
    if least_recall is not None:
        best = max((point.recall for point in left), default=0.0)
        left = [point for point in left if point.recall >= least_recall]
        if not left:
            raise NoSettingError(f"recall: expected at least {least_recall:g}, got at most {best:.4g}; lower it")
        return min(left, key=lambda point: (point.bytes, point.beam, -point.recall, point.threshold))
    if not left:
        raise NoSettingError("sweep: expected at least one point, got none; give thresholds and beams")
    return min(left, key=lambda point: (-point.recall, point.bytes, point.beam, point.threshold))


def _within(
    points: list[SweepPoint], name: str, unit: str, value: Callable[[SweepPoint], float], limit: float
) -> list[SweepPoint]:
    kept = [point for point in points if value(point) <= limit]
    if points and not kept:
        least = min(value(point) for point in points)
        raise NoSettingError(f"{name}: expected at most {limit:g} {unit}, got at least {least:.4g} {unit}; raise it")
    return kept
