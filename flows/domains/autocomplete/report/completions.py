"""A completer and its baselines for the report, read from evaluation, comparison and weak prefixes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fingerpost.schemas import autocomplete
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Display names of methods, in the order of the table.
METHODS = {
    "completer": "completer (ranker and counts)",
    "default_index": "completer with the default index",
    "filtered": "ranker alone, filtered after its search",
    "default_index_filtered": "ranker alone, default index, filtered after its search",
    "neighbors": "nearest neighbours of the queries before",
    "bigram": "most popular after the query before, with back-off",
    "popularity": "most popular completion, with back-off",
}
#: Metrics over all lengths of prefixes: name and heading.
COLUMNS = (
    ("mrr", "MRR"),
    ("bleu_rr", "BLEU by reciprocal rank"),
    ("success_at_1", "success@1"),
    ("success_at_3", "success@3"),
    ("success_at_10", "success@10"),
    ("coverage", "coverage"),
)
#: Where a metric is one of all lengths of prefixes.
ALL = "all"
_LENGTH = re.compile(r"prefix (\d+)(?: (seen|unseen))?")


@dataclass(frozen=True)
class System:
    """The completer or a baseline: metrics over all prefixes, by length, and by length and seen or unseen query before.

    ``measured``: times in milliseconds, if any.
    """

    method: str
    metrics: dict[str, float]
    lengths: dict[int, dict[str, float]]
    known: dict[tuple[int, str], dict[str, float]]
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The display name."""
        return METHODS.get(self.method, self.method.replace("_", " "))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the MRR over sessions; None where it was not computed."""
        low, high = (self.metrics.get(f"mrr_{side}") for side in ("low", "high"))
        return None if low is None or high is None else (low, high)


@dataclass(frozen=True)
class Completed:
    """Systems on the same held-out pairs."""

    pairs: int
    systems: list[System]

    @property
    def lengths(self) -> list[int]:
        """The lengths of prefixes, in characters."""
        return sorted({length for system in self.systems for length in system.lengths})

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The metrics that have values."""
        return [(key, title) for key, title in COLUMNS if any(key in system.metrics for system in self.systems)]

    @property
    def known(self) -> list[tuple[int, str]]:
        """The lengths of prefixes with a seen or unseen query before."""
        return sorted({key for system in self.systems for key in system.known})

    @property
    def timed(self) -> bool:
        """Whether times were measured."""
        return any(system.measured for system in self.systems)

    def best(self, metric: str) -> float:
        """The highest value of a metric over all prefixes."""
        return max(system.metrics.get(metric, 0.0) for system in self.systems)

    def best_of(self, length: int) -> float:
        """The highest MRR of a length."""
        return max(system.lengths.get(length, {}).get("mrr", 0.0) for system in self.systems)


def read_completed(store: Store, record: Mapping[str, Any]) -> Completed | None:
    """The evaluation of a run that trained a completer, with the baselines of its comparison; None without one."""
    found: dict[str, tuple[dict[str, dict[str, float]], dict[str, float]]] = {}
    pairs = 0
    for contract in (autocomplete.EVALUATION, autocomplete.COMPARISON):
        for stage, rows in _figures(store, record, contract):
            pairs = pairs or int(stage["quality"].get("tested", 0))
            measured = stage.get("measured") or {}
            for method, settings in rows.items():
                found.setdefault(method, (settings, measured.get(method, {})))
    if not found:
        return None
    order = [*(name for name in METHODS if name in found), *sorted(set(found) - set(METHODS))]
    return Completed(pairs, [_system(method, *found[method]) for method in order])


def _figures(
    store: Store, record: Mapping[str, Any], contract: Contract
) -> list[tuple[dict[str, Any], dict[str, dict[str, dict[str, float]]]]]:
    """The stages of a contract, and their metrics by method and setting."""
    found = []
    for stage in record["stages"]:
        ref = Ref.parse(stage["ref"])
        if ref.name == contract.name:
            values: dict[str, dict[str, dict[str, float]]] = {}
            for row in store.open(ref, contract).read("figures").to_pylist():
                values.setdefault(row["method"], {}).setdefault(row["setting"], {})[row["metric"]] = row["value"]
            found.append((stage, values))
    return found


def _system(method: str, settings: Mapping[str, dict[str, float]], measured: dict[str, float]) -> System:
    lengths, known = dict[int, dict[str, float]](), dict[tuple[int, str], dict[str, float]]()
    for setting, metrics in settings.items():
        if match := _LENGTH.fullmatch(setting):
            if match[2]:
                known[int(match[1]), match[2]] = metrics
            else:
                lengths[int(match[1])] = metrics
    return System(method, settings.get(ALL, {}), lengths, known, measured)


@dataclass(frozen=True)
class WeakPrefix:
    """A frequent prefix without a good answer."""

    prefix: str
    pairs: int
    success: float
    suggestions: int


def read_weak(store: Store, stage: Mapping[str, Any], *, most: int = 20) -> list[WeakPrefix]:
    """The prefixes that a stage listed, in its order, at most ``most``."""
    rows: Sequence[Mapping[str, Any]] = (
        store.open(Ref.parse(stage["ref"]), autocomplete.WEAK_PREFIXES).read("prefixes").slice(0, most).to_pylist()
    )
    return [WeakPrefix(row["prefix"], row["pairs"], row["success_at_10"], row["suggestions"]) for row in rows]
