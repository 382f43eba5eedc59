"""The progress of a backfill from its request to its last day, through pauses, dying processes, and server outages."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from fingerpost.flows.ops.backfill.batches import runs_to_start
from fingerpost.flows.ops.backfill.days import Ended, ended
from fingerpost.flows.ops.backfill.record import (
    MOST_CRASHES,
    Backfill,
    BackfillError,
    BackfillRequest,
    Control,
    chosen,
    settled,
)
from fingerpost.flows.ops.backfill.runs import Beside, Deployed, Here, Place, deployment_id
from fingerpost.flows.ops.stack.state import api_of, connection
from fingerpost.flows.run.api import ApiError
from fingerpost.flows.run.calendar import days_between, today
from fingerpost.flows.run.partitions import Partition, Partitions
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.leases import at_work, holding
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partition

#: Seconds that a Prefect server may be unreachable before the backfill stops: before and after its first answer.
FIRST_SECONDS, SERVER_SECONDS = 60.0, 300.0
#: Statuses of a server that does not answer (0), or not yet.
_DOWN = {0, 500, 502, 503}


@dataclass
class Progress:
    """The state of a backfill: ended days by day, days that a live process runs, and unclaimed days.

    ``alive``: whether a live process leads it or runs its days.
    """

    control: Control
    ended: dict[str, Ended] = field(default_factory=dict)
    running: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    alive: bool = True

    @property
    def state(self) -> str:
        """The state that was set last, or ``interrupted`` for a running one that no process works on any more."""
        return "interrupted" if self.control.state == "running" and not self.alive else self.control.state

    @property
    def failed(self) -> list[Ended]:
        """The failed days, in order."""
        return [self.ended[day] for day in self.control.days if day in self.ended and self.ended[day].state == "failed"]

    @property
    def over(self) -> bool:
        """Whether every day has ended."""
        return not (self.running or self.lost or self.waiting)


def progress_of(backfill: Backfill, known: Progress | None = None) -> Progress:
    """The current state of a backfill; days ``known`` to have ended in the same attempt are not read again."""
    control = backfill.control()
    outcomes = dict(known.ended) if known is not None and known.control.attempt == control.attempt else {}
    waiting = set(backfill.unclaimed(control))
    running: list[str] = []
    lost: list[str] = []
    flow, collection = backfill.request.flow, Partitions(backfill.request.flow, backfill.request.run).collection
    alive = {lease.run for lease in at_work(backfill.store, backfill.workers)}
    worked_on = bool(alive or at_work(backfill.store, backfill.leading))
    for day in control.days:
        if day in waiting or day in outcomes:
            continue
        holder = backfill.holder(control, day)
        # In this order: a process may end its day and release its lease between the two reads.
        record = partition(backfill.store, flow, collection, day)
        end = ended(backfill, control, day, record)
        if end is None and control.state == "finished":
            # An earlier version kept the outcome only in the record of the day, which another run has replaced.
            end = Ended(day, str(record.get("state") or "completed"), reason="run again since")
        if end is not None:
            outcomes[day] = end
        elif not holder:
            waiting.add(day)
        else:
            (running if holder["worker"] in alive else lost).append(day)
    left = tuple(day for day in control.days if day in waiting and day not in outcomes)
    return Progress(control, outcomes, tuple(running), tuple(lost), left, worked_on)


def recover(backfill: Backfill, course: Progress) -> None:
    """Releases the days whose process died, and gives up those whose process died repeatedly."""
    if not course.lost:
        return
    crashes = backfill.crashes()
    for day in course.lost:
        crashes[day] = crashes.get(day, 0) + 1
    backfill.note_crashes(crashes)
    for day in course.lost:
        if crashes[day] >= MOST_CRASHES:
            reason = f"its process died {crashes[day]} times before the day was finished (too little memory, perhaps)"
            backfill.settle(course.control, day, reason=reason)
        else:
            backfill.release(course.control, day)


def select(request: BackfillRequest) -> list[Partition]:
    """The days that a request would run, in order, with states and expected costs. Writes nothing.

    BackfillError for days to come, unless the request allows them.
    """
    days = days_between(request.first_day, request.last_day)
    partitions = Partitions(request.flow, request.run)
    if not request.run.future and request.last_day > (now := today(partitions.settings.run.timezone)):
        raise UsageError(
            f"days: expected none after today ({now} in {partitions.settings.run.timezone}), got {request.last_day};"
            " correct it, or allow days to come with --future (`run.future` in a request)"
        )
    return chosen(partitions.of(days), request.reprocess, request.order)


def reach(home: str = "", *, patience: float = 0.0) -> None:
    """Checks that the server that is to run the days, if one is named, answers and has the deployment for them.

    To be called before a backfill is stored or changed, which would otherwise look as if it ran. ``patience`` is the
    number of seconds to wait for a server that does not answer. ApiError, StackError or BackfillError say what is wrong.
    """
    if not _served(home):
        return
    api, until = api_of(connection(home)), time.monotonic() + patience
    while True:
        try:
            deployment_id(api)
            return
        except ApiError as problem:
            if problem.status not in _DOWN or time.monotonic() >= until:
                raise
        time.sleep(1.0)


def begin(request: BackfillRequest) -> tuple[Backfill, list[Partition]]:
    """A new backfill in the store, and its days."""
    request = settled(request)
    days = select(request)
    store = Store(request.run.store).prepare()
    return Backfill.create(store, request, [partition.day for partition in days]), days


def take_up(backfill: Backfill) -> None:
    """Resumes a backfill that was paused, cancelled or interrupted, and resets the counts of died processes."""
    control = backfill.control()
    backfill.note_crashes({})
    if control.state != "running":
        backfill.set_control(replace(control, state="running", now=False))


def try_failed_again(backfill: Backfill) -> list[str]:
    """Starts a further attempt over the days that failed in the newest one; returns the days."""
    course = progress_of(backfill)
    if not course.over:
        raise BackfillError(
            f"backfill {backfill.id}: expected every day to have ended, found"
            f" {len(course.waiting) + len(course.running) + len(course.lost)} to go; `fingerpost backfill resume"
            f" {backfill.id}` first"
        )
    days = tuple(end.day for end in course.failed)
    if days:
        backfill.note_crashes({})
        backfill.set_control(Control("running", course.control.attempt + 1, days))
    return list(days)


def run_to_end(
    backfill: Backfill,
    tell: Callable[[Ended, Progress], None],
    *,
    home: str = "",
    planned: Sequence[float | None] = (),
    every: float = 2.0,
) -> Progress:
    """Runs the days of a backfill until all ended or it is paused or cancelled; BackfillError names failed days.

    Where PREFECT_API_URL or ``home`` names a server, days run in runs of its deployment; otherwise in this process, or
    in child processes for more than one at a time.
    """
    seen = Progress(backfill.control())

    def look() -> None:
        nonlocal seen
        before, seen = seen, progress_of(backfill, seen)
        for day in seen.control.days:
            if day in seen.ended and (day not in before.ended or before.control.attempt != seen.control.attempt):
                tell(seen.ended[day], seen)

    def measured() -> list[float]:
        return [end.seconds for end in seen.ended.values() if end.state == "completed"]

    with _alone(backfill), contextlib.closing(_place(backfill, home, planned, measured, look)) as place:
        try:
            _keep_going(backfill, place, look, lambda: seen, every)
        except BaseException as problem:
            if not isinstance(problem, Exception) and backfill.control().state == "running":
                # A signal to this process is meant for the backfill: running days finish, and no more start.
                backfill.set_control(replace(backfill.control(), state="paused"))
            raise
        look()
        if seen.over and seen.control.state == "running":
            seen.control = backfill.set_control(replace(seen.control, state="finished"))
    return seen


def _keep_going(
    backfill: Backfill, place: Place, look: Callable[[], None], course: Callable[[], Progress], every: float
) -> None:
    silent_since, patience, started, ended_then = 0.0, FIRST_SECONDS, 0, 0
    while True:
        look()
        recover(backfill, course())
        if len(course().ended) > ended_then:
            started, ended_then = 0, len(course().ended)
        if course().over:
            return
        try:
            active = max(place.active(), len(at_work(backfill.store, backfill.workers)))
            if course().control.state != "running":
                if not active:
                    return
            elif course().waiting:
                more = _more(backfill, place, course(), active)
                started += more
                if started > (MOST_CRASHES + 1) * backfill.request.max_active:
                    raise BackfillError(
                        f"backfill {backfill.id}: expected its runs to finish days, found that {started - more} in a"
                        " row did not; look at their logs, fix the cause and run `fingerpost backfill resume"
                        f" {backfill.id}`"
                    )
                if more:
                    place.start(more)
            silent_since, patience = 0.0, SERVER_SECONDS
        except ApiError as problem:
            now = time.monotonic()
            silent_since = silent_since or now
            if problem.status not in _DOWN or now - silent_since > patience:
                raise
        if not isinstance(place, Here):
            time.sleep(every)


def _more(backfill: Backfill, place: Place, course: Progress, active: int) -> int:
    size = place.size or len(course.waiting)
    return runs_to_start(len(course.waiting), size=size, active=active, most=backfill.request.max_active)


def _place(
    backfill: Backfill,
    home: str,
    planned: Sequence[float | None],
    measured: Callable[[], list[float]],
    look: Callable[[], None],
) -> Place:
    if _served(home):
        return Deployed(backfill, api_of(connection(home)), planned, measured)
    return Beside(backfill) if backfill.request.max_active > 1 else Here(backfill, look)


def _served(home: str) -> bool:
    """Whether a server is named whose deployment runs the days."""
    return bool(home or os.environ.get("PREFECT_API_URL") or os.environ.get("FINGERPOST_STACK_HOME"))


@contextlib.contextmanager
def _alone(backfill: Backfill) -> Iterator[None]:
    """Holds the lease of the one process that leads a backfill; BackfillError if another one does."""
    if busy := at_work(backfill.store, backfill.leading):
        raise BackfillError(
            f"backfill {backfill.id}: expected no other process to lead it, found {busy[0].pid} on {busy[0].host};"
            " wait for it, or pause the backfill first"
        )
    with holding(backfill.store, backfill.leading, f"lead-{os.getpid()}", flow="backfill"):
        yield


def summary(backfill: Backfill, course: Progress) -> str:
    """The state of a backfill, in one line."""
    states = [end.state for end in course.ended.values()]
    parts = [f"{states.count(state)} {state}" for state in ("completed", "failed", "skipped") if state in states]
    parts += [
        f"{len(days)} {name}"
        for name, days in (("running", course.running), ("to go", course.waiting + course.lost))
        if days
    ]
    attempt = f" (attempt {course.control.attempt})" if course.control.attempt > 1 else ""
    return (
        f"backfill {backfill.id}{attempt}: {', '.join(parts) or 'no days'} of {len(course.control.days)} days,"
        f" {course.state}"
    )


def planned_seconds(backfill: Backfill) -> list[float | None]:
    """The expected seconds of the unclaimed days."""
    waiting = progress_of(backfill).waiting
    return [partition.seconds for partition in Partitions(backfill.request.flow, backfill.request.run).of(waiting)]


def check(backfill: Backfill, course: Progress) -> None:
    """BackfillError that names the failed days, if any."""
    if failed := course.failed:
        named = "; ".join(f"{end.day} ({end.reason})" for end in failed[:5])
        more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        raise BackfillError(
            f"backfill {backfill.id}: expected all {len(course.control.days)} days to end well, found {len(failed)}"
            f" failed: {named}{more}; fix what they name and run `fingerpost backfill retry-failed {backfill.id}`"
        )
