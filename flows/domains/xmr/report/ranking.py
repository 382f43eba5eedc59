"""A ranker, its baselines and its sweep for the report, read from comparison, evaluation and sweep."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fingerpost.schemas import xmr
from fingerpost.schemas.figures import significant
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store
from fingerpost.tasks.xmr.sweep import SweepParams

#: Display names of methods, in the order of the table.
METHODS = {
    "ranker": "ranker (tree of linear models)",
    "two_tower": "two-tower network",
    "dense_of_rows": "dense vectors of labels' rows",
    "dense_of_text": "dense vectors of label texts",
    "bm25": "BM25 over label texts",
    "frequent": "most frequent labels",
}
#: Metrics of the table: name and heading.
COLUMNS = (
    ("precision_at_1", "precision@1"),
    ("precision_at_5", "precision@5"),
    ("recall_at_10", "recall@10"),
    ("recall_at_100", "recall@100"),
    ("ndcg_at_10", "nDCG@10"),
    ("propensity_precision_at_5", "propensity-scored precision@5"),
    ("coverage_at_10", "coverage@10"),
)
_BAND = re.compile(r"seen (\d+)-(\d+)")


@dataclass(frozen=True)
class System:
    """One ranker or baseline: values by metric, recall by frequency bucket of labels, and measured times, if any."""

    method: str
    metrics: dict[str, float]
    bands: dict[tuple[int, int], float]
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The display name."""
        return METHODS.get(self.method, self.method.replace("_", " "))


@dataclass(frozen=True)
class BandRow:
    """The labels seen ``least`` to ``most`` times in training: number, true occurrences, and each system's recall."""

    least: int
    most: int
    labels: int
    occurrences: int
    recalls: list[float | None]

    @property
    def name(self) -> str:
        """The limits of the bucket, human-readable."""
        return f"{self.least} to {self.most} times" if self.most > self.least else f"{self.least} times"


@dataclass(frozen=True)
class Ranked:
    """Systems on the same test queries, and the frequency buckets of labels."""

    queries: int
    labels: int
    systems: list[System]
    bands: list[BandRow]
    measured_at: str

    @property
    def timed(self) -> bool:
        """Whether the times were measured."""
        return any(system.measured for system in self.systems)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The metrics that have values."""
        return [(key, title) for key, title in COLUMNS if any(key in system.metrics for system in self.systems)]

    def best(self, metric: str) -> float:
        """The highest value of a metric."""
        return max(system.metrics.get(metric, 0.0) for system in self.systems)


@dataclass(frozen=True)
class Sweep:
    """Recall at ``k`` against its cost.

    points: rows of threshold, beam, recall, bytes, weights, work and, where measured, latency_ms. ``chosen``: the
    (threshold, beam) within the limits, None if no limit is set or nothing is within them.
    """

    k: int
    points: list[dict[str, Any]]
    chosen: tuple[float, int] | None
    limits: list[str]
    refused: str

    @property
    def timed(self) -> bool:
        """Whether the times were measured."""
        return any(point["latency_ms"] is not None for point in self.points)

    def picked(self, point: dict[str, Any]) -> bool:
        """Whether this is the setting in use."""
        return self.chosen == (point["threshold"], point["beam"])


def read_sweep(store: Store, stage: dict[str, Any]) -> Sweep:
    """The sweep that a stage made."""
    artifact = store.open(Ref.parse(stage["ref"]), xmr.SWEEP)
    params, quality = SweepParams(**artifact.manifest.identity["parameters"]["params"]), stage["quality"]
    found: dict[str, dict[str, Any]] = {}
    for row in artifact.read("figures").to_pylist():
        found.setdefault(row["setting"], {})[row["metric"]] = row["value"]
    points = [
        {**values, "beam": int(values["beam"]), "recall": values[f"recall_at_{params.k}"]} for values in found.values()
    ]
    times = stage["measured"].get("latency_ms") or [None] * len(points)
    for point, latency in zip(points, times, strict=True):
        point["latency_ms"] = latency
    chosen = quality["chosen"] if params.picks else None
    return Sweep(
        params.k,
        points,
        (chosen["threshold"], chosen["beam"]) if chosen else None,
        _limits(params),
        quality.get("refused", ""),
    )


def _limits(params: SweepParams) -> list[str]:
    """The limits that are set, human-readable."""
    limits = (
        (params.megabytes, f"at most {significant(params.megabytes, 6)} MB"),
        (
            params.latency_ms,
            f"at most {significant(params.latency_ms, 6)} ms per query, at {params.work_per_ms:,.0f} units of work per ms",
        ),
        (params.least_recall, f"recall@{params.k} of at least {significant(params.least_recall, 6)}"),
    )
    return [words for value, words in limits if value]


def read_ranked(store: Store, record: dict[str, Any]) -> Ranked | None:
    """The comparison of a run that trained a ranker, with the members of an ensemble from its evaluation.

    Without a comparison the evaluation alone; None where there is neither.
    """
    found: list[tuple[dict[str, Any], Artifact]] = []
    for contract in (xmr.COMPARISON, xmr.EVALUATION):
        for stage in record["stages"]:
            if Ref.parse(stage["ref"]).name == contract.name:
                found.append((stage, store.open(Ref.parse(stage["ref"]), contract)))
    if not found:
        return None
    rows = [artifact.read("figures").to_pylist() for _, artifact in found]
    methods = {row["method"] for row in rows[0]}
    others = [row for more in rows[1:] for row in more if row["method"] not in methods]
    stage, artifact = found[0]
    return _ranked(rows[0] + others, artifact.manifest.quality, stage, artifact)


def _ranked(rows: list[dict[str, Any]], quality: Mapping[str, Any], stage: dict[str, Any], artifact: Any) -> Ranked:
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        values.setdefault(row["method"], {}).setdefault(row["setting"], {})[row["metric"]] = row["value"]
    order = [*(name for name in METHODS if name in values), *sorted(set(values) - set(METHODS))]
    systems, bands = [], {}
    for method in order:
        recalls = {}
        for setting, found in values[method].items():
            if match := _BAND.fullmatch(setting):
                limits = (int(match[1]), int(match[2]))
                recalls[limits] = found["recall"]
                bands[limits] = (int(found["labels"]), int(found["occurrences"]))
        systems.append(System(method, values[method].get("all", {}), recalls, stage["measured"].get(method, {})))
    table = [
        BandRow(*limits, *sizes, [system.bands.get(limits) for system in systems])
        for limits, sizes in sorted(bands.items())
        if sizes[1]
    ]
    when = str(artifact.manifest.run.get("at", ""))
    return Ranked(int(quality.get("queries", 0)), int(quality.get("labels", 0)), systems, table, when)
