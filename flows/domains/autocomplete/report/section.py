"""The section of a completer on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows.domains.autocomplete.report.completion_plots import lengths_svg
from fingerpost.flows.domains.autocomplete.report.completions import Completed, WeakPrefix, read_completed, read_weak
from fingerpost.flows.report import formats
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts, quality_of, stage_of
from fingerpost.schemas import autocomplete
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_PREFIX = "autocomplete."


@dataclass(frozen=True)
class Contents:
    """A completer compared with its baselines, and frequent prefixes without a good answer.

    Counts are those of events, sessions and suggestions, and of the released completer; empty where a run has none.
    """

    completed: Completed | None
    weak: list[WeakPrefix]
    events: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    suggestions: dict[str, Any] = field(default_factory=dict)
    completer: dict[str, Any] = field(default_factory=dict)
    trained_again: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> list[tuple[int, str]]:
        """Counts of events that nothing is learned from, and what these are."""
        counts = (
            (self.events.get("empty", 0), "events without a query"),
            (self.sessions.get("in_short_sessions", 0), "events in sessions of too few queries"),
        )
        return [(count, what) for count, what in counts if count]


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that imported events or trained a completer; None for others."""
    if not any(Ref.parse(stage["ref"]).name.startswith(_PREFIX) for stage in record["stages"]):
        return None
    attempt, weak = Attempts(), stage_of(record, autocomplete.WEAK_PREFIXES.name)
    return Contents(
        completed=attempt(partial(read_completed, store, record), None),
        weak=attempt(partial(read_weak, store, weak), []) if weak else [],
        events=quality_of(record, autocomplete.EVENTS.name),
        sessions=quality_of(record, autocomplete.SESSIONS.name),
        suggestions=quality_of(record, autocomplete.SUGGESTIONS.name, part=""),
        completer=quality_of(record, autocomplete.COMPLETER.name),
        trained_again=any(stage["stage"] == "include_held_out_sessions" for stage in record["stages"]),
        problems=attempt.problems,
    )


def plots(contents: Contents) -> dict[str, Plot]:
    """The plot of the measurements, where the run has any."""
    completed = contents.completed
    if completed is None or not completed.lengths:
        return {}
    curves = [
        (system.method, system.name, [system.lengths.get(length, {}).get("mrr") for length in completed.lengths])
        for system in completed.systems
    ]
    return {
        "completions": Plot(
            "MRR by length of the prefix",
            "MRR of each system over the number of characters of the prefix; the values are in the table above",
            lengths_svg(completed.lengths, curves),
            "MRR by the number of characters typed: at 0 the next query is predicted from those before alone.",
        )
    }


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Events, sessions and suggestions, and the completer's MRR beside popularity's."""
    shown = [
        (name, formats.count(counts[name]))
        for name, counts in (
            ("events", contents.events),
            ("users", contents.events),
            ("sessions", contents.sessions),
            ("suggestions", contents.completer or contents.suggestions),
        )
        if name in counts
    ]
    if contents.completer.get("tested"):
        for title, key in (("completer: MRR", "mrr"), ("most popular completion: MRR", "popularity_mrr")):
            if key in contents.completer:
                shown.append((title, formats.figure(contents.completer[key])))
    return shown
