"""The flow that raises alerts of late days and crashed runs, and retries alerts that could not be delivered."""

import logging
from datetime import UTC, datetime

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from fingerpost.flows.ops.watch.states import with_states
from fingerpost.flows.run.alerts import redeliver
from fingerpost.flows.run.crashes import alert_of_prefect_runs
from fingerpost.flows.run.day_states import keep_states, kept_states
from fingerpost.flows.run.days_page import show_days
from fingerpost.flows.run.failures import alert_of_dead_runs, alert_of_late_days
from fingerpost.flows.run.freshness import Deadline, Freshness, named_freshness, scheduled_freshness, unscheduled
from fingerpost.flows.run.loggers import warn
from fingerpost.flows.run.page import show_table
from fingerpost.flows.run.planned_names import name_planned_runs
from fingerpost.flows.run.profiles import load_settings
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import checked_name
from fingerpost.schemas.store import Store, find_store

_log = logging.getLogger("fingerpost.watch")


class WatchRequest(BaseModel):
    """What to watch in addition to the scheduled days of the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str = Field(
        default="nightly", description="profile whose deadline and time zone apply to the named collections"
    )
    flows: tuple[str, ...] = Field(default=("nightly",), description="flows whose failures and crashes raise alerts")
    collections: tuple[str, ...] = Field(
        default=(),
        description="collections that these flows must have run for, even without a schedule",
    )
    store: str = Field(default="", description="folder or fsspec URL; empty is what FINGERPOST_STORE names")


def named() -> str:
    """The name of the starting flow run: the moment at which it looks."""
    return f"watch_freshness {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


@flow(name="watch_freshness", flow_run_name=named, persist_result=False, retries=0)
def watch_freshness(request: WatchRequest = WatchRequest()) -> None:
    """Raises one alert per late day and crashed run; retries the alerts that the webhook did not accept.

    Keeps the states of recent days in the store, for the metrics; renews the calendars in which one changed, and gives
    planned runs their names.
    """
    settings, _ = load_settings(request.profile, overrides={"store": request.store} if request.store else {})
    store, now = Store(settings.store or find_store()).prepare(), datetime.now(UTC)
    outcomes = redeliver(store, now=now)
    alert_of_dead_runs(store)
    try:
        alert_of_prefect_runs(store, request.flows, now=now)
    except Exception as problem:
        # Alerts of late days are raised even if the server has trouble.
        _log.warning("the server's runs could not be read: %s", problem)
    try:
        name_planned_runs()
    except Exception as problem:
        warn(_log, "planned runs keep the names that the server gave them", problem)
    entries = watched(store, request, now=now)
    for entry in entries:
        alert_of_late_days(store, entry, now=now)
    entries = [with_states(store, entry) for entry in [*entries, *unscheduled(store, entries, now=now)]]
    for entry in entries:
        _renew(store, entry, now=now)
    show_table([row_of(entry) for entry in entries], key="freshness", description=f"as of {now:%Y-%m-%d %H:%M} UTC")
    failed = {name: why for name, why in outcomes.items() if why != "sent"}
    if failed:
        raise FingerpostError(
            f"alerts: expected the webhook to accept {len(failed)}, got {next(iter(failed.values()))}"
        )


def _renew(store: Store, entry: Freshness, *, now: datetime) -> None:
    """Keeps the states of recent days, and shows them in the calendar if one of them is another than before."""
    before = kept_states(store, entry.flow, entry.collection)
    keep_states(store, entry.flow, entry.collection, entry.days, now=now)
    if before is None or before.days != entry.days:
        try:
            show_days(store, entry.flow, entry.collection)
        except Exception as problem:
            # As on the page of a run: what cannot be shown fails nothing.
            warn(_log, f"the calendar of {entry.flow} of {entry.collection} could not be shown", problem)


def watched(store: Store, request: WatchRequest, *, now: datetime) -> list[Freshness]:
    """The freshness of the flows and collections of a request, and of those that schedules run."""
    settings, _ = load_settings(request.profile)
    named = [(checked_name(name), collection) for name in request.flows for collection in request.collections]
    entries = {(entry.flow, entry.collection): entry for entry in scheduled_freshness(store, now=now)}
    for name, collection in named:
        if (name, collection) not in entries:
            entries[name, collection] = named_freshness(store, name, collection, Deadline.of(settings), now=now)
    return list(entries.values())


def row_of(entry: Freshness) -> dict[str, str]:
    """The freshness of a flow and collection as a row of the table in Prefect's UI."""
    return {
        "flow": entry.flow,
        "collection": entry.collection,
        "newest day": entry.newest,
        "due": entry.due,
        "since": entry.deadline,
        "late": ", ".join(f"{late.day} ({late.state})" for late in entry.late),
        "not fresh": ", ".join(f"{day.day} ({day.state})" for day in entry.days if day.state != "fresh"),
    }
