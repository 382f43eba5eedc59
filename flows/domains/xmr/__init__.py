"""The declaration of ``xmr``: from interactions to a published ranker."""

from flows.domains.domain import Domain, InputFile, Product, Section
from schemas.inputs import NAMES_SAMPLE, SEE_ALSO_SAMPLE

XMR = Domain(
    word="xmr",
    flow="flows.train_ranker:train_ranker",
    roles="ranker",
    products=(
        Product(
            name="xmr.ranker",
            contract="schemas.xmr:RANKER",
            title="ranker",
            role="ranker",
            gates="flows.domains.xmr.gates:ranker_gates",
            open="tasks.xmr.open:live",
            queries="a text, answered with labels",
            answers="flows.domains.xmr.answers:answerer",
            why="flows.domains.xmr.why:why",
        ),
    ),
    inputs=(
        InputFile(
            title="interactions",
            setting="xmr.input",
            artifact="xmr.interactions",
            stage="import_interactions",
            builtin=frozenset({SEE_ALSO_SAMPLE, NAMES_SAMPLE}),
        ),
    ),
    skipped="flows.domains.xmr.sources:skipped",
    files="flows.domains.xmr.sources:files_of",
    source="flows.domains.xmr.sources:suppressed_source",
    stored="schemas.inputs.stored:StoredInteractions",
    forms={
        "interactions": "schemas.inputs.interaction_rows:INTERACTIONS",
        "labels": "schemas.inputs.interaction_rows:LABELS",
        "negatives": "schemas.inputs.negatives:NEGATIVES",
    },
    # The ids in the list of a ranker's texts.
    written_keys=("query {key}", "label {key}"),
    changes={
        "xmr.interactions": "flows.domains.xmr.changes:interactions",
        "xmr.queries": "",
        "xmr.label_features": "",
        "xmr.tree": "",
        "xmr.model": "",
        "xmr.predictions": "flows.domains.xmr.changes:predictions",
        "xmr.calibration": "",
        "xmr.evaluation": "flows.domains.xmr.changes:evaluation",
        "xmr.dense_labels": "",
        "xmr.towers": "",
        "xmr.comparison": "flows.domains.xmr.changes:comparison",
        "xmr.sweep": "flows.domains.xmr.changes:sweep",
        "xmr.ranker": "",
    },
    report=Section(
        gather="flows.domains.xmr.report.section:gather",
        template="flows.domains.xmr.report:section.html",
        plots="flows.domains.xmr.report.section:plots",
        cards="flows.domains.xmr.report.section:cards",
    ),
    commands=("flows.domains.xmr.commands:rank",),
    former={
        "gates.ranker_recall_at_10": ("xmr.gates.recall_at_10",),
        "gates.sample_ranker_recall_at_10": ("xmr.gates.sample_recall_at_10",),
        "gates.ranker_labels": ("xmr.gates.labels",),
        "gates.quarantine_share": ("xmr.gates.quarantine_share",),
    },
)
