"""How an index stands: beside plain BM25, and over runs."""

from collections.abc import Mapping
from typing import Any

from fingerpost.flows.domains.ann.report.judged import METHODS
from fingerpost.flows.domains.ann.report.section import Contents
from fingerpost.flows.report.baselines import Beside
from fingerpost.flows.report.reading import metrics_of
from fingerpost.schemas import ann

_JUDGED = "nDCG@10 on judged queries"
#: A difference that is less probable than this between equally good methods counts.
_LEVEL = 0.05


def beside(contents: Contents) -> list[Beside]:
    """What queries find of known documents, and of judged ones where there are any, beside plain BM25."""
    found, retrieved, bm25 = [], contents.retrieved, METHODS["bm25"]
    if retrieved.get("known_items") and {"fused_mrr", "bm25_mrr"} <= set(retrieved):
        ours, theirs = float(retrieved["fused_mrr"]), float(retrieved["bm25_mrr"])
        found.append(Beside("index", "MRR on known documents", ours, bm25, theirs))
    if contents.judged:
        rows = {row.method: row.metrics["nDCG@10"].value for row in contents.judged.rows}
        tested = {one.method: one.probability for one in contents.judged.differences}
        if bm25 in rows:
            certain, served = tested.get(bm25, 0.0) < _LEVEL, contents.judged.served
            ours = served.metrics["nDCG@10"].value
            found.append(Beside("index", _JUDGED, ours, bm25, rows[bm25], certain=certain))
    return found


def trends(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Recall, certified recall, and what queries find."""
    return [
        *metrics_of(record, ann.EVALUATION.name, {"recall_at_10": "recall@10 (plain)"}),
        *metrics_of(record, ann.CERTIFICATE.name, {"certified_low": "certified recall, at least"}),
        *metrics_of(record, ann.RETRIEVAL.name, {"fused_mrr": "MRR on known documents"}),
        *metrics_of(record, ann.JUDGEMENT.name, {"judged_ndcg_at_10": _JUDGED}),
    ]
