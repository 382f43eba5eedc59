"""A backfill as a flow: started in Prefect's UI, and the runs that a backfill submits."""

from prefect import flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

from fingerpost.flows.ops.backfill.days import Ended, work
from fingerpost.flows.ops.backfill.progress import (
    Progress,
    begin,
    check,
    planned_seconds,
    progress_of,
    run_to_end,
    select,
    take_up,
)
from fingerpost.flows.ops.backfill.record import Backfill, BackfillError, BackfillRequest, settled
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.days_page import show_days
from fingerpost.flows.run.page import show_table
from fingerpost.flows.run.partitions import Partition
from fingerpost.schemas.store import Store


def named() -> str:
    """The name of the starting flow run."""
    request = BackfillRequest.model_validate(flow_run.parameters["request"])
    if request.resume:
        return f"backfill {request.resume}{f', up to {request.take} days' if request.take else ''}"
    return f"backfill {request.flow} {request.first_day} to {request.last_day}, {request.reprocess}"


@flow(name="backfill", flow_run_name=named, retries=0, persist_result=False)
def backfill(request: BackfillRequest) -> None:
    """Runs the missing, failed or all days of a flow; it can be paused, cancelled, and resumed by its id."""
    if request.dry_run:
        _show_days("would run", select(settled(request)))
        return
    if request.take:
        _run_part(Backfill.load(Store(settled(request).run.store), request.resume), request.take)
        return
    if request.resume:
        job = Backfill.load(Store(settled(request).run.store), request.resume)
        take_up(job)
        planned = planned_seconds(job)
    else:
        job, days = begin(request)
        planned = [partition.seconds for partition in days]
        _show_days(job.id, days)
    progress = create_progress_artifact(
        progress=0.0, key="backfill", description=f"{job.id}: fraction of days that ended"
    )

    def report(end: Ended, course: Progress) -> None:
        percent = 100.0 * len(course.ended) / len(course.control.days)
        update_progress_artifact(progress, progress=percent)  # type: ignore[arg-type]

    try:
        course = run_to_end(job, report, planned=planned)
    finally:
        _show_course(job, progress_of(job))
        show_partitions(job)
    check(job, course)


def _run_part(job: Backfill, most: int) -> None:
    """Runs some of the days of a backfill; BackfillError if one of them failed."""
    days = work(job, str(flow_run.id), most=most)
    course = progress_of(job)
    ends = [course.ended[day] for day in days if day in course.ended]
    _table(job.id, ends)
    if failed := [end for end in ends if end.state == "failed"]:
        named_days = "; ".join(f"{end.day} ({end.reason})" for end in failed)
        raise BackfillError(
            f"backfill {job.id}: expected {len(days)} days to end well, job {len(failed)} failed: {named_days};"
            " fix them"
        )


def show_partitions(job: Backfill) -> None:
    """Renews the calendar of the backfill's collection, in which all of its days are shown."""
    request = job.request
    collection = request.run.for_any_day().input.collection
    show_days(job.store, request.flow, collection, also=days_between(request.first_day, request.last_day))


def _show_days(name: str, days: list[Partition]) -> None:
    rows = [{"day": partition.day, "state": partition.state, "why": partition.reason} for partition in days]
    show_table(rows, key="backfill-days", description=f"{name}: days in order of their start")


def _show_course(job: Backfill, course: Progress) -> None:
    _table(job.id, [course.ended.get(day, Ended(day, "to go")) for day in course.control.days])


def _table(name: str, ends: list[Ended]) -> None:
    rows = [{"day": end.day, "state": end.state, "seconds": end.seconds, "why": end.reason} for end in ends]
    show_table(rows, key="backfill-ended", description=f"{name}: outcome of its days")
