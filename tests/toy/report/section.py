"""The section of a glossary on the report and on the page of a run."""

from dataclasses import dataclass
from typing import Any

from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import stage_of
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from tests.toy.contracts import LENGTHS


@dataclass(frozen=True)
class Contents:
    """The lengths of the meanings."""

    lengths: list[int]
    problems: tuple[str, ...] = ()


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that built a glossary."""
    stage = stage_of(record, LENGTHS.name)
    if stage is None:
        return None
    return Contents(store.open(Ref.parse(stage["ref"]), LENGTHS).read("lengths")["length"].to_pylist())


def plots(contents: Contents) -> dict[str, Plot]:
    """One bar a word."""
    bars = "".join(
        f'<rect x="0" y="{10 * row}" width="{length}" height="8"/>' for row, length in enumerate(contents.lengths)
    )
    return {
        "lengths": Plot(
            "Lengths of meanings", "a bar per word", f'<svg xmlns="http://www.w3.org/2000/svg">{bars}</svg>'
        )
    }


def cards(contents: Contents) -> list[tuple[str, str]]:
    """How many words there are."""
    return [("words", str(len(contents.lengths)))]
