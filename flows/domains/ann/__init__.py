"""The declaration of ``ann``: from vectors to a published nearest-neighbour index."""

from fingerpost.flows.domains.domain import Described, Domain, Endpoint, InputFile, Product, Section, Served

ANN = Domain(
    word="ann",
    flow="fingerpost.flows.build_ann_index:build_ann_index",
    needs=("corpus",),
    made_of=("corpus",),
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
            served=Served(
                opened="fingerpost.flows.domains.ann.serving:opened",
                endpoints=(
                    Endpoint(
                        path="/query",
                        summary="The documents that answer a text best",
                        question="fingerpost.flows.domains.ann.endpoints:Query",
                        reply="fingerpost.flows.domains.ann.endpoints:Documents",
                        answer="fingerpost.flows.domains.ann.serving:query",
                    ),
                    Endpoint(
                        path="/similar",
                        summary="The documents most like one",
                        question="fingerpost.flows.domains.ann.endpoints:Like",
                        reply="fingerpost.flows.domains.ann.endpoints:Documents",
                        answer="fingerpost.flows.domains.ann.serving:similar",
                    ),
                    Endpoint(
                        path="/search",
                        summary="The documents nearest to a vector",
                        question="fingerpost.flows.domains.ann.endpoints:Near",
                        reply="fingerpost.flows.domains.ann.endpoints:Documents",
                        answer="fingerpost.flows.domains.ann.serving:search",
                    ),
                ),
            ),
        ),
    ),
    inputs=(
        InputFile(
            title="judged queries",
            setting="ann.judged.queries",
            artifact="ann.judged",
            stage="import_judged",
            optional=True,
            columns="ann.judged.columns",
            beside=("ann.judged.judgements",),
            described=Described("queries", ("text",), ("purpose",), ("text",), counted=("judgements",)),
        ),
    ),
    files_of={"import_index_graph": ("ann.graph.file", "ann.hnsw.metric")},
    files="fingerpost.flows.domains.ann.sources:files_of",
    source="fingerpost.flows.domains.ann.sources:suppressed_source",
    stored="fingerpost.schemas.inputs.stored_judged:StoredJudged",
    forms={
        "judged queries": "fingerpost.schemas.inputs.judged:JUDGED_QUERIES",
        "judgements": "fingerpost.schemas.inputs.judged:JUDGEMENTS",
        "judged rows": "fingerpost.schemas.inputs.judged:JUDGED_ROWS",
    },
    changes={
        "ann.graph": "",
        "ann.graph_shards": "",
        "ann.changes": "",
        "ann.finger_basis": "",
        "ann.finger_tables": "",
        "ann.finger_codes": "",
        "ann.finger_blocks": "",
        "ann.neighbors": "fingerpost.flows.domains.ann.changes:neighbors",
        "ann.evaluation": "fingerpost.flows.domains.ann.changes:evaluation",
        "ann.codes": "",
        "ann.speeds": "fingerpost.flows.domains.ann.changes:speeds",
        "ann.certificate": "fingerpost.flows.domains.ann.changes:certificate",
        "ann.packed": "",
        "ann.packed_texts": "",
        "ann.tuning": "fingerpost.flows.domains.ann.changes:tuning",
        "ann.retrieval": "fingerpost.flows.domains.ann.changes:retrieval",
        "ann.judged": "fingerpost.flows.domains.ann.judged_changes:judged",
        "ann.judgement": "fingerpost.flows.domains.ann.judged_changes:judgement",
        "ann.index": "",
    },
    costs="fingerpost.flows.domains.ann.costs:costs",
    report=Section(
        gather="fingerpost.flows.domains.ann.report.section:gather",
        template="fingerpost.flows.domains.ann.report:section.html",
        plots="fingerpost.flows.domains.ann.report.section:plots",
        tables="fingerpost.flows.domains.ann.report.section:tables",
        cards="fingerpost.flows.domains.ann.report.section:cards",
        beside="fingerpost.flows.domains.ann.report.standing:beside",
        trends="fingerpost.flows.domains.ann.report.standing:trends",
    ),
    commands=(
        "fingerpost.flows.domains.ann.commands:query",
        "fingerpost.flows.domains.ann.tuning_command:tune",
        "fingerpost.flows.domains.ann.exchange_commands:export_index",
        "fingerpost.flows.domains.ann.exchange_commands:import_index",
    ),
    former={
        "gates.recall_at_10": ("ann.gates.recall_at_10",),
        "gates.documents": ("ann.gates.documents",),
        "gates.sample_documents": ("ann.gates.sample_documents",),
        "gates.quarantine_share": ("ann.gates.quarantine_share",),
        "gates.reranked_over_bm25": ("ann.gates.fused_over_bm25",),
        "ann.gates.reranked_over_bm25": ("ann.gates.fused_over_bm25",),
    },
    gone={
        "ann.retrieval.rerank": "how texts are answered is chosen for each collection (ann.tuning); remove it",
        **{
            f"ann.finger.{name}": "FINGER codes residuals in ann.finger.rank directions of ann.finger.bits; remove it"
            for name in (
                *(
                    "estimator",
                    "candidate_ranks",
                    "correlation_threshold",
                    "matching",
                    "error_term",
                    "precision",
                    "sample",
                ),
            )
        },
    },
)
