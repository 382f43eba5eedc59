"""Which plan an index is searched by: what each reaches on held-out queries, and the choice among them.

Measuring and choosing are apart: figures depend on the data alone, seconds on the machine, and the choice on both. A plan is
better than a simpler one only by more than a margin, so that noise rarely turns the choice.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.bounded_means import most_certain
from fingerpost.tasks.ann.evaluation import Figure
from fingerpost.tasks.ann.graph import Graph
from fingerpost.tasks.ann.held_out import AskedVectors, recalls
from fingerpost.tasks.ann.search import Index, Metric, SearchResult, size_of
from fingerpost.tasks.ann.search_plan import PLAIN, Profile, SearchPlan

#: Opens the index that a plan describes.
OpenPlan = Callable[[SearchPlan], Index]
#: Seconds per query of a plan at a search width.
Seconds = Mapping[str, Mapping[str, float]]
#: Between one search width and the next.
_STEP = math.sqrt(2.0)
#: Recall beyond which no wider search is measured, if the wanted recall is reached.
_ENOUGH = 0.995


@dataclass(frozen=True)
class CertificateParams:
    """Parameters of the choice of a plan and of its certificate.

    k: number of answers that recall is measured over.
    target_recall: the recall@k that the certified lower bound has to reach.
    profile: what the way to search is chosen for: fast (speed), compact (memory), or plain (vectors and graph alone).
    queries: number of held-out documents that recall is certified on, or more where the target needs more.
    choosing: held-out documents that the way to search is chosen on, as a fraction of all held-out ones.
    held_share: maximum fraction of the documents that are held out and asked as queries.
    confidence: probability that all intervals of the curve hold.
    widest: maximum search width.
    repeats: timed passes per way to search and width.
    margin: fraction by which a way to search has to be faster than a simpler one.
    seed: seed of the sample that is held out.
    plan: the way to search, where it is not to be chosen.

    ValueError for values out of range.
    """

    k: int = 10
    target_recall: float = 0.98
    profile: Profile = "fast"
    queries: int = 2_000
    choosing: float = 0.2
    held_share: float = 0.1
    confidence: float = 0.95
    widest: int = 2_048
    repeats: int = 3
    margin: float = 0.05
    seed: int = 0
    plan: SearchPlan | None = None

    def __post_init__(self) -> None:
        if self.profile not in get_args(Profile):
            raise ValueError(
                f"profile: expected one of {', '.join(get_args(Profile))}, got {self.profile!r}; choose one"
            )
        for name, value, least, most in (
            ("k", self.k, 1, 1_000),
            ("queries", self.queries, 1, 1_000_000),
            ("widest", self.widest, self.k, 1_000_000),
            ("repeats", self.repeats, 1, 1_000),
            ("margin", self.margin, 0, 10),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name}: expected {least} to {most}, got {value}; correct it")
        for name, value in (
            ("target_recall", self.target_recall),
            ("choosing", self.choosing),
            ("held_share", self.held_share),
            ("confidence", self.confidence),
        ):
            if not 0 < value < 1:
                raise ValueError(f"{name}: expected a fraction between 0 and 1, got {value}; correct it")

    @property
    def asked(self) -> int:
        """Number of queries in all: as many as are set, or as the target needs if nothing is missed."""
        needed = self.queries
        while most_certain(needed, confidence=self.each) < self.target_recall + (1 - self.target_recall) / 3:
            needed = needed * 5 // 4 + 1
        return math.ceil(needed / (1 - self.choosing))

    @property
    def each(self) -> float:
        """The confidence of each interval of a curve, such that all hold together (Bonferroni)."""
        return 1 - (1 - self.confidence) / len(search_widths(self.k, self.widest))

    def reachable(self, queries: int) -> bool:
        """Whether a number of queries can show the wanted recall, if none misses anything."""
        return most_certain(queries, confidence=self.each) >= self.target_recall


@dataclass(frozen=True)
class Speeds:
    """What was measured of plans: figures (plan, ``ef=<width>``, metric, value) of the data alone, and seconds a query.

    Metrics: recall and its standard deviation over queries (``deviation``), distances and estimates per query, and, at no
    width (setting ``index``), bytes per vector.
    """

    figures: list[Figure]
    seconds: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Tried:
    """What a plan reaches: speed against plain search at the wanted recall (None if not reached), and the reason."""

    plan: SearchPlan
    width: int | None
    speed: float | None
    ratio: float | None
    chosen: bool
    reason: str


def search_widths(k: int, widest: int) -> list[int]:
    """The search widths that are tried: from k to ``widest``, each about 1.41 times the one before."""
    count = math.floor(math.log(widest / k) / math.log(_STEP) + 1e-9)
    return list(dict.fromkeys([*(round(k * _STEP**i) for i in range(count + 1)), widest]))


def measure(
    open_plan: OpenPlan,
    plans: Sequence[SearchPlan],
    asked: AskedVectors,
    vectors: NDArray[np.float32],
    metric: Metric,
    params: CertificateParams,
    *,
    clock: Callable[[], float],
) -> Speeds:
    """Recall, work and seconds of plans at ascending widths, until one is wide enough.

    One index is open at a time, and plans take turns, so that a change of the machine's speed meets all alike. Seconds are
    the median of the passes.
    """
    figures: list[Figure] = []
    passes: dict[str, dict[int, list[float]]] = {plan.name: {} for plan in plans}
    for number in range(params.repeats):
        for plan in plans:
            index, times = open_plan(plan), passes[plan.name]
            if number == 0:
                figures.append((plan.name, "index", "bytes_per_vector", bytes_per_vector(index)))
            for width in list(times) if number else _widths(index, params):
                started = clock()
                found = index.search(asked.vectors, params.k, ef=width)
                times.setdefault(width, []).append(clock() - started)
                if number == 0:
                    missed = recalls(found, asked, vectors, metric)
                    figures += _figures(plan.name, width, found, missed)
                    if _wide_enough(missed, params):
                        break
            del index
    seconds = {
        name: {f"ef={width}": float(np.median(all_of)) / max(asked.size, 1) for width, all_of in times.items()}
        for name, times in passes.items()
    }
    return Speeds(figures, seconds)


def choose(speeds: Speeds, plans: Sequence[SearchPlan], params: CertificateParams, *, certifying: int) -> list[Tried]:
    """What each plan reaches, and which one is chosen: the simplest that none beats by more than the margin.

    Speeds are compared at the width where the certificate can be expected to reach the target. Under profile compact plain
    search is no choice, as it is not compact; else it is chosen where nothing is faster. certifying: number of queries that
    the certificate will have. A plan that is set is the last of ``plans``.
    """
    if params.plan is not None:
        return [Tried(plan, None, None, None, plan == plans[-1], "set") for plan in plans]
    reached = {plan.name: _at_target(speeds, plan.name, params, certifying) for plan in plans}
    base = reached[PLAIN.name]
    open_to_choice = [plan for plan in plans if params.profile != "compact" or plan.profile == "compact"]
    rates = {plan: at[1] for plan in open_to_choice if (at := reached[plan.name]) is not None}
    chosen, best = PLAIN if PLAIN in open_to_choice else open_to_choice[0], 0.0
    if rates:
        best = max(rates.values())
        chosen = next(plan for plan, rate in rates.items() if rate * (1 + params.margin) >= best)
    found = []
    for plan in plans:
        at = reached[plan.name]
        ratio = None if at is None or base is None else at[1] / base[1]
        best_recall = max((row[3] for row in speeds.figures if row[0] == plan.name and row[2] == "recall"), default=0.0)
        reason = _reason(plan, chosen, at, ratio, plan in open_to_choice, params, best_recall)
        found.append(Tried(plan, at and at[0], at and at[1], ratio, plan == chosen, reason))
    return found


def bytes_per_vector(index: Index) -> float:
    """Memory that a search of an index reads, in bytes per vector."""
    if (own := getattr(index, "nbytes", None)) is not None:
        return float(own) / size_of(index)
    graph: Graph | None = getattr(index, "graph", None)
    lists = 0 if graph is None else graph.indices.nbytes + graph.indptr.nbytes
    lists += 0 if graph is None else sum(level.indices.nbytes for level in graph.upper)
    return (index.vectors.nbytes + lists + int(getattr(index, "table_bytes", 0))) / len(index.vectors)


def expected_low(recall: float, deviation: float, queries: int, params: CertificateParams) -> float:
    """The lower bound that so many further queries can be expected to show (empirical Bernstein, to leading order)."""
    log = math.log(2 / (1 - params.each))
    return recall - deviation * math.sqrt(2 * log / max(queries, 1)) - log / max(queries, 1)


def _widths(index: Index, params: CertificateParams) -> list[int]:
    """The widths to try; the number of vectors in place of those above it."""
    size = size_of(index)
    return list(dict.fromkeys(min(width, size) for width in search_widths(params.k, params.widest)))


def _wide_enough(found: NDArray[np.float64], params: CertificateParams) -> bool:
    mean, deviation = (float(found.mean()), float(found.std())) if len(found) else (1.0, 0.0)
    # As if there were any number of further queries: with few, no width would be enough.
    return mean >= max(_ENOUGH, params.target_recall + deviation / 100 + (1 - params.target_recall) / 2)


def _figures(name: str, width: int, found: SearchResult, share: NDArray[np.float64]) -> list[Figure]:
    queries = max(len(share), 1)
    mean, deviation = (float(share.mean()), float(share.std())) if len(share) else (1.0, 0.0)
    values = {
        "recall": round(mean, 6),
        "deviation": round(deviation, 6),
        "distances": found.counters.distances / queries,
        "estimates": found.counters.estimates / queries,
    }
    return [(name, f"ef={width}", metric, value) for metric, value in values.items()]


def _at_target(speeds: Speeds, name: str, params: CertificateParams, queries: int) -> tuple[int, float] | None:
    """The narrowest width that can be expected to be certified, and queries per second, interpolated to the target."""
    values = {(setting, metric): value for method, setting, metric, value in speeds.figures if method == name}
    before: tuple[float, float] | None = None
    for width, seconds in sorted(
        (int(setting.removeprefix("ef=")), time) for setting, time in speeds.seconds[name].items()
    ):
        setting = f"ef={width}"
        low = expected_low(values[setting, "recall"], values[setting, "deviation"], queries, params)
        if low >= params.target_recall:
            share = 1.0
            if before is not None and low > before[0]:
                share = (params.target_recall - before[0]) / (low - before[0])
            earlier = seconds if before is None else before[1]
            cost = math.exp(share * math.log(seconds) + (1 - share) * math.log(earlier))
            return width, 1 / cost
        before = low, seconds
    return None


def _reason(
    plan: SearchPlan,
    chosen: SearchPlan,
    at: tuple[int, float] | None,
    ratio: float | None,
    eligible: bool,
    params: CertificateParams,
    recall: float,
) -> str:
    """recall: the best that it reaches at any width."""
    target = f"recall@{params.k} of {params.target_recall:g}"
    if at is None and recall >= params.target_recall:
        return f"{target} is reached, but cannot be certified at any width with so few queries"
    if at is None:
        return f"{target} was not reached at any width"
    rate, margin = f"{at[1]:,.0f} queries/s at {target}", f"{100 * params.margin:g} %"
    if ratio is not None and plan != PLAIN:
        rate += f", {ratio:.2f} times plain search"
    if plan == chosen:
        return f"{rate}: the simplest that none beats by more than {margin}"
    return (
        f"{rate}: not faster than the chosen one by more than {margin}"
        if eligible
        else f"{rate}: not of profile compact"
    )
