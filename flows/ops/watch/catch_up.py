"""The catch-up of runs that were missed while the server was down, by the profile's schedule.catch_up.

The missed days are those of the scheduled times since the newest day that the store has a
record of. Late runs that Prefect had planned before are kept for the days to be run, one per day, and the others are
cancelled with the reason; days without a late run are submitted through the deployment.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.api import Api
from fingerpost.flows.run.calendar import logical_day
from fingerpost.flows.run.waits import AWAITING_INPUT, kept_wait
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions

#: A run that is less late than this was not missed: the server was merely restarted.
GRACE = timedelta(minutes=5)
#: Maximum age of missed runs.
HORIZON = timedelta(days=400)
_SETTLED = {"COMPLETED", "FAILED", "CANCELLED", "RUNNING", "PENDING", "CANCELLING", "PAUSED"}


@dataclass(frozen=True)
class Missed:
    """The scheduled times to be run now, by day and in order, and the days that are left out, with the reason."""

    run: dict[str, datetime]
    left_out: dict[str, str]


def missed_days(
    scheduled: Iterable[datetime], *, have: Collection[str], timezone: str, lag_days: int, policy: str, cap: int
) -> Missed:
    """The choice among the days of scheduled times that have passed: the latest, all up to the cap, or none.

    ``scheduled`` are aware moments in any order; of several on one day, the last counts. Days in ``have``
    (recorded, running or cancelled by an operator) are never run, and no day older than the newest of them is missed.
    """
    times: dict[str, datetime] = {}
    for moment in sorted(scheduled):
        times[logical_day(moment, timezone=timezone, lag_days=lag_days)] = moment
    latest = max(times, default="")
    newest = max((day for day in have if day <= latest), default="")
    days = sorted(day for day in times if day > newest)
    if policy == "skip":
        return Missed({}, dict.fromkeys(days, "schedule.catch_up=skip runs no missed day"))
    if policy == "latest":
        left_out = {day: f"schedule.catch_up=latest runs only the day {latest}" for day in days if day != latest}
        return Missed({day: times[day] for day in days if day == latest}, left_out)
    kept = days[-cap:]
    left_out = dict.fromkeys(days[: len(days) - len(kept)], f"schedule.catch_up_cap={cap} leaves out older days")
    return Missed({day: times[day] for day in kept}, left_out)


def catch_up(
    api: Api,
    *,
    now: datetime | None = None,
    grace: timedelta = GRACE,
    only: Collection[str] = (),
    say: Callable[[str], None],
) -> None:
    """Applies the policy to the deployments with an active schedule (``only``: to those of these names or ids)."""
    moment = now or datetime.now(UTC)
    for deployment in api.pages("deployments/filter", {}):
        if deployment["paused"] or (only and not {deployment["name"], deployment["id"]} & set(only)):
            continue
        try:
            _catch_up(api, deployment, moment, grace, say)
        except (FingerpostError, ValidationError) as problem:
            # A deployment with an error must not prevent the others or the stack from starting.
            say(f"catch-up: {deployment['name']} is left unchanged: {' '.join(str(problem).split())}")


def _catch_up(
    api: Api, deployment: dict[str, Any], now: datetime, grace: timedelta, say: Callable[[str], None]
) -> None:
    active = [entry["schedule"] for entry in deployment["schedules"] if entry["active"]]
    late = _late_runs(api, deployment, now, grace)
    if not active and not late:
        return
    settings = settings_of(deployment)
    if settings is None:
        _keep_newest(api, deployment, late, say)
        return
    flow = str(api.get(f"flows/{deployment['flow_id']}")["name"])
    rule = settings.schedule
    day_of = partial(logical_day, timezone=settings.run.timezone, lag_days=rule.lag_days)
    have = set(partitions(Store(settings.store), flow, settings.input.collection))
    since = max(_moment(deployment["created"]), now - HORIZON)
    ran = [
        run
        for run in _runs(api, deployment, since)
        if (run["state_type"] in _SETTLED or _awaits_input(run, now)) and _regular(run)
    ]
    have |= {day_of(_moment(run["expected_start_time"])) for run in ran}
    times = [time for schedule in active for time in scheduled_times(schedule, since, now - grace)]
    times += [_moment(run["expected_start_time"]) for run in late]
    missed = missed_days(
        times,
        have=have,
        timezone=settings.run.timezone,
        lag_days=rule.lag_days,
        policy=rule.catch_up,
        cap=rule.catch_up_cap,
    )
    kept: set[str] = set()
    for run in reversed(late):
        day = day_of(_moment(run["expected_start_time"]))
        if day in missed.run and day not in kept:
            kept.add(day)
            continue
        _supersede(api, run, missed.left_out.get(day) or f"the day {day} has a newer run or is finished already", say)
    for day, time in missed.run.items():
        if day not in kept:
            _submit(api, deployment, day, time, say)


def settings_of(deployment: dict[str, Any]) -> Settings | None:
    """The settings of a deployment's runs; None for flows without a RunRequest."""
    from fingerpost.flows.run.request import RunRequest

    properties = deployment["parameter_openapi_schema"].get("definitions") or {}
    if "RunRequest" not in properties:
        return None
    return RunRequest.model_validate((deployment["parameters"] or {}).get("request") or {}).resolve()


def scheduled_times(schedule: dict[str, Any], since: datetime, until: datetime) -> list[datetime]:
    """The moments of a Prefect schedule (as its API returns it) between two moments, computed by Prefect."""
    from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

    kinds: dict[str, Any] = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
    kind = next(kinds[key] for key in kinds if key in schedule)
    made = kind.model_validate({key: value for key, value in schedule.items() if value is not None})
    found: list[datetime] = []
    while since < until:
        # Prefect computes at most a thousand at a time.
        part = asyncio.run(made.get_dates(n=1000, start=since, end=until))
        found += [datetime.fromtimestamp(moment.timestamp(), UTC) for moment in part]
        if len(part) < 1000:
            break
        since = found[-1] + timedelta(seconds=1)
    return sorted({moment for moment in found if moment <= until})


def _late_runs(api: Api, deployment: dict[str, Any], now: datetime, grace: timedelta) -> list[dict[str, Any]]:
    """The scheduled runs that should have started and did not, oldest first."""
    found = [run for run in _runs(api, deployment, None) if not _awaits_input(run, now)]
    late = [run for run in found if run["auto_scheduled"] or "catch-up" in run["tags"]]
    return [run for run in late if _moment(run["expected_start_time"]) <= now - grace]


def _awaits_input(run: dict[str, Any], now: datetime) -> bool:
    """Whether a run waits for late input: it has begun, and goes on by itself if its next look is of this day."""
    following = run.get("next_scheduled_start_time") if run.get("state_name") == AWAITING_INPUT else None
    return bool(following) and now - _moment(str(following)) < timedelta(days=1)


def _runs(api: Api, deployment: dict[str, Any], since: datetime | None) -> list[dict[str, Any]]:
    body: dict[str, Any] = {"deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    if since is not None:
        body["flow_runs"] = {"expected_start_time": {"after_": since.isoformat()}}
    else:
        body["flow_runs"] = {"state": {"type": {"any_": ["SCHEDULED"]}}}
    return api.pages("flow_runs/filter", body)


def _regular(run: dict[str, Any]) -> bool:
    """Whether a run is for the day of its schedule, and not for a day that was named explicitly."""
    request = (run["parameters"] or {}).get("request") or {}
    return bool(run["auto_scheduled"] or "catch-up" in run["tags"]) and not request.get("day")


def _keep_newest(api: Api, deployment: dict[str, Any], late: list[dict[str, Any]], say: Callable[[str], None]) -> None:
    for run in late[:-1]:
        _supersede(api, run, f"a later run of {deployment['name']} is also due", say)


def _supersede(api: Api, run: dict[str, Any], reason: str, say: Callable[[str], None]) -> None:
    state = {"type": "CANCELLED", "name": "Superseded", "message": f"Missed while the server was down: {reason}."}
    api.post(f"flow_runs/{run['id']}/set_state", {"state": state, "force": True})
    say(f"catch-up: cancelled the run of {run['expected_start_time'][:16]}: {reason}")


def _submit(api: Api, deployment: dict[str, Any], day: str, time: datetime, say: Callable[[str], None]) -> None:
    """Submits the run of a scheduled time that has passed; a repeated call returns the same run unless it crashed."""
    body = {"deployments": {"id": {"any_": [deployment["id"]]}}, "flow_runs": {"tags": {"all_": ["catch-up", day]}}}
    attempts = [run for run in api.pages("flow_runs/filter", body) if run["state_type"] == "CRASHED"]
    details = {"scheduled_time": time.isoformat()}
    made = api.post(
        f"deployments/{deployment['id']}/create_flow_run",
        {
            "name": f"catch-up {day}",
            "idempotency_key": f"catch-up {deployment['id']} {day} {len(attempts)}",
            "tags": ["catch-up", day],
            "state": {
                "type": "SCHEDULED",
                "name": "Scheduled",
                "message": f"Missed day {day}.",
                "state_details": details,
            },
        },
    )
    say(f"catch-up: submitted {deployment['name']} for {day} ({made['id']})")


def settle_interrupted(api: Api, pool: str, *, say: Callable[[str], None]) -> None:
    """Marks the runs of an interrupted stack as crashed, which also frees their slots under concurrency limits.

    One that was looking for late input is scheduled for its next look instead. To be called while the pool has no worker:
    then none of its runs can be running.
    """
    alive = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    runs = api.pages("flow_runs/filter", {"work_pools": {"name": {"any_": [pool]}}, "flow_runs": alive})
    runs = [run for run in runs if not _waits_on(api, run, say)]
    queue = list(runs)
    while queue:
        parents = {"parent_flow_run_id": {"any_": [run["id"] for run in queue]}, **alive}
        queue = api.pages("flow_runs/filter", {"flow_runs": parents})
        runs += queue
    if not runs:
        return
    state = {
        "type": "CRASHED",
        "name": "Crashed",
        "message": "The stack was interrupted while this ran. Retry it: committed artifacts are reused.",
    }
    tasks = api.pages(
        "task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"] for run in runs]}}, "task_runs": alive}
    )
    for kind, found in (("task_runs", tasks), ("flow_runs", runs)):
        for run in found:
            api.post(f"{kind}/{run['id']}/set_state", {"state": state, "force": True})
    for run in runs:
        say(f"{run['name']} was interrupted with the previous stack; it is marked as crashed")


def _waits_on(api: Api, run: dict[str, Any], say: Callable[[str], None]) -> bool:
    """Whether a run was interrupted while it looked for late input; it is then scheduled to look again now."""
    from fingerpost.flows.run.request import RunRequest

    flow = str(api.get(f"flows/{run['flow_id']}")["name"])
    try:
        settings = RunRequest.model_validate((run["parameters"] or {}).get("request") or {}).resolve(
            _moment(run["expected_start_time"])
        )
        wait = kept_wait(Store(settings.store), flow, settings.input.collection, settings.day)
    except (FingerpostError, ValidationError):
        return False
    if wait is None or wait.over or run["state_type"] == "CANCELLING":
        return False
    details = {"scheduled_time": datetime.now(UTC).isoformat()}
    state = {"type": "SCHEDULED", "name": AWAITING_INPUT, "message": str(wait), "state_details": details}
    api.post(f"flow_runs/{run['id']}/set_state", {"state": state, "force": True})
    say(f"{run['name']} was interrupted while it waited for its input; it looks again")
    return True


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
