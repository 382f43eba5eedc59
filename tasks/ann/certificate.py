"""The certificate of an index: the recall that its search reaches, with bounds, and at what width and cost.

Every width of the curve has an interval, and all intervals hold together with the given confidence, so that a width may be
chosen on the curve itself: by the certificate for its target, and later by anybody for another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.bounded_means import mean_between
from fingerpost.tasks.ann.held_out import AskedVectors, Population, recalls
from fingerpost.tasks.ann.search import Index, Metric
from fingerpost.tasks.ann.search_plan import SearchPlan
from fingerpost.tasks.ann.search_tuning import CertificateParams, search_widths

#: Number of vectors up to which a search may be as wide as the index.
EXHAUSTIVE = 20_000
#: Recall beyond which no wider search is certified, once the target is reached.
_ENOUGH = 0.998


class UnreachedRecallError(ValueError):
    """A recall that no width of a certificate reaches."""


@dataclass(frozen=True)
class CertifiedWidth:
    """A search width with the recall that it reaches, its bounds, and distances and estimates per query."""

    ef: int
    recall: float
    low: float
    high: float
    distances: float
    estimates: float

    @property
    def estimated_share(self) -> float:
        """Fraction of the compared neighbours whose distance was estimated, from codes or by FINGER."""
        return self.estimates / max(self.estimates + self.distances, 1e-9)


@dataclass(frozen=True)
class Certificate:
    """What an index delivers.

    plan: how it is searched. k, target: the wanted recall@k. ef: the narrowest width whose lower bound reaches the target, or
    the one with the highest bound. population, queries: what was asked, and how many. confidence: that all of ``curve``
    holds.
    """

    plan: SearchPlan
    k: int
    target: float
    ef: int
    population: Population
    queries: int
    confidence: float
    curve: tuple[CertifiedWidth, ...]

    def __str__(self) -> str:
        """As a table: the certified width has an arrow."""
        head = (
            f"{self.plan.name}: recall@{self.k} on {self.queries:,} {self.population}; between the bounds with a confidence"
            f" of {100 * self.confidence:g} %, target {self.target:g}"
        )
        rows = [
            f"{point.ef:>6}{' ←' if point.ef == self.ef else '  '}{point.recall:>8.4f}{point.low:>10.4f}{point.high:>9.4f}"
            for point in self.curve
        ]
        return "\n".join([head, "    ef    recall  at least  at most", *rows])

    @property
    def at(self) -> CertifiedWidth:
        """The certified width."""
        return next(point for point in self.curve if point.ef == self.ef)

    @property
    def reached(self) -> bool:
        """Whether the lower bound reaches the target."""
        return self.at.low >= self.target

    def ef_for(self, recall: float) -> int:
        """The narrowest width whose lower bound is at least ``recall``; UnreachedRecallError names what is reached."""
        for point in self.curve:
            if point.low >= recall:
                return point.ef
        best = max(self.curve, key=lambda point: point.low)
        raise UnreachedRecallError(
            f"target recall: expected at most {best.low:.4f}, which the certificate of this index reaches with ef {best.ef},"
            f" got {recall:g}; lower it, or give a width with --ef"
        )

    def settings(self) -> dict[str, Any]:
        """Everything but the curve by name, as it is stored; :meth:`of` is the inverse."""
        own = ("k", "target", "ef", "population", "queries", "confidence")
        return {name: getattr(self, name) for name in own} | {"plan": self.plan.settings()}

    @classmethod
    def of(cls, settings: Mapping[str, Any], curve: Sequence[CertifiedWidth]) -> "Certificate":
        """The certificate of stored settings and a stored curve."""
        return cls(**{**settings, "plan": SearchPlan.of(settings["plan"]), "curve": tuple(curve)})

    @property
    def quality(self) -> dict[str, Any]:
        """The few values that sum it up, for gates and tables."""
        return {
            "plan": self.plan.name,
            "ef": self.ef,
            "target_recall": self.target,
            f"certified_recall_at_{self.k}": round(self.at.recall, 6),
            "certified_low": round(self.at.low, 6),
            "certified_high": round(self.at.high, 6),
            "certified_on": self.queries,
            "estimated_share": round(self.at.estimated_share, 6),
        }


def certify(
    index: Index,
    plan: SearchPlan,
    asked: AskedVectors,
    vectors: NDArray[np.float32],
    metric: Metric,
    params: CertificateParams,
    *,
    population: Population,
) -> Certificate:
    """The certificate of an index, of the queries ``asked``, which the plan was not chosen on.

    The widths are those of ``params``, up to the first whose lower bound can hardly rise. Where the target is not reached and
    the index is small, a width of all its vectors is added: such a search compares every vector.
    """
    curve: list[CertifiedWidth] = []
    for width in dict.fromkeys(min(width, len(vectors)) for width in search_widths(params.k, params.widest)):
        curve.append(_point(index, width, asked, vectors, metric, params))
        if width >= len(vectors) or (curve[-1].low >= params.target_recall and curve[-1].recall >= _ENOUGH):
            break
    size = len(vectors)
    if curve[-1].ef < size <= EXHAUSTIVE and curve[-1].low < params.target_recall:
        curve.append(_point(index, size, asked, vectors, metric, params))
    reaching = [point for point in curve if point.low >= params.target_recall]
    ef = reaching[0].ef if reaching else max(curve, key=lambda point: point.low).ef
    return Certificate(
        plan, params.k, params.target_recall, ef, population, asked.size, params.confidence, tuple(curve)
    )


def _point(
    index: Index,
    width: int,
    asked: AskedVectors,
    vectors: NDArray[np.float32],
    metric: Metric,
    params: CertificateParams,
) -> CertifiedWidth:
    work = (0.0, 0.0)
    found = np.empty(0)
    if asked.size:
        result = index.search(asked.vectors, params.k, ef=width)
        found = recalls(result, asked, vectors, metric)
        work = result.counters.distances / asked.size, result.counters.estimates / asked.size
    mean = mean_between(found, confidence=params.each)
    # A search as wide as the index compares every vector that an entry leads to, which is all of them; by what it keeps of
    # them, which may be less than they are.
    complete = width >= len(vectors) and mean.mean == 1.0 and getattr(index, "exact", True)
    low, high = (1.0, 1.0) if complete else (mean.low, mean.high)
    return CertifiedWidth(width, round(mean.mean, 9), low, high, *work)
