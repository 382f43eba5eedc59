"""The declaration of ``ann``: from vectors to a published nearest-neighbour index."""

from fingerpost.flows.domains.domain import Domain, Product, Section

ANN = Domain(
    word="ann",
    flow="fingerpost.flows.build_ann_index:build_ann_index",
    needs=("corpus",),
    products=(
        Product(
            name="ann.index",
            contract="fingerpost.schemas.ann:INDEX",
            title="index",
            role="index",
            gates="fingerpost.flows.domains.ann.gates:index_gates",
            compared="fingerpost.flows.domains.ann.comparison:index_compared",
            open="fingerpost.tasks.ann.open:live",
            queries="a text, answered with documents",
            answers="fingerpost.flows.domains.ann.answers:answerer",
            replayed=True,
            why="fingerpost.flows.domains.ann.why:why",
        ),
    ),
    changes={
        "ann.graph": "",
        "ann.finger_basis": "",
        "ann.finger_tables": "",
        "ann.neighbors": "fingerpost.flows.domains.ann.changes:neighbors",
        "ann.evaluation": "fingerpost.flows.domains.ann.changes:evaluation",
        "ann.tuning": "fingerpost.flows.domains.ann.changes:tuning",
        "ann.retrieval": "fingerpost.flows.domains.ann.changes:retrieval",
        "ann.index": "",
    },
    report=Section(
        gather="fingerpost.flows.domains.ann.report.section:gather",
        template="fingerpost.flows.domains.ann.report:section.html",
        plots="fingerpost.flows.domains.ann.report.section:plots",
        cards="fingerpost.flows.domains.ann.report.section:cards",
    ),
    commands=("fingerpost.flows.domains.ann.commands:query",),
    former={
        "gates.recall_at_10": ("ann.gates.recall_at_10",),
        "gates.documents": ("ann.gates.documents",),
        "gates.sample_documents": ("ann.gates.sample_documents",),
        "gates.quarantine_share": ("ann.gates.quarantine_share",),
        "gates.reranked_over_bm25": ("ann.gates.fused_over_bm25",),
        "ann.gates.reranked_over_bm25": ("ann.gates.fused_over_bm25",),
    },
    gone={"ann.retrieval.rerank": "how texts are answered is chosen for each collection (ann.tuning); remove it"},
)
