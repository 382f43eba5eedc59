"""The gates that an index, a ranker or a threshold must pass before it becomes live. Imports no Prefect."""

from collections.abc import Callable

from flows.run.replay import Replay, replay
from flows.run.settings import GateSettings, ReplaySettings
from schemas.errors import GateError, PublicationConflictError
from schemas.inputs import SAMPLE
from schemas.manifests import Manifest
from schemas.metric import THRESHOLD as _THRESHOLD
from schemas.publish import Gate, Pointer, Publication
from schemas.refs import Ref
from schemas.store import Store
from schemas.xmr import RANKER as _RANKER
from tasks.ann.open import PRODUCT

RANKER = _RANKER.name
THRESHOLD = _THRESHOLD.name

#: The gates that real queries decide, all of which an operator may overrule with a reason.
REPLAY_GATES = ("replay_overlap", "replay_ndcg_drop")


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


def ranker_gates(manifest: Manifest, settings: GateSettings) -> list[Gate]:
    """What a ranker must fulfil; where no query was held out to test, the figure bounds nothing."""
    quality = manifest.quality
    gates = [
        Gate("ranker_labels", float(quality["labels"]), float(settings.ranker_labels)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    sample = manifest.run["collection"] == SAMPLE
    least = settings.sample_ranker_recall_at_10 if sample else settings.ranker_recall_at_10
    if quality["tested"]:
        gates.append(Gate("ranker_recall_at_10", float(quality.get("recall_at_10", 0.0)), least))
    return gates


def threshold_gates(manifest: Manifest, settings: GateSettings) -> list[Gate]:
    """What a threshold must fulfil on the classes that it was not chosen on; a target of 0 has no multiple.

    What it costs is the other rate than the one that it keeps: a threshold that hardly anything passes is of no use.
    """
    quality = manifest.quality
    gates = [
        Gate("threshold_classes", float(quality["test_classes"]), float(settings.threshold_classes)),
        Gate("quarantine_share", float(quality["quarantine_share"]), settings.quarantine_share, "at_most"),
    ]
    if settings.threshold_rate and quality["share"]:
        ratio = float(quality[f"test_{quality['rate']}"]) / float(quality["share"])
        gates.append(Gate("threshold_rate_over_target", ratio, settings.threshold_rate, "at_most"))
    cost, most = ("frr", settings.threshold_frr) if quality["rate"] == "far" else ("far", settings.threshold_far)
    if most < 1:
        gates.append(Gate(f"threshold_{cost}", float(quality[f"test_{cost}"]), most, "at_most"))
    if settings.threshold_recall_at_1:
        found = float(quality.get("recall_at_1", 0.0))
        gates.append(Gate("threshold_recall_at_1", found, settings.threshold_recall_at_1))
    return gates


def kept_back(ref: Ref, collection: str, gates: list[Gate], settings: GateSettings) -> str:
    """Why a product that misses a gate is left unpublished without failing its run; empty if it holds or is to fail."""
    missed = "; ".join(str(gate) for gate in gates if not gate.holds)
    reaction = settings.sample_threshold_missed if collection == SAMPLE else settings.threshold_missed
    if not missed or ref.name != THRESHOLD or reaction == "fail":
        return ""
    return f"The threshold is not published: {missed}; what is live stays, and the run goes on"


#: The gates of each product, but for those that real queries decide.
GATES: dict[str, Callable[[Manifest, GateSettings], list[Gate]]] = {
    PRODUCT: lambda manifest, settings: index_gates(manifest, settings),
    RANKER: ranker_gates,
    THRESHOLD: threshold_gates,
}


def replay_beside_live(store: Store, collection: str, ref: Ref, settings: ReplaySettings) -> Replay | None:
    """The profile's queries answered by a candidate index and by what is live; None where there are no queries, or it is live
    already.
    """
    live = Pointer(store, collection, ref.name).live()
    if ref.name != PRODUCT or not settings.queries or (live is not None and live.ref == str(ref)):
        return None
    return replay(store, ref, live.artifact if live else None, file=settings.queries, k=settings.k)


def replay_gates(found: Replay | None, settings: ReplaySettings) -> list[Gate]:
    """What real queries must fulfil; where nothing is live, the judged figure is recorded and bounds nothing."""
    figures = found.figures if found else {}
    gates = []
    if "overlap" in figures:
        gates.append(Gate("replay_overlap", figures["overlap"], settings.overlap))
    if "ndcg_drop" in figures:
        gates.append(Gate("replay_ndcg_drop", figures["ndcg_drop"], settings.judged_drop, "at_most"))
    elif "ndcg_candidate" in figures:
        gates.append(Gate("replay_ndcg", figures["ndcg_candidate"], 0.0))
    return gates


def publish(
    store: Store,
    collection: str,
    ref: Ref,
    gates: list[Gate],
    *,
    reason: str = "",
    replayed: Replay | None = None,
    despite: tuple[str, ...] = (),
) -> Publication:
    """Moves the pointer of a collection's index or ranker to a candidate whose gates hold.

    GateError for one that does not; of a replay it names the queries that changed most. ``despite`` are gates that may be
    missed: an operator's decision, which is kept with the reason. What a replay was compared with must still be live.
    """
    pointer = Pointer(store, collection, ref.name)
    live = pointer.live()
    if replayed is not None and replayed.live != (live.ref if live else None):
        raise PublicationConflictError(
            f"{collection}/{ref.name}: expected {replayed.live or 'nothing'} to be live as when queries were replayed,"
            f" found {live.ref if live else 'nothing'}; promote again"
        )
    try:
        return pointer.promote(ref, gates=gates, reason=reason, after=live.generation if live else 0, despite=despite)
    except GateError as problem:
        missed = [gate.name for gate in gates if not gate.holds and gate.name in REPLAY_GATES]
        if replayed is None or not missed:
            raise
        raise GateError(f"{problem}; answers that changed most: {replayed.worst()}") from problem
