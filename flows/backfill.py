"""A backfill as a flow, for Prefect's UI, and the runs that a backfill asks for."""

from prefect import flow
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.runtime import flow_run

from flows.ops.backfill.days import Ended, work
from flows.ops.backfill.partition_calendar import calendar_markdown
from flows.ops.backfill.partitions import Partition, Partitions
from flows.ops.backfill.progress import Course, begin, check, course_of, planned_seconds, run_to_end, select, take_up
from flows.ops.backfill.record import Backfill, BackfillError, BackfillRequest, settled
from flows.run.calendar import days_between
from flows.run.page import artifact_key
from schemas.store import Store


def named() -> str:
    """The name of the flow run that begins."""
    request = BackfillRequest.model_validate(flow_run.parameters["request"])
    if request.resume:
        return f"backfill {request.resume}{f', up to {request.take} days' if request.take else ''}"
    return f"backfill {request.flow} {request.first_day} to {request.last_day}, {request.reprocess}"


@flow(name="backfill", flow_run_name=named, retries=0, persist_result=False)
def backfill(request: BackfillRequest) -> None:
    """Runs the days of a flow that are missing, failed, or all; it can be paused, cancelled, and resumed by its id."""
    if request.dry_run:
        _show_days("would run", select(settled(request)))
        return
    if request.take:
        _run_part(Backfill.load(Store(settled(request).run.store), request.resume), request.take)
        return
    if request.resume:
        found = Backfill.load(Store(settled(request).run.store), request.resume)
        take_up(found)
        planned = planned_seconds(found)
    else:
        found, days = begin(request)
        planned = [one.seconds for one in days]
        _show_days(found.id, days)
    progress = create_progress_artifact(
        progress=0.0, key="backfill", description=f"{found.id}: share of days that ended"
    )

    def tell(end: Ended, course: Course) -> None:
        update_progress_artifact(progress, progress=100.0 * len(course.ended) / len(course.control.days))  # type: ignore[arg-type]

    try:
        course = run_to_end(found, tell, planned=planned)
    finally:
        _show_course(found, course_of(found))
        show_partitions(found)
    check(found, course)


def _run_part(found: Backfill, most: int) -> None:
    """A share of the days of a backfill; fails if one of them did."""
    days = work(found, str(flow_run.id), most=most)
    course = course_of(found)
    ends = [course.ended[day] for day in days if day in course.ended]
    _table(found.id, ends)
    if failed := [end for end in ends if end.state == "failed"]:
        named_days = "; ".join(f"{end.day} ({end.reason})" for end in failed)
        raise BackfillError(
            f"backfill {found.id}: expected {len(days)} days to end well, found {len(failed)} failed: {named_days};"
            " mend them"
        )


def show_partitions(found: Backfill) -> None:
    """The calendar of the days of a backfill as an artifact."""
    request = found.request
    partitions = Partitions(request.flow, request.run)
    days = partitions.of(days_between(request.first_day, request.last_day))
    create_markdown_artifact(
        markdown=calendar_markdown(days),
        key=artifact_key("partitions", {"flow": request.flow, "collection": partitions.collection}),
        description=f"days of {request.flow} of {partitions.collection}",
    )


def _show_days(name: str, days: list[Partition]) -> None:
    rows = [{"day": one.day, "state": one.state, "why": one.reason} for one in days]
    create_table_artifact(table=rows, key="backfill-days", description=f"{name}: days in the order of their start")


def _show_course(found: Backfill, course: Course) -> None:
    _table(found.id, [course.ended.get(day, Ended(day, "to go")) for day in course.control.days])


def _table(name: str, ends: list[Ended]) -> None:
    rows = [{"day": end.day, "state": end.state, "seconds": end.seconds, "why": end.reason} for end in ends]
    create_table_artifact(table=rows, key="backfill-ended", description=f"{name}: what became of its days")
