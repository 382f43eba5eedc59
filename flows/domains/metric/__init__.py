"""The declaration of ``metric``: from labelled embeddings to a published threshold."""

from flows.domains.domain import Domain, InputFile, Product, Section
from schemas.inputs import PACKAGES_SAMPLE

METRIC = Domain(
    word="metric",
    flow="flows.tune_thresholds:tune_thresholds",
    # A threshold of the collection's own documents is computed from their vectors.
    needs=("corpus",),
    roles="threshold",
    products=(
        Product(
            name="metric.threshold",
            contract="schemas.metric:THRESHOLD",
            title="threshold",
            role="threshold_release",
            gates="flows.domains.metric.gates:threshold_gates",
            open="tasks.metric.open:live",
            on_missed="flows.domains.metric.gates:on_missed",
            queries="the id of a row, answered with the rows that pass with it",
            answers="flows.domains.metric.answers:answerer",
            why="flows.domains.metric.why:why",
        ),
    ),
    inputs=(
        InputFile(
            title="embeddings",
            setting="metric.input",
            artifact="metric.embeddings",
            stage="import_embeddings",
            part="embeddings",
            builtin=frozenset({PACKAGES_SAMPLE, "documents"}),
            formerly=("import_documents",),
        ),
        InputFile(
            title="images",
            setting="metric.input",
            artifact="metric.images",
            stage="import_images",
            part="embeddings",
            builtin=frozenset({PACKAGES_SAMPLE, "documents"}),
        ),
    ),
    skipped="flows.domains.metric.sources:skipped",
    files="flows.domains.metric.sources:files_of",
    source="flows.domains.metric.sources:suppressed_source",
    stored="schemas.inputs.stored:StoredLabelled",
    forms={
        "embeddings": "schemas.inputs.embeddings:EMBEDDINGS",
        "images": "schemas.inputs.images:IMAGES",
        "image": "schemas.inputs.images:IMAGE_FILE",
    },
    changes={
        "metric.embeddings": "flows.domains.metric.changes:embeddings",
        "metric.images": "flows.domains.metric.changes:images",
        "metric.vectors": "flows.domains.metric.changes:vectors",
        "metric.rows": "flows.domains.metric.changes:rows",
        "metric.pair_counts": "",
        "metric.histograms": "",
        "metric.assessment": "flows.domains.metric.changes:assessment",
        "metric.retrieval": "flows.domains.metric.changes:retrieval",
        "metric.margins": "flows.domains.metric.changes:margins",
        "metric.embedders": "flows.domains.metric.changes:embedders",
        "metric.comparison": "flows.domains.metric.changes:comparison",
        "metric.threshold": "flows.domains.metric.changes:threshold",
    },
    report=Section(
        gather="flows.domains.metric.report.section:gather",
        template="flows.domains.metric.report:section.html",
        plots="flows.domains.metric.report.section:plots",
        cards="flows.domains.metric.report.section:cards",
    ),
    commands=("flows.domains.metric.commands:threshold", "flows.domains.metric.commands:embed"),
    former={
        "gates.threshold_rate": ("metric.gates.rate",),
        "gates.threshold_classes": ("metric.gates.classes",),
        "gates.threshold_frr": ("metric.gates.frr",),
        "gates.threshold_far": ("metric.gates.far",),
        "gates.threshold_recall_at_1": ("metric.gates.recall_at_1",),
        "gates.threshold_missed": ("metric.gates.missed",),
        "gates.sample_threshold_missed": ("metric.gates.sample_missed",),
        "gates.quarantine_share": ("metric.gates.quarantine_share",),
    },
)
