"""The report of a run as one self-contained HTML page."""

from functools import cache
from importlib import import_module, resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.flows.report import formats
from fingerpost.flows.report.contents import Contents, gather
from fingerpost.flows.report.plots import data_uri, drawings_of
from fingerpost.flows.report.trend_plots import trend_svg
from fingerpost.flows.report.trends import SHOWN, Trend
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import full_name

#: Settings that are locations, not parameters.
_PRIVATE = {"store"}
_LATEST = "reports/latest.html"
_PAGE = "fingerpost.flows.report:page.html"


def render(store: Store, record: dict[str, Any]) -> str:
    """The page of a run's record."""
    return _rendered(gather(store, record))


def _rendered(contents: Contents) -> str:
    record = contents.record
    return (
        _environment()
        .get_template(_PAGE)
        .render(
            c=contents,
            record=record,
            longest=max((stage["seconds"] for stage in record["stages"]), default=0.0),
            sections=_sections(contents),
            cards=_cards(contents),
            trends=[_drawn(trend) for trend in contents.trends],
            most_runs=SHOWN,
            settings={key: value for key, value in record["settings"].items() if key not in _PRIVATE},
        )
    )


def prepare() -> None:
    """Loads what pages are made with: the sections' code, the templates, and what Arrow checks keys with."""
    import_module("pyarrow.acero")
    _environment().get_template(_PAGE)
    for domain in domains.DOMAINS:
        if domain.report is not None and domain.report.template:
            named(domain.report.gather)
            _environment().get_template(domain.report.template)


def write(store: Store, record: dict[str, Any]) -> str:
    """Writes ``reports/<run id>.html`` and ``reports/latest.html`` to the store; returns the path or URL of the one.

    Adds to the record which products are ``below`` simple baselines.
    """
    with drawings_of(_latest(store)):
        contents = gather(store, record)
        page = _rendered(contents).encode()
    record["below"] = [str(one) for one in contents.below]
    relative = f"reports/{record['id']}.html"
    for name in (relative, _LATEST):
        store.files.write(name, page)
    path = store.files.path(relative)
    return path if store.files.local else str(store.files.fs.unstrip_protocol(path))


def _latest(store: Store) -> str:
    """The report that was written last; empty if there is none."""
    try:
        return store.files.read(_LATEST).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


@cache
def _environment() -> Environment:
    """Templates by ``"package:file"``, and the filters that they use."""
    environment = Environment(
        loader=FunctionLoader(_template_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": formats.count,
        "seconds": formats.seconds,
        "figure": formats.figure,
        "metric": formats.metric,
        "metric_value": formats.metric_value,
        "percent": formats.percent,
        "percentage": formats.percentage,
        "significant": formats.significant,
        "when": formats.when,
        "full_name": _full_name,
        "data_uri": data_uri,
    }
    return environment


def _template_text(reference: str) -> str:
    package, _, name = reference.partition(":")
    return resources.files(package).joinpath(name).read_text("utf-8")


def _full_name(stage: dict[str, Any]) -> str:
    return full_name(stage["stage"], stage.get("part", ""))


def _sections(contents: Contents) -> list[Markup]:
    """The sections of the domains: each template gets its own contents as ``c``, and its plots by name."""
    shown = [section for section in contents.sections if section.declared.template]
    return [
        Markup(_environment().get_template(section.declared.template).render(c=section.contents, plots=section.plots))
        for section in shown
    ]


def _drawn(trend: Trend) -> tuple[str, str, str]:
    """The title of a metric over runs, its plot, and its values as a sentence."""
    first, last, median = (formats.significant(value) for value in trend.summary)
    return trend.title, trend_svg(trend), f"first {first}, last {last}, median {median} of {len(trend.points)} runs"


def _cards(contents: Contents) -> list[tuple[str, str]]:
    """The cards at the head of the page: label, value."""
    cards = [card for section in contents.sections for card in section.cards]
    return [*cards, ("time", formats.seconds(contents.record["seconds"]))]
