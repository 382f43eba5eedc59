"""Alerts of runs that failed or crashed, and of late days. Imports no Prefect."""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.alerts import Alert, WebhookError, alerts, post, raise_alert, without_secrets
from fingerpost.flows.run.freshness import Deadline, Freshness
from fingerpost.flows.run.loggers import warn
from fingerpost.schemas.leases import Lease, records
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import run_ids

#: The ids of flow runs; commands that hold a lease have other ids.
_RUN = re.compile(r"\d{8}t\d{6}")
_log = logging.getLogger("fingerpost.alerts")


def occasion(prefect: Mapping[str, Any], run: str) -> str:
    """What distinguishes two failures of one day: Prefect's run and attempt, or the run's id outside of Prefect."""
    return f"{prefect['id']}-{prefect.get('attempt', 1)}" if prefect.get("id") else run.lower()


def alert_of_failure(store: Store, record: Mapping[str, Any]) -> None:
    """Raises an alert of a failed run, unless it was stopped or will be retried. Never raises an error."""
    prefect = record.get("prefect") or {}
    if record["state"] != "failed" or not record.get("error_kind") or prefect.get("tried_again"):
        return
    flow, collection, day = record["flow"], record["collection"], record["day"]
    text = f"Fingerpost: {flow} of {collection} failed for {day}: {record['error']}"
    name = occasion(prefect, record["id"])
    _raised(store, Alert("failed", flow, collection, day, text, occasion=name, run=record["id"]))


def alert_of_crash(store: Store, flow: str, settings: Settings, *, name: str, reason: str, since: datetime) -> bool:
    """Raises an alert of a run whose process is gone, under the occasion ``name``; returns whether it is new.

    It is not new if a crash of this day was reported since the run began. Where the run left a lease, its alert goes
    under the lease's name, so that all who notice agree on it.
    """
    collection, day = settings.input.collection, settings.day
    left = [run for run in dead_runs(store) if (run.flow, run.collection, run.day) == (flow, collection, day)]
    if left:
        return bool([run for run in left if _alert_of_dead(store, run)])
    if _known(store, flow, collection, day, since):
        return False
    return _raised(store, _crash(flow, collection, day, reason, name))


def alert_of_dead_runs(store: Store) -> list[str]:
    """Raises alerts of the runs that died without a record; returns the ids of those that are new."""
    return [run.run for run in dead_runs(store) if _alert_of_dead(store, run)]


def dead_runs(store: Store) -> list[Lease]:
    """The leases of flow runs whose process is gone and that left no record."""
    ended = {run.lower() for run in run_ids(store)}
    return [
        found
        for found in records(store).values()
        if _RUN.match(found.run) and found.readable and found.run not in ended and not found.alive()
    ]


def _alert_of_dead(store: Store, run: Lease) -> bool:
    began = datetime.fromtimestamp(run.started, UTC)
    if _known(store, run.flow, run.collection, run.day, began):
        return False
    reason = f"process {run.pid} on {run.host}, at work since {began.isoformat(timespec='seconds')}, is gone"
    return _raised(store, _crash(run.flow, run.collection, run.day, reason, run.run))


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


def alert_of_late_days(store: Store, found: Freshness, *, now: datetime) -> list[str]:
    """Raises one alert per late day; returns the days that are new."""
    news = []
    for late in found.late:
        why = f", its last run failed: {late.error}" if late.error else ""
        text = f"Fingerpost: {found.flow} of {found.collection} is late: {late.day} was due at {late.since}{why}"
        if raise_alert(store, Alert("late", found.flow, found.collection, late.day, text), now=now):
            news.append(late.day)
    return news


def deadline_kept(settings: Settings, prefect: Mapping[str, Any]) -> dict[str, Any] | None:
    """The deadline that a scheduled run leaves in its partition's record; None for a run that no schedule started."""
    return asdict(Deadline.of(settings)) if prefect.get("scheduled") else None


def _raised(store: Store, alert: Alert) -> bool:
    try:
        return raise_alert(store, alert)
    except Exception as problem:
        warn(_log, f"the alert of {alert.flow} of {alert.collection}, {alert.day}, could not be stored", problem)
        # A store that cannot be written to is all the more a reason to alert somebody.
        with suppress(WebhookError):
            return post(
                without_secrets(alert.text),
                {"kind": alert.kind, "flow": alert.flow, "collection": alert.collection, "day": alert.day},
            )
        return False
