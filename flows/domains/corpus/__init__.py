"""The declaration of ``corpus``: from an input to documents, features and vectors."""

from flows.domains.domain import Domain, InputFile, Section
from schemas.inputs import SAMPLE

CORPUS = Domain(
    word="corpus",
    flow="flows.featurize_corpus:featurize_corpus",
    inputs=(
        InputFile(
            title="documents",
            setting="input.source",
            artifact="corpus.documents",
            stage="import_documents",
            builtin=frozenset({SAMPLE}),
        ),
    ),
    files="flows.domains.corpus.sources:files_of",
    source="flows.domains.corpus.sources:suppressed_source",
    stored="schemas.inputs.stored:StoredInput",
    forms={"documents": "schemas.inputs.forms:DOCUMENTS"},
    changes={
        "corpus.extracts": "flows.domains.corpus.changes:extracts",
        "corpus.documents": "flows.domains.corpus.changes:documents",
        "corpus.quarantine": "flows.domains.corpus.changes:quarantine",
        "corpus.ngrams": "",
        "corpus.vocabulary": "flows.domains.corpus.changes:vocabulary",
        "corpus.features": "",
        "corpus.projection": "flows.domains.corpus.changes:projection",
        "corpus.vectors": "flows.domains.corpus.changes:vectors",
    },
    report=Section(
        gather="flows.domains.corpus.report.section:gather",
        cards="flows.domains.corpus.report.section:cards",
    ),
)
