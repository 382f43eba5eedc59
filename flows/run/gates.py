"""The gates that a product must pass before it becomes live, and its publication. Imports no Prefect."""

from fingerpost.flows.domains import products, publisher_of
from fingerpost.flows.domains.domain import named
from fingerpost.flows.run.replay import Replay, replay
from fingerpost.flows.run.settings import CommonSettings, ReplaySettings
from fingerpost.schemas.comparison import Comparison, unmeasured
from fingerpost.schemas.errors import FingerpostError, GateError, PublicationConflictError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate, Pointer, Publication
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: The gates of the replay of real queries, which an operator may overrule with a reason.
REPLAY_GATES = ("replay_overlap", "replay_ndcg_drop")


def gates_of(ref: Ref, manifest: Manifest, settings: CommonSettings) -> list[Gate]:
    """The gates of a product by the settings of its domain, without those of the replay."""
    gates: list[Gate] = named(products()[ref.name].gates)(manifest, _limits(ref, settings))
    return gates


def compared_with_live(store: Store, live: Publication | None, ref: Ref, settings: CommonSettings) -> list[Gate]:
    """The gates of a product against the live version; none where nothing is live, or this version is."""
    declared = products()[ref.name].compared
    if live is None or live.ref == str(ref) or not declared:
        return []
    try:
        found: list[Gate] = named(declared)(store, live.artifact, ref, _limits(ref, settings))
    except FingerpostError as problem:
        # A live version that cannot be read must not hinder the one that replaces it.
        return [unmeasured("against_live", " ".join(str(problem).split()))]
    return found


def accepted(gates: list[Gate], reason: str) -> tuple[str, ...]:
    """The gates that a reason for the change overrules: those against the live version."""
    return tuple(gate.name for gate in gates if isinstance(gate, Comparison)) if reason else ()


def held_back(ref: Ref, collection: str, gates: list[Gate], settings: CommonSettings) -> str:
    """Why a product that misses a gate is not published and its run goes on; empty if it passes or the run fails."""
    missed = "; ".join(str(gate) for gate in gates if not gate.holds)
    product = products()[ref.name]
    if not missed or not product.on_missed or named(product.on_missed)(collection, _limits(ref, settings)) == "fail":
        return ""
    return f"The {product.title} is not published: {missed}; what is live stays, and the run goes on"


def _limits(ref: Ref, settings: CommonSettings) -> object:
    """The limits of a product: the section ``gates`` of its domain's settings."""
    return getattr(settings, publisher_of(ref.name).word).gates


def replay_with_live(store: Store, collection: str, ref: Ref, settings: ReplaySettings) -> Replay | None:
    """The profile's queries answered by a candidate and by the live version.

    None where the product is not replayed before it is published, there are no queries, or it is live already. A live
    version of earlier code that cannot be asked any more keeps no candidate from replacing it.
    """
    live = Pointer(store, collection, ref.name).live()
    if not products()[ref.name].replayed or not settings.queries or (live is not None and live.ref == str(ref)):
        return None
    return replay(store, ref, live.artifact if live else None, file=settings.queries, k=settings.k, both=False)


def replay_gates(found: Replay | None, settings: ReplaySettings) -> list[Gate]:
    """The gates of a replay; where nothing is live, the judged metric is recorded without a limit."""
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
    beside: Publication | None = None,
) -> Publication:
    """Moves the pointer of a collection's product to a candidate that passes its gates.

    GateError for one that does not; for a replay it names the queries that changed most. ``despite`` are gates that may
    be missed: an operator's decision, which is kept with the reason. The version that a replay compared with must still
    be live, and so must ``beside``, the one that gates compared with, if there is one.
    """
    pointer = Pointer(store, collection, ref.name)
    live = pointer.live()
    if beside is not None and (live is None or live.generation != beside.generation):
        raise PublicationConflictError(
            f"{collection}/{ref.name}: expected generation {beside.generation} to be live as when it was compared with,"
            f" found {live.generation if live else 'nothing'}; promote again"
        )
    if replayed is not None and replayed.beside != (live.ref if live else None):
        raise PublicationConflictError(
            f"{collection}/{ref.name}: expected {replayed.beside or 'nothing'} to be live as when queries were replayed,"
            f" found {live.ref if live else 'nothing'}; promote again"
        )
    try:
        return pointer.promote(ref, gates=gates, reason=reason, after=live.generation if live else 0, despite=despite)
    except GateError as problem:
        missed = [gate for gate in gates if not gate.holds and gate.name not in despite]
        said = str(problem)
        if replayed is not None and any(gate.name in REPLAY_GATES for gate in missed):
            said += f"; answers that changed most: {replayed.worst()}"
        if any(isinstance(gate, Comparison) for gate in missed):
            said += '; if the change is meant, --accept-change "REASON" publishes it'
        raise GateError(said) from problem
