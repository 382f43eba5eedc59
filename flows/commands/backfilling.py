"""The commands for the states of days and for backfills."""

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fingerpost.flows.commands.options import (
    AcceptOption,
    DaysCollectionOption,
    FlowArgument,
    FutureOption,
    JsonOption,
    NumberRowsOption,
    ProfileOption,
    StoreOption,
    check_flow,
    numbered,
    opened,
    pair,
)
from fingerpost.flows.run.plain_text import echo, echo_json

InputOption = Annotated[
    str,
    typer.Option(
        "--input",
        "-i",
        help="file of documents, or of what the flow reads instead; {day} in it stands for the day",
        show_default=False,
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", "-m", help="column here = column of the file, for example title=name", show_default=False),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="setting by dotted key, for example ann.hnsw.max_neighbors=32", show_default=False
    ),
]
HomeOption = Annotated[
    str,
    typer.Option(
        "--home",
        help="folder of the stack that runs the days; by default PREFECT_API_URL names the server",
        show_default=False,
    ),
]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="id of the backfill, as `fingerpost backfill list` shows it")
]


def partitions(
    flow: FlowArgument,
    first: Annotated[
        str,
        typer.Option(
            "--from", help="first day YYYY-MM-DD; by default the first that ever ran, or a year ago", show_default=False
        ),
    ] = "",
    last: Annotated[
        str, typer.Option("--to", help="last day YYYY-MM-DD; by default the last that ever ran", show_default=False)
    ] = "",
    profile: ProfileOption = "",
    source: InputOption = "",
    columns: MapOption = None,
    number_rows: NumberRowsOption = False,
    settings: SetOption = None,
    collection: DaysCollectionOption = "",
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Shows a calendar of a flow's days: fresh, missing, stale (and why), failed, quarantined, running, waiting.

    Give input, profile and settings as for the runs: a day is stale if a run with them would change its artifacts.

    Example: fingerpost partitions nightly --from 2026-01-01 --to 2026-01-31 --input "drops/{day}.parquet"
    """
    from fingerpost.flows.run.console import wide_console
    from fingerpost.flows.run.partition_calendar import calendar
    from fingerpost.flows.run.partitions import Partitions

    found = Partitions(
        flow, _request(flow, profile, source, _mapped(columns, number_rows, source), collection, (), store, settings)
    )
    shown, note = found.days(first, last)
    days = found.of(shown)
    if as_json:
        echo_json([asdict(one) for one in days])
        return
    wide_console().print(calendar(f"{flow} of {found.collection}", days), soft_wrap=True)
    if note:
        echo(note)


class _FlowOrAction(TyperGroup):
    """A command group in which a name that is no action is the name of a flow."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["FLOW", *args]
        return super().resolve_command(ctx, args)


backfill = typer.Typer(
    cls=_FlowOrAction,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Starts and controls backfills: runs of many days of a flow.

    `fingerpost backfill FLOW --from DAY --to DAY` starts one (`fingerpost backfill FLOW --help` lists its options); the
    actions below control one by its id. Fresh days are not computed again, so a backfill that was killed, cancelled or
    paused continues where it was.

    Example: fingerpost backfill nightly --from 2026-01-01 --to 2026-01-31 --input "drops/{day}.parquet"
    """,
)


@backfill.command("FLOW")
def start(
    flow: FlowArgument,
    first: Annotated[str, typer.Option("--from", help="first day YYYY-MM-DD, included")],
    last: Annotated[str, typer.Option("--to", help="last day YYYY-MM-DD, included")],
    reprocess: Annotated[
        str,
        typer.Option(
            help=(
                "which days are run: missing (missing, stale or interrupted), failed (failed or quarantined), or all"
                " (finished stages are reused unless --force names them)"
            )
        ),
    ] = "missing",
    max_active: Annotated[int, typer.Option(min=1, max=64, help="maximum number of days at a time")] = 1,
    order: Annotated[str, typer.Option(help="which day is started first: newest or oldest")] = "newest",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show which days would run, why, and at what cost, without running them")
    ] = False,
    profile: ProfileOption = "",
    source: InputOption = "",
    columns: MapOption = None,
    number_rows: NumberRowsOption = False,
    settings: SetOption = None,
    collection: DaysCollectionOption = "",
    future: FutureOption = False,
    force: Annotated[
        list[str] | None,
        typer.Option("--force", help="stage to rerun on each day, with all that depends on it", show_default=False),
    ] = None,
    accept_change: AcceptOption = "",
    as_json: JsonOption = False,
    home: HomeOption = "",
    store: StoreOption = "",
) -> None:
    """Runs the days of a flow in this process, or through the deployment `backfill` if PREFECT_API_URL names a server.

    A day that fails does not stop the others; the command then ends with exit code 1 and names it.

    Example: fingerpost backfill nightly --from 2026-01-01 --to 2026-01-31 --reprocess missing --max-active 2 --dry-run
    """
    from fingerpost.flows.ops.backfill.progress import begin, reach, select
    from fingerpost.flows.ops.backfill.record import BackfillRequest

    run = _request(
        flow,
        profile,
        source,
        _mapped(columns, number_rows, source),
        collection,
        tuple(force or ()),
        store,
        settings,
        accept_change,
        future=future,
    )
    request = BackfillRequest.of(
        flow=flow, first_day=first, last_day=last, reprocess=reprocess, order=order, max_active=max_active, run=run
    )
    if dry_run:
        _show_selected(request, select(request), as_json=as_json)
        return
    reach(home)
    made, days = begin(request)
    echo(f"backfill {made.id}: {len(days)} days, {order} first")
    _lead(made, home, [one.seconds for one in days], as_json=as_json)


@backfill.command("list")
def list_them(as_json: JsonOption = False, store: StoreOption = "") -> None:
    """Shows the backfills of the store, newest first.

    Example: fingerpost backfill list
    """
    from fingerpost.flows.ops.backfill.progress import progress_of, summary
    from fingerpost.flows.ops.backfill.record import backfills

    found = [(one, progress_of(one)) for one in backfills(opened(store))]
    if as_json:
        echo_json([_told(one, course) for one, course in found])
        return
    for one, course in found:
        asked = one.request
        days = f"{asked.first_day} to {asked.last_day}"
        echo(f"{summary(one, course)}; {asked.flow} {days}, {asked.reprocess}, by {one.by} at {one.at}")


@backfill.command()
def show(backfill_id: IdArgument, as_json: JsonOption = False, store: StoreOption = "") -> None:
    """Shows the outcome of each day of a backfill.

    Example: fingerpost backfill show 20260102t030405-1a2b
    """
    from fingerpost.flows.ops.backfill.progress import progress_of, summary
    from fingerpost.flows.ops.backfill.record import Backfill

    one = Backfill.load(opened(store), backfill_id)
    course = progress_of(one)
    if as_json:
        echo_json(_told(one, course))
        return
    echo(summary(one, course))
    for day in course.control.days:
        end = course.ended.get(day)
        state = end.state if end else "running" if day in course.running else "to go"
        echo(f"{day}  {f'{state:<10}{end.seconds:8.1f} s{_after(end.reason)}' if end else state}")


@backfill.command()
def pause(backfill_id: IdArgument, store: StoreOption = "") -> None:
    """Pauses a backfill: running days finish, and no further ones start.

    Example: fingerpost backfill pause 20260102t030405-1a2b
    """
    _steer(backfill_id, store, "paused")


@backfill.command()
def cancel(
    backfill_id: IdArgument,
    now: Annotated[
        bool, typer.Option("--now", help="also stop the running days at once; their finished stages are kept")
    ] = False,
    store: StoreOption = "",
) -> None:
    """Cancels a backfill after its running days, or at once.

    Example: fingerpost backfill cancel 20260102t030405-1a2b --now
    """
    _steer(backfill_id, store, "cancelled", now=now)


@backfill.command()
def resume(
    backfill_id: IdArgument, as_json: JsonOption = False, home: HomeOption = "", store: StoreOption = ""
) -> None:
    """Resumes a backfill that was paused, cancelled, killed, or interrupted because the server stopped.

    Example: fingerpost backfill resume 20260102t030405-1a2b
    """
    from fingerpost.flows.ops.backfill.progress import FIRST_SECONDS, planned_seconds, reach, take_up
    from fingerpost.flows.ops.backfill.record import Backfill

    one = Backfill.load(opened(store), backfill_id)
    reach(home, patience=FIRST_SECONDS)
    take_up(one)
    _lead(one, home, planned_seconds(one), as_json=as_json)


@backfill.command("retry-failed")
def retry_failed(
    backfill_id: IdArgument, as_json: JsonOption = False, home: HomeOption = "", store: StoreOption = ""
) -> None:
    """Reruns only the failed days of a backfill.

    Example: fingerpost backfill retry-failed 20260102t030405-1a2b
    """
    from fingerpost.flows.ops.backfill.progress import FIRST_SECONDS, planned_seconds, reach, try_failed_again
    from fingerpost.flows.ops.backfill.record import Backfill

    one = Backfill.load(opened(store), backfill_id)
    reach(home, patience=FIRST_SECONDS)
    days = try_failed_again(one)
    echo(
        f"backfill {one.id}: {len(days)} failed day{'s' if len(days) > 1 else ''} rerun"
        if days
        else f"backfill {one.id}: no day failed"
    )
    if days:
        _lead(one, home, planned_seconds(one), as_json=as_json)


@backfill.command(hidden=True)
def work(backfill_id: IdArgument, store: StoreOption = "") -> None:
    """Runs days of a backfill until none is left. Backfills start this command themselves.

    Example: fingerpost backfill work 20260102t030405-1a2b
    """
    from fingerpost.flows.ops.backfill.days import work as run_days
    from fingerpost.flows.ops.backfill.days import worker_name
    from fingerpost.flows.ops.backfill.record import Backfill
    from fingerpost.flows.run.start import silence_loggers

    silence_loggers()
    run_days(Backfill.load(opened(store), backfill_id), worker_name())


def _lead(one: Any, home: str, planned: list[float | None], *, as_json: bool) -> None:
    """Runs a backfill to its end and shows its progress."""
    from fingerpost.flows.ops.backfill.progress import check, run_to_end, summary
    from fingerpost.flows.run.start import silence_loggers

    silence_loggers()

    def tell(end: Any, course: Any) -> None:
        done = f"{len(course.ended)}/{len(course.control.days)}"
        echo(f"{done:>9}  {end.day}  {end.state:<10}{end.seconds:8.1f} s{_after(end.reason)}", err=True)

    course = run_to_end(one, tell, home=home, planned=planned)
    if as_json:
        echo_json(_told(one, course))
    else:
        echo(summary(one, course))
    check(one, course)


def _steer(backfill_id: str, store: str, state: str, *, now: bool = False) -> None:
    from dataclasses import replace

    from fingerpost.flows.ops.backfill.record import Backfill, BackfillError

    one = Backfill.load(opened(store), backfill_id)
    control = one.control()
    if control.state == "finished":
        raise BackfillError(f"backfill {one.id}: expected an unfinished one, found it finished; there is nothing to do")
    one.set_control(replace(control, state=state, now=now))
    echo(f"backfill {one.id}: {state}; `fingerpost backfill resume {one.id}` continues it")


def _after(reason: str) -> str:
    return f"  {reason}" if reason else ""


def _told(one: Any, course: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": course.state,
        "attempt": course.control.attempt,
        "by": one.by,
        "at": one.at,
        "request": one.request.model_dump(mode="json"),
        "days": list(course.control.days),
        "running": list(course.running),
        "to_go": list(course.waiting + course.lost),
        "ended": {day: asdict(end) for day, end in course.ended.items()},
    }


def _show_selected(request: Any, days: list[Any], *, as_json: bool) -> None:
    if as_json:
        echo_json([asdict(one) for one in days])
        return
    total = (date.fromisoformat(request.last_day) - date.fromisoformat(request.first_day) + timedelta(days=1)).days
    for one in days:
        cost = "?" if one.seconds is None else f"{one.seconds:.1f}"
        echo(f"{one.day}  {one.state:<12}{cost:>8} s{_after(one.reason)}")
    unknown = sum(one.seconds is None for one in days)
    known = sum(one.seconds or 0.0 for one in days)
    rest = f", and {unknown} days of unknown cost" if unknown else ""
    echo(f"{len(days)} of {total} days would run: {known:,.1f} s of stages{rest}")


def _mapped(columns: list[str] | None, number_rows: bool, source: str) -> dict[str, str]:
    mapped = dict(pair(text, "--map", "ours=theirs") for text in columns or ())
    return numbered(mapped, has_input=bool(source)) if number_rows else mapped


def _request(
    flow: str,
    profile: str,
    source: str,
    columns: dict[str, str],
    collection: str,
    force: tuple[str, ...],
    store: str,
    settings: list[str] | None,
    accept_change: str = "",
    *,
    future: bool = False,
) -> Any:
    from fingerpost.flows.run.collections import asked_collection, asked_profile, with_collection
    from fingerpost.flows.run.request import RunRequest

    check_flow(flow)
    overrides = dict(pair(text, "--set", "key=value") for text in settings or ())
    asked: dict[str, Any] = {
        "flow": flow,
        "collection": collection,
        "source": source,
        "settings": overrides,
        "only": True,
    }
    named = asked_profile(profile, store=store, **asked)
    request = RunRequest.of(
        profile=named,
        input=source,
        columns=columns,
        collection=collection if profile or source else asked_collection(store=store, **asked),
        force=force,
        future=future,
        store=store,
        settings=overrides,
        accept_change=accept_change,
    )
    return with_collection(request, flow)
