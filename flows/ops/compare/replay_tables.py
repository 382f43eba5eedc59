"""The `replay` command: changes of the answers to real queries by a candidate. Imports no Prefect."""

from fingerpost.flows.domains import publisher_of
from fingerpost.flows.ops.compare.versions import find_product
from fingerpost.flows.run.console import TextConsole, table_of, wide_console
from fingerpost.flows.run.gates import replay_gates
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.replay import Replay, replay
from fingerpost.schemas.errors import MissingArtifactError, UsageError
from fingerpost.schemas.publish import Gate, Pointer, published_collection
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import Ledger

_SHOWN = 20


def compare_with_live(
    store: Store,
    queries: str,
    *,
    product: str,
    candidate: str,
    live_alone: bool,
    k: int,
    profile: str,
    collection: str | None,
) -> tuple[Replay, list[Gate]]:
    """Replays a file of queries with a product, and shows which gates would pass."""
    if candidate and live_alone:
        raise UsageError("replay: expected one of --candidate and --live, got both; give one")
    name = published_collection(store, collection, product=product)
    flow = publisher_of(product).flow_name
    from fingerpost.flows.run.collections import asked_profile  # imported here: it starts Prefect

    settings = load_settings(asked_profile(profile, store=store.url, flow=flow, collection=name))[0].replay
    pointer = Pointer(store, name, product)
    if live_alone:
        ours, theirs = pointer.required().artifact, None
    else:
        current = pointer.live()
        if candidate:
            ours = find_product(store, candidate, collection=name, product=product)
        else:
            ours = _newest(store, name, product)
        theirs = current.artifact if current else None
    replayed = replay(store, ours, theirs, file=queries, k=k or settings.k)
    return replayed, replay_gates(replayed, settings)


def show_replay(replayed: Replay, gates: list[Gate]) -> None:
    """Prints the metrics, the gates, and the queries whose answers changed, worst first."""
    console = wide_console()
    console.tell(f"candidate {replayed.candidate}")
    console.tell(f"live      {replayed.live or 'not compared'}")
    console.tell(
        f"{len(replayed.queries):,} queries of {replayed.file}, first {replayed.k} answers",
    )
    for gate in gates:
        console.tell(f"{'passed' if gate.holds else 'MISSED'} {gate}")
    if replayed.unknown_judged:
        some = f"{', '.join(replayed.unknown_judged[:4])}{' …' if len(replayed.unknown_judged) > 4 else ''}"
        console.tell(f"{len(replayed.unknown_judged)} judged ids are in no version compared: {some}")
    if not replayed.changed:
        if replayed.live:
            console.tell("no answer changed")
        else:
            _answers(console, replayed)
        return
    table = table_of(
        f"\n{len(replayed.changed):,} queries with other answers",
        "query",
        "overlap>",
        "nDCG>",
        "lost",
        "gained",
        "judged",
    )
    for query in replayed.changed[:_SHOWN]:
        judged = [p for p in query.judged if p.grade and p.live != p.candidate]
        change = (
            ""
            if query.ndcg_live is None or query.ndcg_candidate is None
            else f"{query.ndcg_live:.3f} → {query.ndcg_candidate:.3f}"
        )
        cells = (
            query.query,
            f"{query.overlap:.2f}",
            change,
            ", ".join(query.lost[:4]),
            ", ".join(query.gained[:4]),
            ", ".join(f"{p.id} {p.live or 'none'} → {p.candidate or 'none'}" for p in judged[:4]),
        )
        table.add_row(*cells)
    console.print(table)
    if len(replayed.changed) > _SHOWN:
        console.tell(f"and {len(replayed.changed) - _SHOWN:,} more; --json lists all")


def _answers(console: TextConsole, replayed: Replay) -> None:
    """The first answers of one version."""
    table = table_of("\nanswers", "query", "nDCG>", "first answers")
    for query in replayed.queries[:_SHOWN]:
        figure = "" if query.ndcg_candidate is None else f"{query.ndcg_candidate:.3f}"
        table.add_row(query.query, figure, ", ".join(query.candidate[:4]))
    console.print(table)


def _newest(store: Store, collection: str, product: str) -> Ref:
    newest = Ledger(store, collection).latest(product)
    if newest is None:
        raise MissingArtifactError(
            f"replay: expected an artifact {product} of {collection}, found none; run `fingerpost run nightly`"
        )
    return newest
