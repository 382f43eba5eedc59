"""Search and FINGER's estimates for the report, read from the artifacts of evaluation and basis."""

from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains.ann.report.search_plots import SearchPoint
from fingerpost.schemas import ann
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.finger_cosines import RankStatistics
from fingerpost.tasks.ann.open import read_basis


@dataclass(frozen=True)
class Search:
    """Recall, work and speed of the searches; ``speedup`` is FINGER's speed over plain search's at equal recall."""

    k: int
    queries: int
    curves: dict[str, list[SearchPoint]]
    speedup: float | None
    measured_at: str

    @property
    def rows(self) -> list[tuple[int, SearchPoint | None, SearchPoint | None]]:
        """Rows by search width: (ef, plain, FINGER)."""
        plain, finger = ({p.ef: p for p in self.curves.get(name, [])} for name in ("hnsw", "finger"))
        return [(ef, plain.get(ef), finger.get(ef)) for ef in sorted({*plain, *finger})]

    @property
    def timed(self) -> bool:
        """Whether the times were measured."""
        return any(point.speed is not None for points in self.curves.values() for point in points)

    @property
    def speed_words(self) -> str:
        """A sentence on FINGER's measured speed and the search that ``auto`` uses; empty without measured times."""
        if self.speedup is None:
            return ""
        measured = (
            f"At equal recall (median over the recalls that both reach), FINGER answered {self.speedup:.2f} times as"
            " many queries per second as plain HNSW search"
        )
        if self.speedup >= 1:
            return f"{measured}. The index therefore serves FINGER search under method “auto”."
        return (
            f"{measured}: a ratio below 1, FINGER is slower here. The index therefore serves plain search under method"
            " “auto”."
        )


@dataclass(frozen=True)
class Finger:
    """The accuracy of the estimates by rank; ``wanted`` is None where the rank was given."""

    rank: int
    code: str
    wanted: float | None
    statistics: tuple[RankStatistics, ...]

    @property
    def reached(self) -> bool:
        """Whether the rank in use reaches the wanted correlation."""
        chosen = next((row.correlation for row in self.statistics if row.rank == self.rank), 0.0)
        return self.wanted is not None and chosen >= self.wanted


def read_search(store: Store, stage: dict[str, Any]) -> Search:
    """The measurements of an index, of a stage's artifact."""
    artifact = store.open(Ref.parse(stage["ref"]), ann.EVALUATION)
    params = artifact.manifest.identity["parameters"].get("params", {})
    speeds = stage["measured"].get("queries_per_second", {})
    values: dict[tuple[str, int], dict[str, float]] = {}
    for row in artifact.read("figures").to_pylist():
        width = int(row["setting"].removeprefix("ef="))
        values.setdefault((row["method"], width), {})[row["metric"]] = row["value"]
    curves: dict[str, list[SearchPoint]] = {}
    for (method, ef), metrics in sorted(values.items(), key=lambda pair: pair[0][1]):
        speed = speeds.get(str(ef), {}).get(method)
        curves.setdefault(method, []).append(
            SearchPoint(ef, metrics["recall"], metrics["distances"], metrics["estimates"], speed)
        )
    return Search(
        int(params.get("k", 10)),
        int(params.get("queries", 0)),
        curves,
        stage["measured"].get("finger_speedup"),
        str(artifact.manifest.run.get("at", "")),
    )


def read_finger(store: Store, stage: dict[str, Any]) -> Finger:
    """The basis of FINGER that a stage fitted."""
    artifact = store.open(Ref.parse(stage["ref"]), ann.FINGER_BASIS)
    basis = read_basis(artifact)
    params = artifact.manifest.identity["parameters"].get("params", {})
    wanted = params.get("correlation_threshold") if params.get("rank") is None else None
    return Finger(basis.rank, basis.code, wanted, basis.statistics)
