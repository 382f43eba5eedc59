"""Documents in the report and on the page of a run: cards without a section."""

from dataclasses import dataclass
from typing import Any

from fingerpost.flows.domains.corpus import CORPUS
from fingerpost.flows.report import formats
from fingerpost.flows.report.reading import quality_of
from fingerpost.schemas.store import Store

_INPUT = CORPUS.inputs[0]


@dataclass(frozen=True)
class Contents:
    """Documents that were imported, and rows that were quarantined."""

    documents: int
    quarantined: int


def gather(_: Store, record: dict[str, Any]) -> Contents | None:
    """The counts of a run that imported documents; None where it imported none."""
    quality = quality_of(record, _INPUT.artifact, part=_INPUT.part)
    return Contents(quality["documents"], quality["quarantined"]) if "quarantined" in quality else None


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Documents, and quarantined rows."""
    return [("documents", formats.count(contents.documents)), ("quarantined", formats.count(contents.quarantined))]
