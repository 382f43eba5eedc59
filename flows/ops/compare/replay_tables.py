"""The `replay` command: changes of the answers to real queries by a candidate. Imports no Prefect."""

from rich.console import Console
from rich.markup import escape

from fingerpost.flows.ops.compare.diff_tables import table_of
from fingerpost.flows.ops.compare.versions import find_product
from fingerpost.flows.run.console import wide_console
from fingerpost.flows.run.gates import replay_gates
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.replay import Replay, replay
from fingerpost.schemas.errors import FingerpostError, MissingArtifactError
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
        raise FingerpostError("replay: expected one of --candidate and --live, got both; give one")
    settings = load_settings(profile)[0].replay
    name = published_collection(store, collection, product=product)
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
    console.print(
        f"candidate {replayed.candidate}\nlive      {replayed.live or 'not compared'}", soft_wrap=True, markup=False
    )
    console.print(
        f"{len(replayed.queries):,} queries of {replayed.file}, first {replayed.k} answers",
        soft_wrap=True,
        markup=False,
    )
    for gate in gates:
        console.print(f"{'passed' if gate.holds else 'MISSED'} {gate}", markup=False)
    if replayed.unknown_judged:
        some = f"{', '.join(replayed.unknown_judged[:4])}{' …' if len(replayed.unknown_judged) > 4 else ''}"
        console.print(f"{len(replayed.unknown_judged)} judged ids are in no version compared: {some}", markup=False)
    if not replayed.changed:
        if replayed.live:
            console.print("no answer changed")
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
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
    if len(replayed.changed) > _SHOWN:
        console.print(f"and {len(replayed.changed) - _SHOWN:,} more; --json lists all")


def _answers(console: Console, replayed: Replay) -> None:
    """The first answers of one version."""
    table = table_of("\nanswers", "query", "nDCG>", "first answers")
    for query in replayed.queries[:_SHOWN]:
        figure = "" if query.ndcg_candidate is None else f"{query.ndcg_candidate:.3f}"
        table.add_row(*(escape(cell) for cell in (query.query, figure, ", ".join(query.candidate[:4]))))
    console.print(table)


def _newest(store: Store, collection: str, product: str) -> Ref:
    newest = Ledger(store, collection).latest(product)
    if newest is None:
        raise MissingArtifactError(
            f"replay: expected an artifact {product} of {collection}, found none; run `fingerpost run nightly`"
        )
    return newest
