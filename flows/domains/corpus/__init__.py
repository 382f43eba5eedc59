"""The declaration of ``corpus``: from an input to documents, features and vectors."""

from fingerpost.flows.domains.domain import Described, Domain, InputFile, Section
from fingerpost.schemas.inputs import SAMPLE

CORPUS = Domain(
    word="corpus",
    flow="fingerpost.flows.featurize_corpus:featurize_corpus",
    inputs=(
        InputFile(
            title="documents",
            setting="input.source",
            artifact="corpus.documents",
            stage="import_documents",
            day_artifact="corpus.daily_documents",
            day_stage="import_daily_documents",
            merge_stage="merge_daily_documents",
            builtin=frozenset({SAMPLE}),
            columns="input.columns",
            beside=("input.days", "input.missing_days", "input.vectors"),
            described=Described("documents", ("title", "text"), ("kind", "package"), ("title", "text", "vector")),
        ),
    ),
    files="fingerpost.flows.domains.corpus.sources:files_of",
    source="fingerpost.flows.domains.corpus.sources:suppressed_source",
    daily="fingerpost.flows.domains.corpus.sources:daily_of",
    stored="fingerpost.schemas.inputs.stored:StoredInput",
    terms="fingerpost.schemas.inputs.stored_terms:terms_about",
    forms={
        "documents": "fingerpost.schemas.inputs.forms:DOCUMENTS",
        "daily documents": "fingerpost.schemas.inputs.daily:DAILY_DOCUMENTS",
    },
    changes={
        "corpus.extracts": "fingerpost.flows.domains.corpus.changes:extracts",
        "corpus.daily_documents": "fingerpost.flows.domains.corpus.changes:daily_documents",
        "corpus.documents": "fingerpost.flows.domains.corpus.changes:documents",
        "corpus.quarantine": "fingerpost.flows.domains.corpus.changes:quarantine",
        "corpus.analyzer": "fingerpost.flows.domains.corpus.changes:analyzer",
        "corpus.term_counts": "",
        "corpus.lexicon": "fingerpost.flows.domains.corpus.changes:lexicon",
        "corpus.field_weights": "fingerpost.flows.domains.corpus.changes:field_weights",
        "corpus.postings": "",
        "corpus.ngrams": "",
        "corpus.vocabulary": "fingerpost.flows.domains.corpus.changes:vocabulary",
        "corpus.features": "",
        "corpus.projection": "fingerpost.flows.domains.corpus.changes:projection",
        "corpus.vectors": "fingerpost.flows.domains.corpus.changes:vectors",
    },
    costs="fingerpost.flows.domains.corpus.costs:costs",
    report=Section(
        gather="fingerpost.flows.domains.corpus.report.section:gather",
        template="fingerpost.flows.domains.corpus.report:section.html",
        tables="fingerpost.flows.domains.corpus.report.section:tables",
        cards="fingerpost.flows.domains.corpus.report.section:cards",
        trends="fingerpost.flows.domains.corpus.report.standing:trends",
    ),
    gone={
        "corpus.ngrams": (
            "words are taken as corpus.analyzer says, and the weights of fields are chosen for each collection"
            " (corpus.fields); remove it"
        ),
        "corpus.tfidf": "see corpus.features; remove it",
    },
)
