"""What people are told when a run fails, crashes, or a day is late. Imports no Prefect."""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flows.domains.settings import Settings
from flows.run.alerts import Alert, WebhookError, alerts, post, tell, without_secrets
from flows.run.freshness import Deadline, Freshness
from schemas.leases import Lease, records
from schemas.store import Store
from tasks.ledger import run_ids

#: The ids of flow runs, apart from those of commands that hold a lease too.
_RUN = re.compile(r"\d{8}t\d{6}")
_log = logging.getLogger("fingerpost.alerts")


def occasion(prefect: Mapping[str, Any], run: str) -> str:
    """What tells two failures of one day apart: Prefect's run and attempt, or the run itself where there is none."""
    return f"{prefect['id']}-{prefect.get('attempt', 1)}" if prefect.get("id") else run.lower()


def tell_of_failure(store: Store, record: Mapping[str, Any]) -> None:
    """Tells of a run that ended in an error; not of one that completed, was stopped or is tried again. It never raises."""
    prefect = record.get("prefect") or {}
    if record["state"] != "failed" or not record.get("error_kind") or prefect.get("tried_again"):
        return
    flow, collection, day = record["flow"], record["collection"], record["day"]
    text = f"Fingerpost: {flow} of {collection} failed for {day}: {record['error']}"
    name = occasion(prefect, record["id"])
    _told(store, Alert("failed", flow, collection, day, text, occasion=name, run=record["id"]))


def tell_of_crash(store: Store, flow: str, settings: Settings, *, name: str, reason: str, since: datetime) -> bool:
    """Tells of a run whose process is gone, under the occasion ``name``; whether that is news.

    It is none if another has told of a crash of this day since the run began. Where the run left a lease, its alert goes
    under the lease's name, so that all who notice agree on it.
    """
    collection, day = settings.input.collection, settings.day
    left = [run for run in dead_runs(store) if (run.flow, run.collection, run.day) == (flow, collection, day)]
    if left:
        return bool([run for run in left if _tell_of_dead(store, run)])
    if _known(store, flow, collection, day, since):
        return False
    return _told(store, _crash(flow, collection, day, reason, name))


def tell_of_dead_runs(store: Store) -> list[str]:
    """Tells of the runs that ended without a word; the ids of those that are news."""
    return [run.run for run in dead_runs(store) if _tell_of_dead(store, run)]


def dead_runs(store: Store) -> list[Lease]:
    """The leases of flow runs whose process is gone and that left no record."""
    ended = {run.lower() for run in run_ids(store)}
    return [
        found
        for found in records(store).values()
        if _RUN.match(found.run) and found.run not in ended and not found.alive()
    ]


def _tell_of_dead(store: Store, run: Lease) -> bool:
    began = datetime.fromtimestamp(run.started, UTC)
    if _known(store, run.flow, run.collection, run.day, began):
        return False
    reason = f"process {run.pid} on {run.host}, at work since {began.isoformat(timespec='seconds')}, is gone"
    return _told(store, _crash(run.flow, run.collection, run.day, reason, run.run))


def _crash(flow: str, collection: str, day: str, reason: str, name: str) -> Alert:
    text = f"Fingerpost: {flow} of {collection} crashed for {day}: {reason}; run it again, it goes on where it was"
    return Alert("crashed", flow, collection, day, text, occasion=name)


def _known(store: Store, flow: str, collection: str, day: str, since: datetime) -> bool:
    wanted = ("crashed", flow, collection, day)
    return any(
        tuple(found.get(key) for key in ("kind", "flow", "collection", "day")) == wanted
        and datetime.fromisoformat(found["at"]) >= since
        for found in alerts(store, prefix=f"crashed-{flow}-{collection}-{day}")
    )


def tell_of_late_days(store: Store, found: Freshness, *, now: datetime) -> list[str]:
    """Tells once of each late day; the days that are news."""
    news = []
    for late in found.late:
        why = f", its last run failed: {late.error}" if late.error else ""
        text = f"Fingerpost: {found.flow} of {found.collection} is late: {late.day} was due at {late.since}{why}"
        if tell(store, Alert("late", found.flow, found.collection, late.day, text), now=now):
            news.append(late.day)
    return news


def deadline_kept(settings: Settings, prefect: Mapping[str, Any]) -> dict[str, Any] | None:
    """The deadline that a scheduled run leaves in its partition's record; None where nobody scheduled it."""
    return asdict(Deadline.of(settings)) if prefect.get("scheduled") else None


def _told(store: Store, alert: Alert) -> bool:
    try:
        return tell(store, alert)
    except Exception:
        _log.warning("the alert %s could not be kept", alert.name, exc_info=True)
        # A store that takes no alert is all the more a reason to tell somebody.
        with suppress(WebhookError):
            return post(
                without_secrets(alert.text),
                {"kind": alert.kind, "flow": alert.flow, "collection": alert.collection, "day": alert.day},
            )
        return False
