"""Sweep over pruning thresholds and beam widths: recall against model size and work, and a choice within limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fingerpost.tasks.xmr.ensembles import Combination, combine
from fingerpost.tasks.xmr.metrics import hits, precision_at, recall_at
from fingerpost.tasks.xmr.model import RankerModel, prune
from fingerpost.tasks.xmr.ranking import BeamParams, Ranker, Ranking
from fingerpost.tasks.xmr.sparse_rows import checked_rows


class NoSettingError(ValueError):
    """No setting of a sweep meets the limits."""


@dataclass(frozen=True)
class SweepParams:
    """Grid and limits of a sweep; a limit of 0 is none.

    on: whether thresholds and beams are swept even without a limit.
    thresholds: pruning thresholds; 0: weights as trained.
    beams: beam widths.
    k: rank at which recall is measured.
    megabytes: maximum model size in MB, 0 for none.
    least_recall: minimum recall, 0 for none; the smallest model that reaches it is chosen.
    latency_ms: maximum estimated latency of a query in milliseconds. The choice must not depend on a clock, so that
        the estimate is the counted work over ``work_per_ms``.
    work_per_ms: throughput of the serving machine (13,400 to 18,600 on debian12, thresholds 0.1 to 0.3, beams 5 to
        20, one thread); the measured latency is reported as well, to calibrate it.
    timed: number of queries whose latency is measured.
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
        """Whether a limit is set, so that the chosen setting is published."""
        return bool(self.megabytes or self.least_recall or self.latency_ms)

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, as keyword arguments of :func:`choose`."""
        limits = {
            "megabytes": self.megabytes,
            "least_recall": self.least_recall,
            "work": self.latency_ms * self.work_per_ms,
        }
        return {name: value for name, value in limits.items() if value}


@dataclass(frozen=True)
class SweepPoint:
    """Results of one setting.

    precision, recall: at k.
    bytes, nonzeros: size and stored weights of the model.
    work: mean work of a query, chunks multiplied plus features matched in them; independent of the clock.
    latency_ms: median milliseconds of a query, None where not measured.
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
    """One point for each threshold and beam, in that order; a threshold below that of the model has no effect.

    model: a model, or those of an ensemble, which are pruned alike; bytes and work are then sums.
    queries: CSR (q, d).
    truth: CSR (q, labels).
    clock: seconds; if set, the latency is the median over single queries of the first ``timed_rows`` rows.
    """
    models = [model] if isinstance(model, RankerModel) else list(model)
    rows, true = checked_rows(queries, "queries"), checked_rows(truth, "truth", columns=models[0].tree.labels)
    singles = [rows[[row]] for row in range(min(timed_rows, rows.shape[0]))] if clock else []
    sizes, out = np.diff(true.indptr), []
    for threshold in thresholds:
        cuts = [prune(trained, threshold=threshold) for trained in models]
        rankers = [Ranker(cut, params) for cut in cuts]
        for beam in beams:
            chosen = BeamParams(beam, params.post_processor)
            rankings = [ranker.rank(rows, k, params=chosen) for ranker in rankers]
            hit = hits(_combined(rankings, k, combination), true)
            latency = None
            if clock:
                latency = _median_ms(rankers, singles, k, chosen, combination, clock)
            out.append(
                SweepPoint(
                    threshold=threshold,
                    beam=beam,
                    precision_at_1=precision_at(hit, 1),
                    precision=precision_at(hit, k),
                    recall=recall_at(hit, sizes, k),
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
    """Mean work of a query: chunks multiplied plus features matched in them."""
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
    """The setting with the best recall within the limits; with ``least_recall``, the smallest that reaches it.

    Ties go to fewer bytes, then to the narrower beam. Raises NoSettingError with the violated limit and the nearest
    value where no setting meets it, ValueError for a limit on latencies that were not measured.
    """
    if latency_ms is not None and any(point.latency_ms is None for point in points):
        raise ValueError("latency_ms: expected points with a latency, got some without; sweep with a clock")
    allowed = list(points)
    if latency_ms is not None:
        allowed = _within(allowed, "latency", "ms", lambda point: point.latency_ms or 0.0, latency_ms)
    if work is not None:
        allowed = _within(allowed, "work", "chunks and features a query", lambda point: point.work, work)
    if megabytes is not None:
        allowed = _within(allowed, "size", "MB", lambda point: point.bytes / 1e6, megabytes)
    if least_recall is not None:
        best = max((point.recall for point in allowed), default=0.0)
        allowed = [point for point in allowed if point.recall >= least_recall]
        if not allowed:
            raise NoSettingError(f"recall: expected at least {least_recall:g}, got at most {best:.4g}; lower it")
        return min(allowed, key=lambda point: (point.bytes, point.beam, -point.recall, point.threshold))
    if not allowed:
        raise NoSettingError("sweep: expected at least one point, got none; give thresholds and beams")
    return min(allowed, key=lambda point: (-point.recall, point.bytes, point.beam, point.threshold))


def _within(
    points: list[SweepPoint], name: str, unit: str, value: Callable[[SweepPoint], float], limit: float
) -> list[SweepPoint]:
    kept = [point for point in points if value(point) <= limit]
    if points and not kept:
        nearest = min(value(point) for point in points)
        raise NoSettingError(f"{name}: expected at most {limit:g} {unit}, got at least {nearest:.4g} {unit}; raise it")
    return kept
