"""The section of an index on the report and on the page of a run."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fingerpost.flows.domains.ann.report.certificate import Certified, read_certified
from fingerpost.flows.domains.ann.report.judged import JudgedAnswers, read_judgement
from fingerpost.flows.domains.ann.report.retrieval import Retrieval, read_retrieval
from fingerpost.flows.domains.ann.report.retrieval_plots import found_svg
from fingerpost.flows.domains.ann.report.search import Finger, Search, read_finger, read_search
from fingerpost.flows.domains.ann.report.search_plots import (
    estimate_errors_svg,
    recall_distances_svg,
    recall_speed_svg,
    ways_svg,
)
from fingerpost.flows.domains.ann.report.tuning import Tuning, read_tuning
from fingerpost.flows.report import formats
from fingerpost.flows.report.choices import Choices, page_tables
from fingerpost.flows.report.costs import PartCost, part_costs
from fingerpost.flows.report.plots import Plot
from fingerpost.flows.report.reading import Attempts, quality_of, stage_of
from fingerpost.flows.report.tables import PageTable
from fingerpost.schemas import ann
from fingerpost.schemas.store import Store

#: The parts of an index, and the stages that make them.
_PARTS = {
    "lexical index": (
        "choose_analyzer",
        "count_terms",
        "merge_lexicon",
        "choose_field_weights",
        "build_postings",
    ),
    "vectors": ("weigh_documents", "fit_projection", "embed_documents", "take_vectors"),
    "graph, neighbours": (
        *("build_graph", "build_graph_shards", "merge_graph_shards", "update_graph"),
        "find_neighbors",
    ),
    "tables of FINGER": ("fit_finger", "compute_finger_tables"),
    "tuning": ("tune_search",),
    "codes, certificate": ("fit_vector_codes", "measure_searches", "certify_search"),
    "packed index": ("pack_index",),
    "evaluations": ("evaluate_index", "evaluate_retrieval", "judge_search"),
}


@dataclass(frozen=True)
class Contents:
    """An index: its search, FINGER and retrieval, None where the run has none, and the quality metrics of its parts.

    tuning: how texts are answered, and why. judged: the metrics on judged queries. certified: what its search delivers.
    costs: bytes and seconds of its parts.
    """

    search: Search | None
    finger: Finger | None
    retrieval: Retrieval | None
    graph: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    evaluated: dict[str, Any] = field(default_factory=dict)
    retrieved: dict[str, Any] = field(default_factory=dict)
    tuning: Tuning | None = None
    judged: JudgedAnswers | None = None
    certified: Certified | None = None
    costs: list[PartCost] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def gather(store: Store, record: dict[str, Any]) -> Contents | None:
    """The contents of a run that built an index; None where it built none."""
    names = (ann.GRAPH, ann.EVALUATION, ann.FINGER_CODES, ann.RETRIEVAL, ann.TUNING)
    graph, evaluation, codes, retrieval, tuning = (stage_of(record, contract.name) for contract in names)
    if not (graph or evaluation or codes or retrieval or tuning):
        return None
    attempt, judgement, imported = Attempts(), stage_of(record, ann.JUDGEMENT.name), quality_of(record, ann.JUDGED.name)
    certificate, speeds = stage_of(record, ann.CERTIFICATE.name), stage_of(record, ann.SPEEDS.name)
    return Contents(
        search=attempt(partial(read_search, store, evaluation), None) if evaluation else None,
        finger=attempt(partial(read_finger, store, codes), None) if codes else None,
        retrieval=attempt(partial(read_retrieval, store, retrieval), None) if retrieval else None,
        graph=quality_of(record, ann.GRAPH.name),
        tables=quality_of(record, ann.FINGER_BLOCKS.name),
        evaluated=quality_of(record, ann.EVALUATION.name),
        retrieved=quality_of(record, ann.RETRIEVAL.name),
        tuning=attempt(partial(read_tuning, store, tuning), None) if tuning else None,
        judged=attempt(partial(read_judgement, store, judgement, imported), None) if judgement else None,
        certified=attempt(partial(read_certified, store, certificate, speeds), None) if certificate else None,
        costs=attempt(partial(part_costs, store, record, _PARTS), []),
        problems=attempt.problems,
    )


def plots(contents: Contents) -> dict[str, Plot]:
    """The plots of the measurements that the run has."""
    drawn: dict[str, Plot] = {}
    search, finger = contents.search, contents.finger
    if contents.retrieval and contents.retrieval.tables:
        drawn["found"] = Plot(
            "MRR on known documents",
            "MRR of each method on known documents, with and without the query sentence in its document; the values are in"
            " the tables",
            found_svg(contents.retrieval.found),
            "MRR of each method, with and without the query sentence in its document.",
        )
    if contents.certified and contents.certified.timed:
        drawn["ways"] = Plot(
            "Ways to search",
            "Queries per second over recall of each way to search that was tried, and the certified recall with its interval;"
            " the values are in the tables",
            ways_svg(contents.certified.curves, contents.certified.certificate),
            "Recall against speed of the ways that were tried: up and to the right is better. The mark is the certified width.",
        )
    if search and search.curves:
        if search.timed:
            drawn["speed"] = Plot(
                "Speed over recall",
                "Queries per second over recall for plain HNSW and FINGER search; the values are in the table below",
                recall_speed_svg(search.curves, k=search.k),
                "Recall against speed: up and to the right is better.",
            )
        drawn["distances"] = Plot(
            "Distances over recall",
            "Full distances per query over recall for plain HNSW and FINGER search; the values are in the table below",
            recall_distances_svg(search.curves, k=search.k),
            "Recall against work: down and to the right is better.",
        )
    if finger and len(finger.tried) > 1:
        drawn["estimates"] = Plot(
            "Errors of FINGER's estimates",
            "Error of the estimated cosine by number of directions and by bits of a code; the values are in the table",
            estimate_errors_svg(finger.errors, chosen=(finger.rank, finger.bits)),
            "Standard deviation of the error of estimated cosines; the mark is the choice in use.",
        )
    return drawn


def tables(contents: Contents) -> list[PageTable]:
    """How texts are answered and why, and what queries find."""
    tuning = contents.tuning
    shown = page_tables("How texts are answered", Choices(tuning.choices.chosen, tuning.alone)) if tuning else []
    for table in contents.retrieval.tables if contents.retrieval else ():
        rows = [(row.method, formats.figure(row.mrr), formats.figure(row.recall)) for row in table.rows]
        shown.append(PageTable(f"Known documents: {table.title.lower()}", ("method", "MRR", "recall@10"), rows))
    if contents.certified:
        ways = [(way.plan, "yes" if way.on else "no", way.reason) for way in contents.certified.ways]
        shown.append(PageTable("Ways to search", ("way to search", "in use", "why"), ways))
        certificate = contents.certified.certificate
        widths = [
            (str(point.ef), formats.figure(point.recall), f"{point.low:.4f}–{point.high:.4f}")
            for point in certificate.curve
        ]
        shown.append(PageTable("Certificate", ("search width", f"recall@{certificate.k}", "interval"), widths))
    if contents.judged:
        titles = tuple(contents.judged.served.metrics)
        judged = [
            (row.method, *(f"{mean.value:.3f} ({mean.low:.3f}–{mean.high:.3f})" for mean in row.metrics.values()))
            for row in contents.judged.rows
        ]
        shown.append(PageTable("Judged queries", ("method", *titles), judged))
    return shown


def cards(contents: Contents) -> list[tuple[str, str]]:
    """Shape of the vectors, recall (certified where it was), the gain of FINGER, and what queries find beside plain BM25."""
    shown = []
    if contents.graph:
        shown.append(("dimensions", formats.count(contents.graph["dimensions"])))
    if contents.certified:
        known = contents.certified.certificate
        shown.append((f"recall@{known.k}, at least {known.at.low:.4f}", formats.figure(known.at.recall)))
    shown += [
        (f"recall@{name.removeprefix('recall_at_')} (plain)", formats.figure(value))
        for name, value in contents.evaluated.items()
        if name.startswith("recall_at_")
    ]
    if contents.search and contents.search.speedup is not None:
        shown.append(("FINGER / plain speed", f"{contents.search.speedup:.2f}×"))
    served = contents.retrieved.get("fused_mrr")  # An index of an earlier version has none.
    if contents.retrieved.get("known_items") and served is not None:
        shown.append(("MRR / that of plain BM25", f"{served:.3f} / {contents.retrieved['bm25_mrr']:.3f}"))
    if contents.judged:
        ndcg = contents.judged.served.metrics["nDCG@10"]
        shown.append(("nDCG@10 (judged)", f"{ndcg.value:.3f} ({ndcg.low:.3f}–{ndcg.high:.3f})"))
    return shown
