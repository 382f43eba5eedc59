"""Tells people what they should know of: days that are late, runs that crashed, and alerts that could not be delivered."""

import logging
from datetime import UTC, datetime

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.run.alerts import redeliver
from flows.run.crashes import tell_of_prefect_runs
from flows.run.failures import tell_of_dead_runs, tell_of_late_days
from flows.run.freshness import Deadline, Freshness, named_freshness, scheduled_freshness
from flows.run.profiles import load_settings
from schemas.errors import FingerpostError
from schemas.refs import checked_name
from schemas.store import Store, find_store

_log = logging.getLogger("fingerpost.watch")


class WatchRequest(BaseModel):
    """What to watch beside the days that schedules run in the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str = Field(default="nightly", description="whose deadline and time zone hold for named collections")
    flows: tuple[str, ...] = Field(default=("nightly",), description="flows whose failures and crashes are told")
    collections: tuple[str, ...] = Field(
        default=(),
        description="collections that these flows must have run for, even if no schedule ever asked for them",
    )
    store: str = Field(default="", description="folder or fsspec URL; empty is what FINGERPOST_STORE names")


@flow(name="watch_freshness", persist_result=False, retries=0)
def watch_freshness(request: WatchRequest = WatchRequest()) -> None:
    """Tells once of each late day and each crashed run; tries again what the webhook did not take."""
    settings, _ = load_settings(request.profile, overrides={"store": request.store} if request.store else {})
    store, now = Store(settings.store or find_store()).prepare(), datetime.now(UTC)
    outcomes = redeliver(store, now=now)
    tell_of_dead_runs(store)
    try:
        tell_of_prefect_runs(store, request.flows, now=now)
    except Exception as problem:
        # Late days are told of even while the server has trouble.
        _log.warning("the server could not be asked for its runs: %s", problem)
    found = watched(store, request, now=now)
    for one in found:
        tell_of_late_days(store, one, now=now)
    create_table_artifact(
        table=[_row(one) for one in found], key="freshness", description=f"as of {now:%Y-%m-%d %H:%M} UTC"
    )
    failed = {name: why for name, why in outcomes.items() if why != "sent"}
    if failed:
        raise FingerpostError(f"alerts: expected the webhook to take {len(failed)}, got {next(iter(failed.values()))}")


def watched(store: Store, request: WatchRequest, *, now: datetime) -> list[Freshness]:
    """The freshness of what a request names, and of what else schedules run."""
    settings, _ = load_settings(request.profile)
    named = [(checked_name(name), collection) for name in request.flows for collection in request.collections]
    found = {(one.flow, one.collection): one for one in scheduled_freshness(store, now=now)}
    for name, collection in named:
        if (name, collection) not in found:
            found[name, collection] = named_freshness(store, name, collection, Deadline.of(settings), now=now)
    return list(found.values())


def _row(one: Freshness) -> dict[str, str]:
    return {
        "flow": one.flow,
        "collection": one.collection,
        "newest day": one.newest,
        "due": one.due,
        "since": one.deadline,
        "late": ", ".join(f"{late.day} ({late.state})" for late in one.late),
    }
