"""The input of a run: a user's file of documents, or the built-in sample."""

from dataclasses import dataclass

from fingerpost.flows import domains
from fingerpost.flows.domains.corpus.sources import daily_of, sample_source, source_of
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.daily import import_days, merging, note_deletions
from fingerpost.flows.run.expectations import outlook_on
from fingerpost.flows.run.input_days import several_days
from fingerpost.flows.run.rewriting import instead_of
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.corpus import DOCUMENTS
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.sources import InputSource
from fingerpost.schemas.inputs.stored import suppressing
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.corpus.stages.documents import (
    extract_documentation,
    import_daily_documents,
    import_documents,
    merge_daily_documents,
)
from fingerpost.tasks.environment import current_environment


def documents_of(run: Run) -> Ref:
    """The documents of a run: of one import, or merged from those of several days."""
    settings, imports = run.settings, run.settings.corpus.imports
    if not several_days(settings, "input.source"):
        documents = import_documents(input_of(settings), params=imports)
        if settings.input.source != SAMPLE:
            note_deletions(run, documents, daily_of(settings)(settings.input.source, None))
        return documents
    days = import_days(run, "corpus", "input.source", import_daily_documents, daily_of(settings), params=imports)
    with merging(run, merge_daily_documents, days):
        return merge_daily_documents(*days, rows_per_shard=imports.rows_per_shard)


def input_of(settings: Settings) -> "Ref | InputSource":
    """A user's file, or the extracts of the built-in sample, without suppressed keys."""
    stored = instead_of("corpus")
    if stored is not None:
        return stored
    if settings.input.source == SAMPLE:
        return extracts(settings)
    return suppressing(source_of(settings), suppressed_keys(settings))


def suppressed_keys(settings: Settings) -> Suppressed | None:
    """The suppressed keys of the collection; None where there are none."""
    return domains.forgotten(current_environment().store, settings.input.collection).suppressed()


def extracts(settings: Settings) -> Ref:
    """The documentation of the built-in sample, parsed once for documents and interactions."""
    packages = sample_source(settings)
    if asked := current_environment().asked.get(extract_documentation.name):
        return Ref.parse(asked)
    source = suppressing(packages, suppressed_keys(settings))
    return extract_documentation(source, distributions=packages.distributions)


@dataclass(frozen=True)
class Made:
    """What is made of documents: an index of their terms, and vectors from these rather than from the input."""

    terms: bool
    vectors: bool


def made_of(run: Run, documents: Ref) -> Made:
    """What is made of documents: terms where there are texts, vectors where the input has not one in every row.

    The setting ``input.vectors`` decides otherwise. A plan for documents that are not imported yet uses the newest ones
    of the collection, or the first rows of the input, or assumes texts.
    """
    choice, store = run.settings.input.vectors, run.env.store
    newest = documents if store.has(documents) else run.env.ledger.latest(documents.name)
    quality = store.manifest(newest).quality if newest is not None else _expected(run.settings)
    computed = choice == "computed" or (choice == "auto" and not quality["vectors"])
    if computed and choice == "auto" and not run.env.planning:
        _note_unused(run, documents)
    return Made(computed or bool(quality["texts"]), computed)


def _expected(settings: Settings) -> dict[str, bool]:
    """Whether documents that are not imported yet will have texts and vectors."""
    outlook = outlook_on(settings)
    if outlook is None:
        return {"texts": True, "vectors": False}
    return {"texts": outlook.texts, "vectors": outlook.vectors is not None}


def _note_unused(run: Run, documents: Ref) -> None:
    """Notes vectors that are not used because some rows have none, when the documents are imported."""
    if not any(record.computed and record.ref == str(documents) for record in run.env.records):
        return
    opened = run.env.store.open(documents, DOCUMENTS)
    columns = (opened.read("documents", shard=entry.shard)["vector"] for entry in opened.entries("documents"))
    given, rows = sum(len(column) - column.null_count for column in columns), opened.rows("documents")
    if given:
        run.note(
            f"The vectors of the input are not used: {given:,} of {rows:,} rows have one (all must), so vectors are"
            " computed from the texts"
        )
