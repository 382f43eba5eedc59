"""The commands that show the state of a store or move live versions. Imports no Prefect."""

import json
import secrets
from dataclasses import asdict
from typing import Any

from fingerpost.flows.domains import products
from fingerpost.flows.run.console import TextTable, table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.errors import FingerpostError, UsageError
from fingerpost.schemas.leases import lease
from fingerpost.schemas.publish import Pointer, published_collection
from fingerpost.schemas.publish import products as published
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.remembered import remembered_inputs, remembering
from fingerpost.schemas.store import Store
from fingerpost.schemas.strangers import strangers
from fingerpost.schemas.wording import some
from fingerpost.tasks.ledger import runs


def show_status(store: Store, *, as_json: bool) -> None:
    """Prints the live versions, the newest run of every collection, and what cannot be read or does not belong."""
    live: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for collection, product in published(store):
        try:
            if (newest_move := Pointer(store, collection, product).live()) is not None:
                live[f"{collection}/{product}"] = asdict(newest_move)
        except FingerpostError as problem:
            problems.append(str(problem))
    strays = strangers(store)
    newest: dict[str, dict[str, Any]] = {}
    for record in runs(store, newest=200):
        newest.setdefault(record["collection"], record)
    inputs = _inputs(store, problems)
    if as_json:
        body = {"store": store.url, "live": live, "runs": newest, "inputs": inputs}
        echo_json({**body, "problems": problems, "strangers": strays})
        return
    console = wide_console()
    console.tell(f"store {store.url}")
    table = _table("live", "generation", "since", "by", "artifact")
    for name, move in live.items():
        table.add_row(name, str(move["generation"]), move["at"], move["action"], move["ref"])
    console.print(table if live else "nothing is live")
    table = _table("newest run of", "flow", "day", "state", "ended", "seconds", "stages run")
    for name, record in newest.items():
        table.add_row(
            name,
            record["flow"],
            record["day"],
            record["state"],
            record["at"],
            f"{record['seconds']:.1f}",
            f"{sum(s['computed'] for s in record['stages'])} of {len(record['stages'])}",
        )
    console.print(table if newest else "no runs yet")
    table = _table("inputs of", "setting", "remembered", "day")
    for name, remembered in inputs.items():
        for entry in remembered.values():
            for setting, value in entry["values"].items():
                table.add_row(name, setting, value if isinstance(value, str) else json.dumps(value), entry["day"])
    if inputs:
        console.print(table)
    for name, record in newest.items():
        if record["error"]:
            console.tell((name, "red"), f": {record['error']}")
    for text in problems:
        console.tell(text)
    if strays:
        console.tell(f"does not belong in the store, and is ignored: {some(strays, 20)}; move it away")


def _inputs(store: Store, problems: list[str]) -> dict[str, dict[str, Any]]:
    """The inputs that collections remember; a record that cannot be read is added to the problems."""
    found = {}
    for collection in remembering(store):
        try:
            entries = remembered_inputs(store, collection)
            found[collection] = {setting: asdict(entry) for setting, entry in entries.items()}
        except FingerpostError as problem:
            problems.append(str(problem))
    return found


def show_history(store: Store, *, newest: int, as_json: bool) -> None:
    """Prints the newest runs, and every move of every pointer."""
    records = runs(store, newest=newest)
    moves: dict[str, list[dict[str, Any]]] = {}
    for collection, product in published(store):
        try:
            moves[f"{collection}/{product}"] = [asdict(move) for move in Pointer(store, collection, product).history()]
        except FingerpostError as problem:
            leave_out(problem)
    if as_json:
        echo_json({"runs": records, "publications": moves})
        return
    console = wide_console()
    table = _table("run", "flow", "collection", "day", "state", "seconds", "stages run", "why")
    for record in records:
        ran = [s for s in record["stages"] if s["computed"]]
        table.add_row(
            record["id"],
            record["flow"],
            record["collection"],
            record["day"],
            record["state"],
            f"{record['seconds']:.1f}",
            f"{len(ran)} of {len(record['stages'])}",
            _why(record),
        )
    console.print(table)
    for name, line in moves.items():
        table = _table(name, "action", "at", "by", "artifact", "reason")
        for move in line:
            table.add_row(str(move["generation"]), move["action"], move["at"], move["by"], move["ref"], move["reason"])
        console.print(table)


def _why(record: dict[str, Any]) -> str:
    """The error of a run, or the reasons why its stages ran, without those that only followed another one."""
    if record.get("error"):
        return str(record["error"])
    ran = [stage for stage in record["stages"] if stage["computed"]]
    followed = [
        stage for stage in ran if stage["reason"].startswith("input changed") and "(source)" not in stage["reason"]
    ]
    causes = sorted({f"{stage['stage']}: {stage['reason']}" for stage in ran if stage not in followed})
    if len({cause.partition(": ")[2] for cause in causes}) == 1 and len(causes) > 1:
        causes = [causes[0].partition(": ")[2]]
    if followed:
        causes.append(f"{len(followed)} that follow")
    return "; ".join(causes) or "all reused"


def promote(
    store: Store,
    reference: str,
    *,
    collection: str | None,
    profile: str,
    reason: str,
    despite: str = "",
    accept_change: str = "",
) -> str:
    """Makes a product live if it is complete and passes its gates.

    ``despite`` "replay" overrules the replay's gates, and ``accept_change``, a reason, those against what is live.
    """
    from fingerpost.flows.run.collections import asked_profile
    from fingerpost.flows.run.gates import (
        REPLAY_GATES,
        accepted,
        compared_with_live,
        gates_of,
        publish,
        replay_gates,
        replay_with_live,
    )
    from fingerpost.flows.run.profiles import load_settings

    if despite not in {"", "replay"}:
        raise UsageError(f"--despite: expected replay, got {despite!r}; only the replay's gates can be overruled")
    if despite and not reason.strip():
        raise UsageError("--despite: expected --reason with it, found none; give a reason for the audit log")
    ref = Ref.parse(reference)
    if ref.name not in products():
        raise UsageError(
            f"promote: expected an artifact {' or '.join(products())}, got {ref}; see `fingerpost history`"
        )
    manifest = store.manifest(ref)
    name = collection or str(manifest.run.get("collection") or published_collection(store, product=ref.name))
    settings, _ = load_settings(asked_profile(profile, store=store.url, collection=name))
    live, change = Pointer(store, name, ref.name).live(), " ".join(accept_change.split())
    compared = compared_with_live(store, live, ref, settings)
    replayed = replay_with_live(store, name, ref, settings.replay)
    gates = gates_of(ref, manifest, settings) + compared + replay_gates(replayed, settings.replay)
    overruled = (*(REPLAY_GATES if despite else ()), *accepted(gates, change))
    said = ", ".join(text for text in (change, reason) if text)
    with lease(store, f"promote-{secrets.token_hex(6)}", flow="promote", collection=name, day=ref.day):
        move = publish(store, name, ref, gates, reason=said, replayed=replayed, despite=overruled, beside=live)
    return f"{name}/{ref.name}: {move.ref} is live, generation {move.generation}"


def roll_back(store: Store, *, collection: str | None, reason: str, product: str) -> str:
    """Makes the previously live version of a product live again."""
    name = published_collection(store, collection, product=product)
    move = Pointer(store, name, product).rollback(reason=reason)
    return f"{name}/{product}: {move.ref} is live again, generation {move.generation}"


def _table(*columns: str) -> TextTable:
    table = table_of("", *columns)
    for column in table.columns:
        column.no_wrap = column.header in {"flow", "day", "state", "seconds", "action", "at", "since", "generation"}
    return table
