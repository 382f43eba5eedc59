"""The gates that an index must pass before it becomes live. Imports no Prefect."""

from flows.settings import GateSettings
from schemas.inputs import SAMPLE
from schemas.manifests import Manifest
from schemas.publish import Gate, Pointer, Publication
from schemas.refs import Ref
from schemas.store import Store
from tasks.ann.open import PRODUCT


def index_gates(manifest: Manifest, settings: GateSettings) -> list[Gate]:
    """What an index must fulfil; re-ranked answers must not be worse than BM25's where both were measured."""
    quality = manifest.quality
    least = settings.sample_documents if manifest.run["collection"] == SAMPLE else settings.documents
    gates = [
        Gate("recall_at_10", float(quality["recall_at_10"]), settings.recall_at_10),
        Gate("documents", float(quality["documents"]), float(least)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    if settings.reranked_over_bm25 > 0 and quality.get("known_items", 0) > 0:
        ratio = float(quality["reranked_mrr"]) / max(float(quality["bm25_mrr"]), 1e-9)
        gates.append(Gate("reranked_mrr_over_bm25", ratio, settings.reranked_over_bm25))
    return gates


def publish(store: Store, collection: str, ref: Ref, gates: list[Gate], *, reason: str = "") -> Publication:
    """Moves the pointer of a collection's index to a candidate whose gates hold."""
    return Pointer(store, collection, PRODUCT).promote(ref, gates=gates, reason=reason)
