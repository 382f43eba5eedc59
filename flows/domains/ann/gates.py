"""The gates that an index must pass before it becomes live. Imports no Prefect."""

from fingerpost.flows.domains.ann.settings import IndexGates
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate


def index_gates(manifest: Manifest, settings: IndexGates) -> list[Gate]:
    """The gates of an index; fused MRR is compared with BM25's where both were measured."""
    quality = manifest.quality
    minimum = settings.sample_documents if manifest.run["collection"] == SAMPLE else settings.documents
    gates = [
        Gate("recall_at_10", float(quality["recall_at_10"]), settings.recall_at_10),
        Gate("documents", float(quality["documents"]), float(minimum)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    if settings.certified == "target" and "certified_low" in quality:
        gates.append(Gate("certified_recall", float(quality["certified_low"]), float(quality["target_recall"])))
    if settings.fused_over_bm25 > 0 and quality.get("known_items", 0) > 0:
        ratio = float(quality["fused_mrr"]) / max(float(quality["bm25_mrr"]), 1e-9)
        gates.append(Gate("fused_mrr_over_bm25", ratio, settings.fused_over_bm25))
    if settings.judged_ndcg_at_10 > 0 and (judged := quality.get("judged_ndcg_at_10")) is not None:
        gates.append(Gate("judged_ndcg_at_10", float(judged), settings.judged_ndcg_at_10))
    return gates
