"""Starting a flow in this process, with a Prefect server of its own where none is named; nothing is sent outside."""

import logging
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from fingerpost.flows.run.loggers import silence

silence()

from prefect import Flow  # noqa: E402
from prefect.context import get_settings_context  # noqa: E402
from prefect.settings import PREFECT_API_URL  # noqa: E402

from fingerpost.flows import domains  # noqa: E402
from fingerpost.flows.domains.domain import named  # noqa: E402
from fingerpost.flows.domains.settings import Settings  # noqa: E402
from fingerpost.flows.run.api import Api, ApiError  # noqa: E402
from fingerpost.flows.run.catalog import read_code  # noqa: E402
from fingerpost.flows.run.flow_names import NIGHTLY, flow_names  # noqa: E402
from fingerpost.flows.run.garbage import as_usual  # noqa: E402
from fingerpost.flows.run.input_files import check_inputs  # noqa: E402
from fingerpost.flows.run.inputs import check_named  # noqa: E402
from fingerpost.flows.run.request import ResolvedRequest, RunRequest  # noqa: E402
from fingerpost.flows.run.rewriting import rewriting  # noqa: E402
from fingerpost.flows.run.runtime import Watching, resolved, watching, without_heartbeat  # noqa: E402
from fingerpost.flows.run.section import SettingsError  # noqa: E402
from fingerpost.flows.run.server import own_server, serving  # noqa: E402
from fingerpost.schemas.errors import FingerpostError, InputError  # noqa: E402
from fingerpost.schemas.inputs.days import DAY  # noqa: E402
from fingerpost.schemas.inputs.limits import limited  # noqa: E402
from fingerpost.schemas.inputs.queries import read_queries  # noqa: E402
from fingerpost.tasks.code import unchanging_code  # noqa: E402


def known(name: str) -> "Flow[..., Any]":
    """The flow of that name, loaded now; SettingsError if there is none."""
    flows = flow_names()
    if name not in flows:
        raise SettingsError(f"flow: expected one of {', '.join(flows)}, got {name!r}; correct it")
    flow: Flow[..., Any] = named(flows[name])
    return flow


def silence_loggers() -> None:
    """Silences the loggers whose lines do not help people who watch a run in a terminal."""
    for noisy in ("distributed", "prefect.server", "prefect._internal", "prefect.events"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # The log of a run is for the pages of a server that stays; on the server of this run nobody would read it.
    level = logging.INFO if PREFECT_API_URL.value() and not serving() else logging.CRITICAL
    for shown, least in (("prefect.flow_runs", level), ("prefect.task_runs", max(level, logging.WARNING))):
        logger = logging.getLogger(shown)
        logger.setLevel(least)
        logger.propagate = False
    # That the server went away meanwhile is an error of the run; a traceback for each batch of its log helps nobody.
    logging.raiseExceptions = False


def check_server() -> None:
    """ApiError in one line if the named server accepts no requests; Prefect would show a traceback."""
    url = PREFECT_API_URL.value()
    if not url or serving() or os.environ.get("PREFECT_API_KEY"):
        return
    try:
        Api(url.rstrip("/"), os.environ.get("PREFECT_API_AUTH_STRING", "")).get("admin/version")
    except ApiError as problem:
        raise ApiError(f"{problem} ({_named_by()})", status=problem.status) from None


def _named_by() -> str:
    """What names the server, and how a run starts its own instead."""
    if os.environ.get("PREFECT_API_URL"):
        return "PREFECT_API_URL names it; without that, a run starts its own server"
    profile = get_settings_context().profile
    if PREFECT_API_URL in profile.settings:
        return (
            f"Prefect's profile {profile.name!r} in {profile.source} names it; after `prefect profile use ephemeral`, a run"
            " starts its own server"
        )
    return (
        "Prefect's settings in prefect.toml, pyproject.toml or .env name it; without that, a run starts its own server"
    )


def run_flow(name: str, request: RunRequest, *, quiet: bool = False, log_file: Path | None = None) -> str:
    """Runs a flow to its end and returns the path of its report; the flow's own errors are raised."""
    flow = known(name)
    check_server()
    settled = ResolvedRequest.of(request)
    settings = settled.settings
    check_run(name, request, settled)
    silence_loggers()
    shown = Watching(quiet, log_file)
    token, known_request = watching.set(shown), resolved.set(settled)
    try:
        with ExitStack() as stack:
            if server := stack.enter_context(own_server()):
                stack.enter_context(without_heartbeat())
                # The stages run the code that is loaded here, so its hashes are theirs.
                stack.enter_context(unchanging_code())
                load(name, settings)
                server.wait()
            as_usual()
            # The day is resolved here, so that a run that starts before midnight is not one of the next day.
            flow(settled.request)
    finally:
        resolved.reset(known_request)
        watching.reset(token)
    return str(shown.ended[-1].get("report", ""))


def check_run(name: str, request: RunRequest, settled: ResolvedRequest) -> None:
    """SettingsError or InputError, before anything starts, for inputs that are not named or not there."""
    settings = settled.settings
    with limited(settings.input.limits):
        if rewriting.get() is None:
            check_named(settings, name)
            try:
                check_inputs(settings, name)
            except InputError as problem:
                if not (said := _remembered(request, settled, str(problem))):
                    raise
                raise InputError(f"{problem} {said}") from problem
        if settings.replay.queries:
            read_queries(settings.replay.queries)


def _remembered(request: RunRequest, settled: ResolvedRequest, problem: str) -> str:
    """What to add to the error of a file that the collection remembers and nobody named; empty for another file."""
    added = {key: value for key, value in settled.request.settings.items() if key not in request.settings}
    day, collection = settled.settings.day, settled.settings.input.collection
    paths = {key: value.replace(DAY, day) for key, value in added.items() if isinstance(value, str)}
    key = next((key for key, path in paths.items() if path and problem.startswith(path)), "")
    return f"({key} as collection {collection} was run with before; name another one)" if key else ""


def load(name: str, settings: Settings) -> None:
    """Loads the code of a flow's parts and of the report, and hashes that of its stages: until a server answers, there is time."""
    for domain in domains.DOMAINS if name == NIGHTLY else ():
        if not (domain.skipped and named(domain.skipped)(settings)):
            named(domain.flow)
    # What cannot be hashed is told by the stage that needs it.
    with suppress(FingerpostError):
        read_code()
    # Imported here: it would delay the server's start.
    from fingerpost.flows.report.page import prepare

    prepare()
