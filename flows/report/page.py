"""The report of a run as one HTML page that needs nothing else."""

import base64
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from flows.domains.metric.report.consistency import Consistency, operating_points
from flows.domains.metric.report.consistency_plot import operating_svg, utility_svg
from flows.domains.metric.report.embedder_plots import courses_svg, points_pair_svg, utility_pair_svg
from flows.domains.metric.report.embedders import COLUMNS, Embedders
from flows.domains.xmr.report.sweep_plot import sweep_svg
from flows.report.contents import Contents, Search, gather
from flows.report.plots import bands_svg, correlation_svg, recall_distances_svg, recall_speed_svg, training_svg
from schemas.store import Store
from tasks.ledger import full_name

#: Settings that say where things lie, not what was done.
_PRIVATE = {"store"}


def render(store: Store, record: dict[str, Any]) -> str:
    """The page of a run's record: what was asked, done, measured and published."""
    contents = gather(store, record)
    return _template().render(
        c=contents,
        record=record,
        longest=max((stage["seconds"] for stage in record["stages"]), default=0.0),
        plots=_plots(contents),
        speed_words=_speed_words(contents.search),
        cards=_cards(contents),
        embedder_columns=COLUMNS,
        settings={key: value for key, value in record["settings"].items() if key not in _PRIVATE},
    )


def write(store: Store, record: dict[str, Any]) -> str:
    """Writes ``reports/<run id>.html`` and ``reports/latest.html`` into the store; the path or URL of the former."""
    page = render(store, record).encode()
    relative = f"reports/{record['id']}.html"
    for name in (relative, "reports/latest.html"):
        store.files.write(name, page)
    path = store.files.path(relative)
    return path if store.files.local else str(store.files.fs.unstrip_protocol(path))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": _count,
        "seconds": _seconds,
        "figure": _figure,
        "percent": _percent,
        "rate": _rate,
        "when": _when,
        "full_name": _full_name,
    }
    return environment.from_string(resources.files("flows.report").joinpath("page.html").read_text("utf-8"))


def _full_name(stage: dict[str, Any]) -> str:
    return full_name(stage["stage"], stage.get("part", ""))


def _plots(contents: Contents) -> dict[str, str]:
    """Data URIs of the plots that there are figures for."""
    plots: dict[str, str] = {}
    search, finger = contents.search, contents.finger
    if search and search.curves:
        if search.timed:
            plots["speed"] = recall_speed_svg(search.curves, k=search.k)
        plots["distances"] = recall_distances_svg(search.curves, k=search.k)
    if finger and len(finger.statistics) > 1:
        ranks, correlations = [s.rank for s in finger.statistics], [s.correlation for s in finger.statistics]
        plots["correlation"] = correlation_svg(ranks, correlations, chosen=finger.rank)
    ranked = contents.ranked
    if ranked and ranked.bands:
        curves = [
            (one.method, one.name, [row.recalls[place] for row in ranked.bands])
            for place, one in enumerate(ranked.systems)
        ]
        plots["bands"] = bands_svg([f"{row.least}–{row.most}" for row in ranked.bands], curves)
    if ranked and ranked.timed:
        points = [
            (one.method, one.name, one.measured["seconds"], one.metrics["recall_at_10"])
            for one in ranked.systems
            if "seconds" in one.measured and "recall_at_10" in one.metrics
        ]
        plots["training"] = training_svg(points)
    if sweep := contents.sweep:
        plots["sweep_size"] = sweep_svg(sweep.points, k=sweep.k, chosen=sweep.chosen)
        if sweep.timed:
            plots["sweep_time"] = sweep_svg(sweep.points, k=sweep.k, chosen=sweep.chosen, value="latency_ms")
    if contents.consistency:
        plots |= consistency_plots(contents.consistency)
    if contents.embedders:
        plots |= embedder_plots(contents.embedders)
    return {name: f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" for name, svg in plots.items()}


def consistency_plots(found: Consistency) -> dict[str, str]:
    """The plots of a threshold, as SVG."""
    return {
        "utility": utility_svg(
            found.thresholds, found.drawn, found.mean, measure=found.measure, chosen=found.threshold
        ),
        "operating": operating_svg(operating_points(found), rate=found.rate, share=found.share),
    }


def embedder_plots(found: Embedders) -> dict[str, str]:
    """The plots of embedders, as SVG."""
    return {
        "utility_pair": utility_pair_svg(found.curves),
        "points_pair": points_pair_svg(found.curves),
        "courses": courses_svg(found.checks),
    }


def _speed_words(search: Search | None) -> str:
    """What the measured speed of FINGER means for who asks the index."""
    if search is None or search.speedup is None:
        return ""
    ratio = f"{search.speedup:.2f}"
    measured = (
        f"At equal recall (the median over the recalls that both reach), FINGER answered {ratio} times as many queries"
        " per second as plain HNSW search"
    )
    if search.speedup >= 1:
        return f"{measured}. The index therefore serves FINGER search under method “auto”."
    return (
        f"{measured}: a ratio below 1, FINGER is slower here. The index therefore serves plain search under method"
        " “auto”."
    )


def _cards(contents: Contents) -> list[tuple[str, str]]:
    """The few figures that a reader looks for first: label, figure."""
    documents, retrieval = contents.quality("corpus.documents"), contents.quality("ann.retrieval")
    evaluation, graph = contents.quality("ann.evaluation"), contents.quality("ann.graph")
    cards = []
    if "quarantined" in documents:
        cards += [("documents", _count(documents["documents"])), ("set aside", _count(documents["quarantined"]))]
    if interactions := contents.quality("xmr.interactions"):
        cards += [(name, _count(interactions[name])) for name in ("queries", "labels")]
    if graph:
        cards.append(("dimensions", _count(graph["dimensions"])))
    cards += [
        (f"recall@{name.removeprefix('recall_at_')} (plain)", _figure(value))
        for name, value in evaluation.items()
        if name.startswith("recall_at_")
    ]
    if contents.search and contents.search.speedup is not None:
        cards.append(("FINGER / plain speed", f"{contents.search.speedup:.2f}×"))
    if retrieval.get("known_items"):
        cards.append(("MRR re-ranked / BM25", f"{retrieval['reranked_mrr']:.3f} / {retrieval['bm25_mrr']:.3f}"))
    if contents.ranked and contents.ranked.systems:
        ranker = contents.ranked.systems[0]
        cards += [
            (f"{ranker.method.replace('_', ' ')}: {title}", _figure(ranker.metrics[key]))
            for key, title in contents.ranked.columns
            if key in ("precision_at_1", "recall_at_10")
        ]
    if found := contents.consistency:
        cards.append((f"threshold for {found.rate.upper()} {_percent(found.share)}", f"{found.threshold:.4f}"))
    return [*cards, ("time", _seconds(contents.record["seconds"]))]


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _figure(value: float) -> str:
    return f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _rate(value: float | None) -> str:
    """A rate that may be tiny, or not be there."""
    return "–" if value is None else f"{100 * value:.3g} %"


def _when(moment: str) -> str:
    """A stored UTC moment for people."""
    return moment.replace("T", " ").replace("+00:00", " UTC")


def _seconds(value: float) -> str:
    """Seconds with as many digits as matter; minutes and hours where there are some."""
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
