"""The calendar of a collection's days in Prefect's UI. Each run renews it; the versions of its artifact are its history."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from prefect.artifacts import create_markdown_artifact

from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.calendar_picture import described
from fingerpost.flows.run.day_states import DayState, recorded_state
from fingerpost.flows.run.freshness import recorded_deadline
from fingerpost.flows.run.markdown import escaped
from fingerpost.flows.run.page import artifact_key
from fingerpost.flows.run.partition_calendar import calendar_markdown
from fingerpost.flows.run.partitions import SHOWN_DAYS, Partition, Partitions, usual_request
from fingerpost.flows.run.waits import days_at_work
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions

#: Maximum number of days shown, the newest ones: a plan is made for each.
SHOWN = 92


def show_days(store: Store, flow: str, collection: str, *, also: Sequence[str] = ()) -> None:
    """Shows the newest days of a flow and collection, up to the newest one that is due, as a new version of the artifact.

    ``also``: other days to be shown, as those of a backfill.

    The states are those of `partitions` for the request of the newest run, of a scheduled one if there was any. Where
    that request cannot be used, they are those of the records, and the page says so.
    """
    now = datetime.now(UTC)
    days = sorted({*_days(store, flow, collection, now=now), *also})[-SHOWN_DAYS:]
    if not days:
        return
    found, problem = states_of(store, flow, collection, days)
    parts = [
        f"# Days of {escaped(flow)} of {escaped(collection)}",
        calendar_markdown(found),
        *([f"Not compared with what a run would do now: {escaped(problem)}"] if problem else []),
        f"As of {now:%Y-%m-%d %H:%M} UTC. `fingerpost partitions` shows earlier days too.",
    ]
    create_markdown_artifact(
        markdown="\n\n".join(parts) + "\n",
        key=artifact_key("partitions", {"flow": flow, "collection": collection}),
        description=escaped(f"{flow} of {collection}, {described({day.day: day.state for day in found})}"),
    )


def states_of(store: Store, flow: str, collection: str, days: Sequence[str]) -> tuple[list[Partition], str]:
    """The states of days, and why they are those of the records alone, where they are."""
    try:
        if request := usual_request(store, flow, collection):
            return Partitions(flow, request).of(days), ""
        problem = "no run has a record that can be read"
    except FingerpostError as refused:
        problem = " ".join(str(refused).split())
    records = partitions(store, flow, collection)
    at_work = days_at_work(store, flow, collection, now=datetime.now(UTC))
    return [_recorded(day, records.get(day, {}), at_work.get(day)) for day in days], problem


def _recorded(day: str, record: dict[str, object], now: DayState | None) -> Partition:
    if now is not None:
        return Partition(day, now.state, now.reason)
    return Partition(day, recorded_state(record), " ".join(str(record.get("error", "")).split()))


def _days(store: Store, flow: str, collection: str, *, now: datetime) -> list[str]:
    records = partitions(store, flow, collection)
    if not records:
        return []
    deadline = recorded_deadline(records)
    last = max([*records, *([deadline.due(now)] if deadline else [])])
    first = (date.fromisoformat(last) - timedelta(days=SHOWN - 1)).isoformat()
    return days_between(max(first, min(records)), last)
