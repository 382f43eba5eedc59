"""Replay: real queries answered by a candidate and by the live version, compared. Imports no Prefect."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from fingerpost.flows.domains import products
from fingerpost.flows.domains.domain import named
from fingerpost.schemas.errors import FormerVersionError, InputError, UsageError
from fingerpost.schemas.inputs.queries import Question, read_queries
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import some

#: The number of changed queries that an error names, and of answers of each.
WORST = 3
_NAMED = 4


class Answerer(Protocol):
    """A version of a product as it answers queries; ``Product.answers`` names what opens one."""

    def answer(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The ids of the first k answers of each text, best first; empty for a text without answers."""
        ...

    def holds(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` that the version contains."""
        ...


@dataclass(frozen=True)
class Position:
    """The rank, from 1, of a judged answer in both versions; 0 is beyond the first k."""

    id: str
    grade: float
    live: int
    candidate: int

    def __str__(self) -> str:
        before, after = (str(position) if position else "none" for position in (self.live, self.candidate))
        return f"judged {self.id} from position {before} to {after}"


@dataclass(frozen=True)
class ReplayedQuery:
    """The ids of both versions' answers to a query; without a live version ``live`` is None."""

    query: str
    candidate: list[str]
    live: list[str] | None
    judged: list[Position] = field(default_factory=list)
    ndcg_candidate: float | None = None
    ndcg_live: float | None = None

    @property
    def lost(self) -> list[str]:
        """Live answers that the candidate does not give."""
        return [key for key in self.live or [] if key not in self.candidate]

    @property
    def gained(self) -> list[str]:
        """Answers that the live version does not give."""
        return [key for key in self.candidate if key not in (self.live or [])]

    @property
    def overlap(self) -> float:
        """The fraction of the live answers that the candidate gives too; 1 if there are none."""
        return 1 - len(self.lost) / len(self.live) if self.live else 1.0

    @property
    def drop(self) -> float:
        """The fall of nDCG from the live version to the candidate; negative if it rises, 0 if nothing is judged."""
        return 0.0 if self.ndcg_live is None or self.ndcg_candidate is None else self.ndcg_live - self.ndcg_candidate

    def __str__(self) -> str:
        parts = [
            f"{what} {some(keys, _NAMED)}" for what, keys in (("lost", self.lost), ("gained", self.gained)) if keys
        ]
        parts += [str(judged) for judged in self.judged if judged.grade and judged.live != judged.candidate][:_NAMED]
        return f"{self.query!r}: {', '.join(parts) or 'the same answers in another order'}"


@dataclass(frozen=True)
class Replay:
    """A file of queries answered by a candidate and, if there is one that can be asked, by the live version.

    unasked: the live version, if it cannot be asked; ``live`` is None then.
    """

    file: str
    k: int
    candidate: str
    live: str | None
    queries: list[ReplayedQuery]
    unknown_judged: list[str] = field(default_factory=list)
    unasked: str | None = None

    @property
    def beside(self) -> str | None:
        """The version that was live, whether it could be asked or not."""
        return self.live or self.unasked

    @cached_property
    def figures(self) -> dict[str, float]:
        """Mean overlap; over the judged queries, if there are any, mean nDCG of both versions and its drop."""
        metrics: dict[str, float] = {}
        if self.live is not None:
            metrics["overlap"] = _mean([query.overlap for query in self.queries])
        judged = [query for query in self.queries if query.ndcg_candidate is not None]
        if judged:
            metrics["ndcg_candidate"] = _mean([query.ndcg_candidate or 0.0 for query in judged])
        if judged and self.live is not None:
            metrics["ndcg_live"] = _mean([query.ndcg_live or 0.0 for query in judged])
            metrics["ndcg_drop"] = round(metrics["ndcg_live"] - metrics["ndcg_candidate"], 9)
        return metrics

    @property
    def changed(self) -> list[ReplayedQuery]:
        """The queries whose answers changed, worst first: by lost nDCG, then by overlap, then in the file's order."""
        moved = [query for query in self.queries if query.live is not None and query.live != query.candidate]
        return sorted(moved, key=lambda query: (-query.drop, query.overlap))

    def worst(self, count: int = WORST) -> str:
        """The queries that changed most, human-readable."""
        return "; ".join(str(query) for query in self.changed[:count])

    def as_json(self) -> dict[str, Any]:
        """The complete comparison as JSON."""
        body = asdict(self) | {"figures": self.figures}
        for entry, query in zip(body["queries"], self.queries, strict=True):
            entry |= {"lost": query.lost, "gained": query.gained, "overlap": query.overlap}
        return body


def replay(store: Store, candidate: Ref, live: Ref | None, *, file: str, k: int, both: bool = True) -> Replay:
    """Answers every query of a file with both versions, one after the other in memory.

    both: whether a live version that earlier code made, and that cannot be asked any more, is an error; otherwise the
    candidate answers alone. InputError if no query of the file has an answer, or most of its judged ids are in no version.
    """
    product = products().get(candidate.name)
    if product is None or not product.answers:
        raise UsageError(
            f"replay: expected a version that answers queries ({_that_answer()}), got {candidate}; compare it with"
            " `fingerpost diff`"
        )
    questions = read_queries(file)
    judged = {key for question in questions for key in question.judged}
    ours, known = _answers(store, candidate, questions, k, judged)
    theirs: list[list[str]] | None = None
    if live is not None:
        try:
            theirs, known_live = _answers(store, live, questions, k, judged)
            known |= known_live
        except FormerVersionError:
            if both:
                raise
    unknown = sorted(judged - known)
    _check_judged(file, judged, unknown, product.title)
    if not any(ours) and not any(theirs or []):
        raise InputError(
            f"{file}: expected queries that the {product.title} answers, found no answer to any of"
            f" {len(questions):,}; give queries of this collection"
        )
    queries = [
        _compared(question, ours[position], theirs[position] if theirs is not None else None, known, k)
        for position, question in enumerate(questions)
    ]
    asked, unasked = (None, str(live)) if live and theirs is None else (str(live) if live else None, None)
    return Replay(file, k, str(candidate), asked, queries, unknown, unasked)


def ndcg(answers: Sequence[str], judged: Mapping[str, float], k: int) -> float | None:
    """nDCG of the first k answers with gains 2^grade - 1, ideal over all judged ids; None if nothing is relevant."""
    gains = np.array([2.0 ** judged.get(key, 0.0) - 1 for key in answers[:k]])
    best = np.sort([2.0**grade - 1 for grade in judged.values()])[::-1][:k]
    ideal = float(best @ _discounts(len(best)))
    return round(float(gains @ _discounts(len(gains))) / ideal, 9) if ideal > 0 else None


def _discounts(count: int) -> np.ndarray:
    return 1.0 / np.log2(np.arange(count) + 2.0)


def _answers(
    store: Store, ref: Ref, questions: Sequence[Question], k: int, judged: set[str]
) -> tuple[list[list[str]], set[str]]:
    """The ids of the answers to each question, and the judged ids that the version contains."""
    version: Answerer = named(products()[ref.name].answers)(store, ref)
    return version.answer([question.text for question in questions], k), version.holds(judged)


def _that_answer() -> str:
    return " or ".join(product.name for product in products().values() if product.answers)


def _compared(question: Question, ours: list[str], theirs: list[str] | None, known: set[str], k: int) -> ReplayedQuery:
    judged = question.judged if known & question.judged.keys() else {}
    places = [{key: position for position, key in enumerate(side or [], start=1)} for side in (theirs, ours)]
    positions = [Position(key, grade, places[0].get(key, 0), places[1].get(key, 0)) for key, grade in judged.items()]
    before = None if theirs is None else ndcg(theirs, judged, k)
    return ReplayedQuery(question.text, ours, theirs, positions, ndcg(ours, judged, k), before)


def _check_judged(file: str, judged: set[str], unknown: list[str], title: str) -> None:
    """InputError if most judged ids are in no version: such a file belongs to another collection.

    A few may be missing, since rows are removed over time; queries without a known judged id are left out of nDCG.
    """
    if judged and 2 * len(unknown) > len(judged):
        raise InputError(
            f"{file}: expected judged ids that are in the {title}, found {len(unknown)} of {len(judged)} that are not:"
            f" {some(unknown, _NAMED)}; correct the ids, or give the queries of this collection"
        )


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 9)
