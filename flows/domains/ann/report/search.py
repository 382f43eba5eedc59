"""Search and FINGER's estimates for the report, read from the artifacts of evaluation and codes."""

from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains.ann.report.search_plots import SearchPoint
from fingerpost.schemas import ann
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.edge_codes import CodingCost
from fingerpost.tasks.ann.open import read_coder


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
        """A sentence on FINGER's measured speed; empty without measured times."""
        if self.speedup is None:
            return ""
        measured = (
            f"At equal recall (median over the recalls that both reach), FINGER answered {self.speedup:.2f} times as"
            " many queries per second as plain HNSW search"
        )
        return f"{measured}." if self.speedup >= 1 else f"{measured}: a ratio below 1, FINGER is slower here."


@dataclass(frozen=True)
class Finger:
    """What FINGER's estimates are made of, and what each choice of directions and bits was taken to cost."""

    rank: int
    bits: int
    tried: tuple[CodingCost, ...]

    @property
    def errors(self) -> dict[int, list[tuple[int, float]]]:
        """By bits: (directions, error of the estimated cosine)."""
        found: dict[int, list[tuple[int, float]]] = {}
        for cost in self.tried:
            found.setdefault(cost.bits, []).append((cost.rank, cost.error))
        return found


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
    """The directions and codes of FINGER that a stage fitted."""
    coder, _ = read_coder(store.open(Ref.parse(stage["ref"]), ann.FINGER_CODES))
    return Finger(coder.rank, coder.bits, coder.tried)
