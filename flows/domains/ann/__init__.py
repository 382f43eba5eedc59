"""The declaration of ``ann``: from vectors to a published nearest-neighbour index."""

from flows.domains.domain import Domain, Product, Section

ANN = Domain(
    word="ann",
    flow="flows.build_ann_index:build_ann_index",
    needs=("corpus",),
    products=(
        Product(
            name="ann.index",
            contract="schemas.ann:INDEX",
            title="index",
            role="index",
            gates="flows.domains.ann.gates:index_gates",
            open="tasks.ann.open:live",
            queries="a text, answered with documents",
            answers="flows.domains.ann.answers:answerer",
            replayed=True,
            why="flows.domains.ann.why:why",
        ),
    ),
    changes={
        "ann.graph": "",
        "ann.finger_basis": "",
        "ann.finger_tables": "",
        "ann.neighbors": "flows.domains.ann.changes:neighbors",
        "ann.evaluation": "flows.domains.ann.changes:evaluation",
        "ann.retrieval": "flows.domains.ann.changes:retrieval",
        "ann.index": "",
    },
    report=Section(
        gather="flows.domains.ann.report.section:gather",
        template="flows.domains.ann.report:section.html",
        plots="flows.domains.ann.report.section:plots",
        cards="flows.domains.ann.report.section:cards",
    ),
    commands=("flows.domains.ann.commands:query",),
    former={
        "gates.recall_at_10": ("ann.gates.recall_at_10",),
        "gates.documents": ("ann.gates.documents",),
        "gates.sample_documents": ("ann.gates.sample_documents",),
        "gates.quarantine_share": ("ann.gates.quarantine_share",),
        "gates.reranked_over_bm25": ("ann.gates.reranked_over_bm25",),
    },
)
