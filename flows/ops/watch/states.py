"""The states of recent days, compared with what the newest run of each flow and collection would do now."""

from dataclasses import replace

from fingerpost.flows.run.day_states import DayState
from fingerpost.flows.run.freshness import Freshness
from fingerpost.flows.run.partitions import Partitions, usual_request
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store


def with_states(store: Store, entry: Freshness) -> Freshness:
    """The freshness with the states that `partitions` and `backfill` find for the request of the newest run.

    Those of a scheduled run, if there was any. Where the request cannot be used, the states stay those of the records.
    """
    try:
        request = usual_request(store, entry.flow, entry.collection)
        if request is None:
            return entry
        found = Partitions(entry.flow, request).of([day.day for day in entry.days])
    except FingerpostError as problem:
        return replace(entry, problem=" ".join(str(problem).split()))
    states = {one.day: one.state for one in found}
    return replace(
        entry,
        days=tuple(DayState(one.day, one.state, one.reason) for one in found),
        late=tuple(replace(late, state=states[late.day]) for late in entry.late),
    )
