"""Documents and their terms in the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows.domains.corpus import CORPUS
from fingerpost.flows.report import formats
from fingerpost.flows.report.choices import Choices, page_tables, read_choices
from fingerpost.flows.report.reading import Attempts, quality_of, stage_of
from fingerpost.flows.report.tables import PageTable
from fingerpost.schemas import corpus
from fingerpost.schemas.store import Store

_INPUT = CORPUS.inputs[0]


@dataclass(frozen=True)
class Contents:
    """Documents that were imported, rows that were quarantined, and the terms of the documents.

    analyzer, lexicon, postings: quality metrics, empty where the run made none. weights: the weights of fields, and why.
    """

    documents: int | None = None
    quarantined: int | None = None
    analyzer: dict[str, Any] = field(default_factory=dict)
    lexicon: dict[str, Any] = field(default_factory=dict)
    postings: dict[str, Any] = field(default_factory=dict)
    weights: Choices | None = None
    problems: list[str] = field(default_factory=list)


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The counts of a run that imported documents, and their terms; None where it has neither."""
    imported = quality_of(record, _INPUT.artifact, part=_INPUT.part)
    analyzer, weights = (stage_of(record, contract.name) for contract in (corpus.ANALYZER, corpus.FIELD_WEIGHTS))
    if "quarantined" not in imported and not analyzer:
        return None
    attempt = Attempts()
    return Contents(
        imported.get("documents"),
        imported.get("quarantined"),
        analyzer=quality_of(record, corpus.ANALYZER.name),
        lexicon=quality_of(record, corpus.LEXICON.name),
        postings=quality_of(record, corpus.POSTINGS.name),
        weights=attempt(partial(read_choices, store, weights, corpus.FIELD_WEIGHTS), None) if weights else None,
        problems=attempt.problems,
    )


def tables(contents: Contents) -> list[PageTable]:
    """The weights of fields, and why."""
    return page_tables("Weights of fields", contents.weights) if contents.weights else []


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Documents, quarantined rows, and the language of the analyzer."""
    counts = (("documents", contents.documents), ("quarantined", contents.quarantined))
    shown = [(name, formats.count(value)) for name, value in counts if value is not None]
    if contents.analyzer:
        shown.append(("language", str(contents.analyzer["language"])))
    return shown
