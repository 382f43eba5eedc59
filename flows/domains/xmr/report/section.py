"""The section of a ranker on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows.domains.xmr.report.ranking import Ranked, Sweep, read_ranked, read_sweep
from fingerpost.flows.domains.xmr.report.ranking_plots import bands_svg, training_svg
from fingerpost.flows.domains.xmr.report.refresh import Refresh, read_refresh, read_trained_fully
from fingerpost.flows.domains.xmr.report.sweep_plots import sweep_svg
from fingerpost.flows.report import formats
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts, quality_of, stage_of, without_others
from fingerpost.schemas import xmr
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

_PREFIX = "xmr."


@dataclass(frozen=True)
class Contents:
    """A ranker compared with its baselines, its sweep and its refreshes.

    ``trained_fully`` is the reason why a ranker that was to be refreshed was trained fully; empty where it was not.
    ``trained_again`` is the number of queries that what answers was trained on after it was measured; 0 if it was not.
    """

    ranked: Ranked | None
    sweep: Sweep | None
    refreshes: list[Refresh]
    trained_fully: str
    interactions: dict[str, Any] = field(default_factory=dict)
    trained_again: int = 0
    problems: list[str] = field(default_factory=list)


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that imported interactions or trained a ranker; None for others."""
    record = without_others(record, "xmr")
    if not any(Ref.parse(stage["ref"]).name.startswith(_PREFIX) for stage in record["stages"]):
        return None
    attempt, swept = Attempts(), stage_of(record, xmr.SWEEP.name)
    again = [stage for stage in record["stages"] if stage.get("part", "").startswith("final")]
    return Contents(
        ranked=attempt(partial(read_ranked, store, record), None),
        sweep=attempt(partial(read_sweep, store, swept), None) if swept else None,
        refreshes=attempt(partial(read_refresh, store, record), []),
        trained_fully=read_trained_fully(record),
        interactions=quality_of(record, xmr.INTERACTIONS.name),
        trained_again=int(quality_of(record, xmr.RANKER.name).get("trained", 0)) if again else 0,
        problems=attempt.problems,
    )


def plots(contents: Contents) -> dict[str, Plot]:
    """The plots of the measurements that the run has."""
    return _ranking_plots(contents.ranked) | _sweep_plots(contents.sweep)


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Queries and labels, and the first system's precision and recall."""
    names = ("queries", "labels") if contents.interactions else ()
    shown = [(name, formats.count(contents.interactions[name])) for name in names]
    if contents.ranked and contents.ranked.systems:
        ranker = contents.ranked.systems[0]
        shown += [
            (f"{ranker.method.replace('_', ' ')}: {title}", formats.figure(ranker.metrics[key]))
            for key, title in contents.ranked.columns
            if key in ("precision_at_1", "recall_at_10")
        ]
    return shown


def _ranking_plots(ranked: Ranked | None) -> dict[str, Plot]:
    drawn: dict[str, Plot] = {}
    if ranked is None:
        return drawn
    if ranked.timed:
        points = [
            (system.method, system.name, system.measured["seconds"], system.metrics["recall_at_10"])
            for system in ranked.systems
            if "seconds" in system.measured and "recall_at_10" in system.metrics
        ]
        drawn["training"] = Plot(
            "Recall over training time",
            "Recall@10 over seconds of training for each system; the values are in the table above",
            training_svg(points),
            "Recall@10 against training time: up and to the left is better.",
        )
    if ranked.bands:
        curves = [
            (system.method, system.name, [row.recalls[position] for row in ranked.bands])
            for position, system in enumerate(ranked.systems)
        ]
        drawn["bands"] = Plot(
            "Recall by frequency of labels",
            "Recall@10 of each system by how often a label was seen in training; the values are in the table below",
            bands_svg([f"{row.least}–{row.most}" for row in ranked.bands], curves),
            "Recall@10 by how often a label was seen in training: the left is the long tail.",
        )
    return drawn


def _sweep_plots(sweep: Sweep | None) -> dict[str, Plot]:
    if sweep is None:
        return {}
    drawn = {
        "sweep_size": Plot(
            "Recall over model size",
            "Recall over the size of the model for each beam; the values are in the table below",
            sweep_svg(sweep.points, k=sweep.k, chosen=sweep.chosen),
            f"Recall@{sweep.k} against the model's size: up and to the left is better.",
        )
    }
    if sweep.timed:
        drawn["sweep_time"] = Plot(
            "Recall over latency",
            "Recall over the time of a query for each beam; the values are in the table below",
            sweep_svg(sweep.points, k=sweep.k, chosen=sweep.chosen, value="latency_ms"),
            f"Recall@{sweep.k} against the time of a query: up and to the left is better.",
        )
    return drawn
