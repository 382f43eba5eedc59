"""The declaration of ``metric``: from labelled embeddings to a published threshold."""

from fingerpost.flows.domains.domain import Domain, InputFile, Product, Section
from fingerpost.schemas.inputs import PACKAGES_SAMPLE

#: How embeddings, images, or the vectors of documents are read; images need an embedder.
_READ = (
    "metric.days",
    "metric.kind",
    "metric.images",
    "metric.label",
    "metric.group",
    "metric.training.on",
    "metric.training.backbone",
)

METRIC = Domain(
    word="metric",
    flow="fingerpost.flows.tune_thresholds:tune_thresholds",
    # A threshold of the collection's own documents is computed from their vectors.
    needs=("corpus",),
    roles="threshold",
    products=(
        Product(
            name="metric.threshold",
            contract="fingerpost.schemas.metric:THRESHOLD",
            title="threshold",
            role="threshold_release",
            gates="fingerpost.flows.domains.metric.gates:threshold_gates",
            compared="fingerpost.flows.domains.metric.comparison:threshold_compared",
            open="fingerpost.tasks.metric.open:live",
            on_missed="fingerpost.flows.domains.metric.gates:on_missed",
            queries="the id of a row, answered with the rows that pass with it",
            answers="fingerpost.flows.domains.metric.answers:answerer",
            why="fingerpost.flows.domains.metric.why:why",
        ),
    ),
    inputs=(
        InputFile(
            title="embeddings",
            setting="metric.input",
            artifact="metric.embeddings",
            stage="import_embeddings",
            day_artifact="metric.daily_embeddings",
            day_stage="import_daily_embeddings",
            merge_stage="merge_daily_embeddings",
            part="embeddings",
            builtin=frozenset({PACKAGES_SAMPLE, "documents"}),
            columns="metric.columns",
            beside=_READ,
            formerly=("import_documents",),
        ),
        InputFile(
            title="images",
            setting="metric.input",
            artifact="metric.images",
            stage="import_images",
            part="embeddings",
            builtin=frozenset({PACKAGES_SAMPLE, "documents"}),
            columns="metric.columns",
            beside=_READ,
        ),
    ),
    skipped="fingerpost.flows.domains.metric.sources:skipped",
    files="fingerpost.flows.domains.metric.sources:files_of",
    source="fingerpost.flows.domains.metric.sources:suppressed_source",
    daily="fingerpost.flows.domains.metric.sources:daily_of",
    stored="fingerpost.schemas.inputs.stored:StoredLabelled",
    forms={
        "embeddings": "fingerpost.schemas.inputs.embeddings:EMBEDDINGS",
        "daily embeddings": "fingerpost.schemas.inputs.daily:DAILY_EMBEDDINGS",
        "images": "fingerpost.schemas.inputs.images:IMAGES",
        "image": "fingerpost.schemas.inputs.images:IMAGE_FILE",
    },
    changes={
        "metric.daily_embeddings": "",
        "metric.embeddings": "fingerpost.flows.domains.metric.changes:embeddings",
        "metric.images": "fingerpost.flows.domains.metric.changes:images",
        "metric.vectors": "fingerpost.flows.domains.metric.changes:vectors",
        "metric.rows": "fingerpost.flows.domains.metric.changes:rows",
        "metric.pair_counts": "",
        "metric.histograms": "",
        "metric.assessment": "fingerpost.flows.domains.metric.changes:assessment",
        "metric.retrieval": "fingerpost.flows.domains.metric.changes:retrieval",
        "metric.margins": "fingerpost.flows.domains.metric.changes:margins",
        "metric.embedders": "fingerpost.flows.domains.metric.changes:embedders",
        "metric.comparison": "fingerpost.flows.domains.metric.changes:comparison",
        "metric.threshold": "fingerpost.flows.domains.metric.changes:threshold",
    },
    costs="fingerpost.flows.domains.metric.costs:costs",
    report=Section(
        gather="fingerpost.flows.domains.metric.report.section:gather",
        template="fingerpost.flows.domains.metric.report:section.html",
        plots="fingerpost.flows.domains.metric.report.section:plots",
        cards="fingerpost.flows.domains.metric.report.section:cards",
    ),
    commands=("fingerpost.flows.domains.metric.commands:threshold", "fingerpost.flows.domains.metric.commands:embed"),
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
