"""Judged queries for the report, read from the judgement of the answers to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.schemas import ann
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.judged import METRICS
from fingerpost.tasks.ann.judgement import JUDGED, served_of

#: Methods by name, and how they are called, the served one of the two that may be served first.
METHODS = {"fused": "fused", "lexical": "lexical alone", "dense": "dense alone", "bm25": "plain BM25"}
TITLES = dict(zip(METRICS, ("nDCG@10", "MRR", "recall@100", "precision@10"), strict=True))


@dataclass(frozen=True)
class Interval:
    """A mean over queries and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MethodRow:
    """The metrics of one method, by title; ``served``: whether it answers queries."""

    method: str
    metrics: Mapping[str, Interval]
    served: bool


@dataclass(frozen=True)
class Difference:
    """The served method beside another one: mean difference of nDCG@10, queries that are better and worse, probability of
    such a difference between equally good methods.
    """

    method: str
    difference: float
    better: int
    worse: int
    probability: float


@dataclass(frozen=True)
class JudgedAnswers:
    """queries: the number of judged queries that answering was not tuned on. tuned: that of the others. confidence: the
    probability that an interval covers the mean.
    """

    queries: int
    tuned: int
    without_relevant: int
    confidence: float
    rows: list[MethodRow]
    differences: list[Difference]

    @property
    def served(self) -> MethodRow:
        """The method that answers queries."""
        return next(row for row in self.rows if row.served)


def read_judgement(store: Store, stage: Mapping[str, Any], imported: Mapping[str, Any]) -> JudgedAnswers:
    """The metrics of a stage's artifact; imported: the quality of the import of the judged queries."""
    figures = store.open(Ref.parse(stage["ref"]), ann.JUDGEMENT).read("figures").to_pylist()
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in figures:
        values.setdefault((row["method"], row["setting"]), {})[row["metric"]] = row["value"]
    served = served_of([method for method, setting in values if setting == JUDGED])
    rows = [
        MethodRow(
            name,
            {
                title: Interval(*(found[f"{metric}{end}"] for end in ("", "_low", "_high")))
                for metric, title in TITLES.items()
            },
            method == served,
        )
        for method, name in METHODS.items()
        if (found := values.get((method, JUDGED)))
    ]
    differences = [
        Difference(
            name, found["ndcg_at_10_difference"], int(found["better"]), int(found["worse"]), found["probability"]
        )
        for method, name in METHODS.items()
        if (found := values.get((served, f"against_{method}")))
    ]
    tuned, without = (int(imported.get(name, 0)) for name in ("tuning", "queries_without_relevant"))
    queries, confidence = int(values[served, JUDGED]["queries"]), float(stage["quality"]["judged_confidence"])
    return JudgedAnswers(queries, tuned, without, confidence, rows, differences)
