"""What a report shows, gathered from a run's record and its artifacts; plain values, no layout."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from flows.domains.metric.report.consistency import Consistency, read_consistency
from flows.domains.metric.report.embedders import Embedders, read_embedders
from flows.domains.xmr.report.ranking import Ranked, Sweep, read_ranked, read_sweep
from flows.domains.xmr.report.refresh import Refresh, read_refresh, read_trained_fully
from flows.report.plots import SearchPoint
from schemas import ann, corpus, metric, xmr
from schemas.errors import FingerpostError
from schemas.publish import Pointer, Publication
from schemas.refs import Ref
from schemas.store import Store
from tasks.ann.finger_cosines import RankStatistics
from tasks.ann.open import PRODUCT, read_basis
from tasks.ledger import stages_by_name

T = TypeVar("T")

#: What can be live of a collection, under the titles that it has on the page.
_PRODUCTS = {"Index": PRODUCT, "Ranker": xmr.RANKER.name, "Threshold": metric.THRESHOLD.name}
_METHODS = {"dense": "dense vectors", "reranked": "dense, re-ranked", "bm25": "BM25"}
_SETTINGS = {
    "whole": "Whole texts",
    "without_sentence": "The sentence asked for removed from its document",
}
_QUARANTINE_REF = re.compile(re.escape(corpus.QUARANTINE.name) + r"/day=[0-9-]{10}/[0-9a-f]{16,64}")


@dataclass(frozen=True)
class Quarantine:
    """Rows set aside by a stage: how many by reason, and the first of each reason as (row, id, detail)."""

    ref: str
    reasons: dict[str, int]
    examples: dict[str, tuple[int, str, str]]
    stage: str = ""


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
        """By search width: plain, FINGER."""
        plain, finger = ({p.ef: p for p in self.curves.get(name, [])} for name in ("hnsw", "finger"))
        return [(ef, plain.get(ef), finger.get(ef)) for ef in sorted({*plain, *finger})]

    @property
    def timed(self) -> bool:
        """Whether a clock ran."""
        return any(point.speed is not None for points in self.curves.values() for point in points)


@dataclass(frozen=True)
class Finger:
    """How well the directions estimate, by rank; ``wanted`` is None where the rank was given."""

    rank: int
    code: str
    wanted: float | None
    statistics: tuple[RankStatistics, ...]

    @property
    def reached(self) -> bool:
        """Whether the rank in use has the wanted correlation."""
        chosen = next((row.correlation for row in self.statistics if row.rank == self.rank), 0.0)
        return self.wanted is not None and chosen >= self.wanted


@dataclass(frozen=True)
class MethodRow:
    """One method in a known-item table."""

    method: str
    mrr: float
    recall: float
    candidates: int
    milliseconds: float | None


@dataclass(frozen=True)
class KnownItemTable:
    """One known-item table.

    ``candidate_recall`` is the share of questions whose document is among the candidates, ``over_bm25`` the MRR of
    re-ranked answers over that of BM25.
    """

    title: str
    queries: int
    rows: list[MethodRow]
    candidate_recall: float | None
    over_bm25: float | None

    @property
    def timed(self) -> bool:
        """Whether a clock ran."""
        return any(row.milliseconds is not None for row in self.rows)


@dataclass(frozen=True)
class Retrieval:
    """The known-item tables, and sample questions with the (title, id) of their answers."""

    tables: list[KnownItemTable]
    samples: dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Live:
    """A product of the collection that is live, and the move by which the run made one live, if it did."""

    title: str
    move: Publication
    made: dict[str, Any] | None

    @property
    def is_made(self) -> bool:
        """Whether what the run made live still is."""
        made = self.made
        return made is not None and (made["ref"], made["generation"]) == (self.move.ref, self.move.generation)


@dataclass(frozen=True)
class Contents:
    """Everything on the page. A section is None where the run has none; ``problems`` says what could not be read."""

    record: dict[str, Any]
    live: list[Live]
    moves: list[Publication]
    quarantines: list[Quarantine]
    search: Search | None
    finger: Finger | None
    retrieval: Retrieval | None
    ranked: Ranked | None
    sweep: Sweep | None
    refreshes: list[Refresh]
    consistency: Consistency | None
    embedders: Embedders | None
    inputs: dict[str, list[str]]
    problems: list[str] = field(default_factory=list)

    @property
    def trained_fully(self) -> str:
        """Why a ranker that was to be refreshed was trained fully; empty where it was not."""
        return read_trained_fully(self.record)

    @property
    def quarantine(self) -> Quarantine | None:
        """That of the first stage that set rows aside."""
        return next((found for found in self.quarantines if found.reasons), next(iter(self.quarantines), None))

    def quality(self, artifact: str) -> dict[str, Any]:
        """The quality figures of the run's artifact of that name; empty if it has none."""
        stage = _stage(self.record, artifact)
        return dict(stage["quality"]) if stage else {}


def gather(store: Store, record: dict[str, Any]) -> Contents:
    """The contents of a run's report; what cannot be read any more is left out and named."""
    problems: list[str] = []

    def attempt(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except FingerpostError as problem:
            if str(problem) not in problems:
                problems.append(str(problem))
            return otherwise

    def section(artifact: str, read: Callable[[Store, dict[str, Any]], T]) -> T | None:
        stage = _stage(record, artifact)
        return attempt(lambda: read(store, stage), None) if stage else None

    stages = stages_by_name(record)
    made = {Ref.parse(stage["ref"]).identity: name for name, stage in stages.items()}
    pointers = {title: Pointer(store, record["collection"], product) for title, product in _PRODUCTS.items()}
    moves: list[Publication] = []
    for pointer in pointers.values():
        moves += attempt(pointer.history, list[Publication]())
    return Contents(
        record=record,
        live=[
            found
            for title, pointer in pointers.items()
            if (found := attempt(partial(_live, pointer, title, record), None))
        ],
        moves=sorted(moves, key=lambda move: (move.at, move.generation)),
        quarantines=attempt(lambda: _quarantines(store, record), []),
        search=section(ann.EVALUATION.name, _search),
        finger=section(ann.FINGER_BASIS.name, _finger),
        retrieval=section(ann.RETRIEVAL.name, _retrieval),
        ranked=attempt(lambda: read_ranked(store, record), None),
        sweep=section(xmr.SWEEP.name, read_sweep),
        refreshes=attempt(lambda: read_refresh(store, record), []),
        consistency=attempt(lambda: read_consistency(store, record), None),
        embedders=attempt(lambda: read_embedders(store, record), None),
        inputs={name: attempt(partial(_inputs, store, stage, made), []) for name, stage in stages.items()},
        problems=problems,
    )


def _stage(record: dict[str, Any], artifact: str) -> dict[str, Any] | None:
    return next((stage for stage in record["stages"] if Ref.parse(stage["ref"]).name == artifact), None)


def _live(pointer: Pointer, title: str, record: dict[str, Any]) -> Live | None:
    """What is live of a product, beside what the run published of it."""
    move = pointer.live()
    published = record.get("publications") or ([record["publication"]] if record["publication"] else [])
    made = next((one for one in published if Ref.parse(one["ref"]).name == pointer.product), None)
    return Live(title, move, made) if move else None


def _quarantines(store: Store, record: dict[str, Any]) -> list[Quarantine]:
    """Of the stages that set rows aside; where one refused its input, of its error."""
    refs = {stage["companions"].get(corpus.QUARANTINE.name): stage["stage"] for stage in record["stages"]}
    if named := _QUARANTINE_REF.search(record["error"]):
        refs.setdefault(named.group(), record.get("failed_stage", ""))
    return [_quarantine(store, ref, stage) for ref, stage in refs.items() if ref]


def _quarantine(store: Store, ref: str, stage: str) -> Quarantine:
    reasons: dict[str, int] = {}
    examples: dict[str, tuple[int, str, str]] = {}
    for row in store.open(Ref.parse(ref), corpus.QUARANTINE).read("rows").to_pylist():
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        examples.setdefault(row["reason"], (row["row"], row["id"], row["detail"]))
    return Quarantine(ref, dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))), examples, stage)


def _search(store: Store, stage: dict[str, Any]) -> Search:
    artifact = store.open(Ref.parse(stage["ref"]), ann.EVALUATION)
    params = artifact.manifest.identity["parameters"].get("params", {})
    speeds = stage["measured"].get("queries_per_second", {})
    values: dict[tuple[str, int], dict[str, float]] = {}
    for row in artifact.read("figures").to_pylist():
        width = int(row["setting"].removeprefix("ef="))
        values.setdefault((row["method"], width), {})[row["metric"]] = row["value"]
    curves: dict[str, list[SearchPoint]] = {}
    for (method, ef), found in sorted(values.items(), key=lambda pair: pair[0][1]):
        speed = speeds.get(str(ef), {}).get(method)
        curves.setdefault(method, []).append(
            SearchPoint(ef, found["recall"], found["distances"], found["estimates"], speed)
        )
    return Search(
        int(params.get("k", 10)),
        int(params.get("queries", 0)),
        curves,
        stage["measured"].get("finger_speedup"),
        str(artifact.manifest.run.get("at", "")),
    )


def _finger(store: Store, stage: dict[str, Any]) -> Finger:
    artifact = store.open(Ref.parse(stage["ref"]), ann.FINGER_BASIS)
    basis = read_basis(artifact)
    params = artifact.manifest.identity["parameters"].get("params", {})
    wanted = params.get("correlation_threshold") if params.get("rank") is None else None
    return Finger(basis.rank, basis.code, wanted, basis.statistics)


def _retrieval(store: Store, stage: dict[str, Any]) -> Retrieval:
    artifact = store.open(Ref.parse(stage["ref"]), ann.RETRIEVAL)
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in artifact.read("figures").to_pylist():
        values.setdefault((row["setting"], row["method"]), {})[row["metric"]] = row["value"]
    times = stage["measured"].get("milliseconds_per_query", {})
    tables = []
    for setting, title in _SETTINGS.items():
        rows = [
            MethodRow(
                name,
                found["mrr"],
                found["recall_at_10"],
                int(found["candidates"]),
                times.get(method) if setting == "whole" else None,
            )
            for method, name in _METHODS.items()
            if (found := values.get((setting, method)))
        ]
        dense, ours, theirs = (values.get((setting, method), {}) for method in _METHODS)
        ratio = ours["mrr"] / theirs["mrr"] if ours and theirs.get("mrr") else None
        if rows:
            queries, among = int(dense.get("queries", 0)), dense.get("recall_of_candidates")
            tables.append(KnownItemTable(title, queries, rows, among, ratio))
    samples: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(artifact.read("samples").to_pylist(), key=lambda row: row["rank"]):
        samples.setdefault(row["query"], []).append((row["title"], row["id"]))
    return Retrieval(tables, samples)


def _inputs(store: Store, stage: dict[str, Any], made: dict[str, str]) -> list[str]:
    """The stages that a stage's inputs come from, "the input" for what came from outside."""
    given = store.manifest(Ref.parse(stage["ref"])).identity["inputs"].values()
    refs = [Ref.parse(one["ref"]) if "ref" in one else None for one in given]
    return [made.get(ref.identity, str(ref)) if ref else "the input" for ref in refs]
