"""What a stage chose, with its reasons, and what every candidate reached, as tables of a page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.flows.report import formats
from fingerpost.flows.report.tables import PageTable
from fingerpost.schemas.contract import Contract
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store


@dataclass(frozen=True)
class Choice:
    """One thing that was chosen: its value as people read it, whether it is in use, and why, in a sentence."""

    part: str
    value: str
    on: bool
    reason: str


@dataclass(frozen=True)
class FigureTable:
    """The figures of one setting: metrics as columns, and the candidates' values, None where one was not measured."""

    setting: str
    metrics: tuple[str, ...]
    rows: list[tuple[str, tuple[float | None, ...]]]

    def rows_of(self, names: Iterable[str]) -> list[tuple[str, tuple[float | None, ...]]]:
        """The rows of these candidates, in the order of the names; those that were not measured are left out."""
        found = dict(self.rows)
        return [(name, found[name]) for name in names if name in found]

    @property
    def best(self) -> float | None:
        """The highest value of the first metric."""
        return max((values[0] for _, values in self.rows if values[0] is not None), default=None)


@dataclass(frozen=True)
class Choices:
    """What a stage chose, and the figures that it chose by."""

    chosen: list[Choice]
    tables: list[FigureTable]


def page_tables(title: str, choices: Choices) -> list[PageTable]:
    """Choices and their figures as tables of the page of a run."""
    rows = [(one.part, one.value, "yes" if one.on else "no", one.reason) for one in choices.chosen]
    figures = [
        PageTable(
            f"{title}: {table.setting}",
            ("", *map(formats.metric, table.metrics)),
            [(name, *map(formats.metric_value, values, table.metrics)) for name, values in table.rows],
        )
        for table in choices.tables
    ]
    return [PageTable(title, ("part", "value", "in use", "why"), rows), *figures]


def read_choices(store: Store, stage: Mapping[str, Any], contract: Contract) -> Choices:
    """The choices of a stage's artifact, which has the tables ``chosen`` and ``figures``."""
    artifact = store.open(Ref.parse(stage["ref"]), contract)
    chosen = [Choice(**row) for row in artifact.read("chosen").to_pylist()]
    return Choices(chosen, figure_tables(artifact.read("figures").to_pylist()))


def figure_tables(figures: Iterable[Mapping[str, Any]]) -> list[FigureTable]:
    """Figures (method, setting, metric, value) as one table per setting, all in the order in which they come."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in figures:
        values.setdefault(row["setting"], {}).setdefault(row["method"], {})[row["metric"]] = row["value"]
    tables = []
    for setting, methods in values.items():
        metrics = tuple(dict.fromkeys(metric for found in methods.values() for metric in found))
        rows = [(method, tuple(found.get(metric) for metric in metrics)) for method, found in methods.items()]
        tables.append(FigureTable(setting, metrics, rows))
    return tables
