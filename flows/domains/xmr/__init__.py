"""The declaration of ``xmr``: from interactions to a published ranker."""

from fingerpost.flows.domains.domain import Described, Domain, Endpoint, InputFile, Product, Section, Served
from fingerpost.schemas.inputs import NAMES_SAMPLE, SEE_ALSO_SAMPLE

XMR = Domain(
    word="xmr",
    flow="fingerpost.flows.train_ranker:train_ranker",
    roles="ranker",
    products=(
        Product(
            name="xmr.ranker",
            contract="fingerpost.schemas.xmr:RANKER",
            title="ranker",
            role="ranker",
            gates="fingerpost.flows.domains.xmr.gates:ranker_gates",
            compared="fingerpost.flows.domains.xmr.comparison:ranker_compared",
            open="fingerpost.tasks.xmr.open:live",
            queries="a text, answered with labels",
            answers="fingerpost.flows.domains.xmr.answers:answerer",
            why="fingerpost.flows.domains.xmr.why:why",
            served=Served(
                opened="fingerpost.flows.domains.xmr.serving:opened",
                endpoints=(
                    Endpoint(
                        path="/rank",
                        summary="The labels that fit a text best",
                        question="fingerpost.flows.domains.xmr.endpoints:Ranked",
                        reply="fingerpost.flows.domains.xmr.endpoints:Labels",
                        answer="fingerpost.flows.domains.xmr.serving:rank",
                        batch="fingerpost.flows.domains.xmr.serving:rank_many",
                    ),
                ),
            ),
        ),
    ),
    inputs=(
        InputFile(
            title="interactions",
            setting="xmr.input",
            artifact="xmr.interactions",
            stage="import_interactions",
            day_artifact="xmr.daily_interactions",
            day_stage="import_daily_interactions",
            merge_stage="merge_daily_interactions",
            builtin=frozenset({SEE_ALSO_SAMPLE, NAMES_SAMPLE}),
            columns="xmr.columns",
            beside=("xmr.days", "xmr.labels", "xmr.negatives", "xmr.unknown_labels"),
            described=Described("queries", ("text",), ("split",), ("text",), counted=("labels",)),
        ),
    ),
    skipped="fingerpost.flows.domains.xmr.sources:skipped",
    files="fingerpost.flows.domains.xmr.sources:files_of",
    source="fingerpost.flows.domains.xmr.sources:suppressed_source",
    daily="fingerpost.flows.domains.xmr.sources:daily_of",
    stored="fingerpost.schemas.inputs.stored:StoredInteractions",
    forms={
        "interactions": "fingerpost.schemas.inputs.interaction_rows:INTERACTIONS",
        "daily interactions": "fingerpost.schemas.inputs.daily:DAILY_INTERACTIONS",
        "labels": "fingerpost.schemas.inputs.interaction_rows:LABELS",
        "negatives": "fingerpost.schemas.inputs.negatives:NEGATIVES",
    },
    # The ids in the list of a ranker's texts.
    written_keys=("query {key}", "label {key}"),
    changes={
        "xmr.daily_interactions": "",
        "xmr.interactions": "fingerpost.flows.domains.xmr.changes:interactions",
        "xmr.queries": "",
        "xmr.label_features": "",
        "xmr.tree": "",
        "xmr.model": "",
        "xmr.predictions": "fingerpost.flows.domains.xmr.changes:predictions",
        "xmr.calibration": "",
        "xmr.evaluation": "fingerpost.flows.domains.xmr.changes:evaluation",
        "xmr.dense_labels": "",
        "xmr.towers": "",
        "xmr.comparison": "fingerpost.flows.domains.xmr.changes:comparison",
        "xmr.sweep": "fingerpost.flows.domains.xmr.changes:sweep",
        "xmr.packed": "",
        "xmr.ranker": "",
    },
    costs="fingerpost.flows.domains.xmr.costs:costs",
    report=Section(
        gather="fingerpost.flows.domains.xmr.report.section:gather",
        template="fingerpost.flows.domains.xmr.report:section.html",
        plots="fingerpost.flows.domains.xmr.report.section:plots",
        cards="fingerpost.flows.domains.xmr.report.section:cards",
        beside="fingerpost.flows.domains.xmr.report.standing:beside",
        trends="fingerpost.flows.domains.xmr.report.standing:trends",
    ),
    commands=("fingerpost.flows.domains.xmr.commands:rank",),
    former={
        "gates.ranker_recall_at_10": ("xmr.gates.recall_at_10",),
        "gates.sample_ranker_recall_at_10": ("xmr.gates.sample_recall_at_10",),
        "gates.ranker_labels": ("xmr.gates.labels",),
        "gates.quarantine_share": ("xmr.gates.quarantine_share",),
    },
)
