"""The `tune` command: ways to search the live index, measured and certified. Imports no Prefect."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fingerpost.flows.domains.ann.peers import PeerGraph, installed_peers, measure_peers
from fingerpost.flows.domains.ann.report.search_plots import SearchPoint, recall_speed_svg
from fingerpost.flows.report.plots import on_white
from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo, echo_json, visible
from fingerpost.schemas import ann as contracts
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.exchanged_files import check_new, write_parts
from fingerpost.schemas.figures import percentage, significant
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.tasks.ann.certificate import Certificate, certify
from fingerpost.tasks.ann.codes import Codes
from fingerpost.tasks.ann.open import LiveIndex, kernel_metric, live, read_coder, read_graph
from fingerpost.tasks.ann.planned import HeldSearches, PlanOpener
from fingerpost.tasks.ann.search_tuning import CertificateParams, Speeds, Tried, choose, measure


def tuned(
    *,
    collection: str | None,
    target_recall: float,
    k: int,
    profile: str,
    peers: bool,
    plot: Path | None,
    as_json: bool,
    store: str | None,
) -> None:
    """Measures, chooses and certifies, and prints what was found."""
    try:
        params = CertificateParams(k=k, target_recall=target_recall, profile=profile)  # type: ignore[arg-type]
    except ValueError as problem:
        raise UsageError(f"tune: {problem}") from None
    libraries = installed_peers() if peers else {}
    if plot is not None:
        check_new(plot, force=True)
    index = live(collection, store=store)
    held = HeldSearches.of(_opener(index), params)
    asked = held.choosing()
    echo(f"measuring {len(held.plans)} ways on {asked.size:,} documents held out of {index.ref}", err=True)
    opener = held.opener
    speeds = measure(opener, held.plans, asked, opener.vectors, opener.metric, params, clock=time.perf_counter)
    tried = choose(speeds, held.plans, params, certifying=len(held.held.certifying))
    plan = next(one.plan for one in tried if one.chosen)
    found = certify(
        opener(plan), plan, held.certifying(), opener.vectors, opener.metric, params, population=held.held.population
    )
    curves = _curves(speeds)
    if libraries:
        own = index.store.manifest(index.members["graph"]).identity["parameters"].get("params", {})
        graph = PeerGraph(int(own.get("max_neighbors", 16)), int(own.get("ef_construction", 200)))
        curves |= measure_peers(libraries, opener.vectors, held.held.removed, opener.metric, asked, graph, params)
    if plot is not None:
        write_parts(plot, [on_white(recall_speed_svg(curves, k=k)).encode()])
    if as_json:
        echo_json(_as_json(index, found, tried, curves))
        return
    _show(index, found, tried, curves, profile=profile)


def _opener(index: LiveIndex) -> PlanOpener:
    """What opens the ways to search a live index."""
    parts = index.members
    codes: Any = {}
    if "codes" in parts:
        arrays = index.store.open(parts["codes"], contracts.CODES).read("codes")
        fitted = Codes.from_arrays(tensors_from_arrow(arrays))
        codes["bits8" if fitted.bits == 8 else "bits4"] = fitted
    coder = None
    if "finger_codes" in parts:
        coder, _ = read_coder(index.store.open(parts["finger_codes"], contracts.FINGER_CODES))
    graph = read_graph(index.store.open(parts["graph"], contracts.GRAPH))
    return PlanOpener(index.vectors, graph, kernel_metric(index.metric), codes, coder)


def _curves(speeds: Speeds) -> dict[str, list[SearchPoint]]:
    """Recall, work and speed of each plan by width."""
    values = {(name, setting, metric): value for name, setting, metric, value in speeds.figures}

    def point(name: str, setting: str, seconds: float) -> SearchPoint:
        recall, distances, estimates = (
            values[name, setting, metric] for metric in ("recall", "distances", "estimates")
        )
        return SearchPoint(int(setting.removeprefix("ef=")), recall, distances, estimates, 1 / max(seconds, 1e-12))

    return {name: [point(name, *one) for one in times.items()] for name, times in speeds.seconds.items()}


def _as_json(
    index: LiveIndex, found: Certificate, tried: Sequence[Tried], curves: dict[str, list[SearchPoint]]
) -> dict[str, Any]:
    return {
        "index": str(index.ref),
        "certificate": found.settings() | {"reached": found.reached, "curve": [asdict(point) for point in found.curve]},
        "ways": [{**asdict(one), "plan": one.plan.name} for one in tried],
        "measured": {name: [asdict(point) for point in points] for name, points in curves.items()},
    }


def _show(
    index: LiveIndex,
    found: Certificate,
    tried: Sequence[Tried],
    curves: dict[str, list[SearchPoint]],
    *,
    profile: str,
) -> None:
    """Prints the ways that were tried, the certified curve, and the settings to publish it with."""
    console = wide_console()
    ways = table_of(f"{visible(str(index.ref))}: recall@{found.k} of {significant(found.target, 6)}", "way", "", "why")
    for one in tried:
        ways.add_row(one.plan.name, "chosen" if one.chosen else "", one.reason)
    console.print(ways)
    for name in sorted(curves.keys() - {one.plan.name for one in tried}):
        points = ", ".join(f"{point.recall:.3f} at {point.speed or 0:,.0f}/s" for point in curves[name])
        console.tell(f"{name}: recall {points}")
    curve = table_of(
        f"{found.plan.name}, on {found.queries:,} others", "ef", "recall", "at least", "at most", "estimated"
    )
    for point in found.curve:
        mark = " ←" if point.ef == found.ef else ""
        curve.add_row(
            f"{point.ef}{mark}",
            *(f"{value:.4f}" for value in (point.recall, point.low, point.high)),
            percentage(point.estimated_share, 2),
        )
    console.print(curve)
    if not found.reached:
        console.tell(
            f"no width is certain to reach {significant(found.target, 6)}; the best reaches {found.at.low:.4f}"
        )
        return
    console.tell(
        f"with a confidence of {percentage(found.confidence, 2)} ef {found.ef} reaches {significant(found.target, 6)}; to publish it, run the collection"
        f" as before with --set ann.certificate.target_recall={significant(found.target, 6)} --set ann.certificate.k={found.k} --set"
        f" ann.certificate.profile={profile}, or set these in its profile"
    )
