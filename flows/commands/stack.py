"""The commands for the stack on one machine and its deployments."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fingerpost.flows.commands.options import JsonOption, StoreOption
from fingerpost.flows.run.plain_text import echo, echo_json
from fingerpost.schemas.errors import UsageError

if TYPE_CHECKING:
    from fingerpost.flows.ops.stack.deployments import Deployed

HomeOption = Annotated[
    str,
    typer.Option(
        "--home",
        envvar="FINGERPOST_STACK_HOME",
        help="folder of the stack's state, logs and database; by default .fingerpost-stack next to the store",
        show_default=False,
    ),
]


def up(
    home: HomeOption = "",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of Prefect's API and UI; 0 takes a free port")
    ] = 4200,
    dask_port: Annotated[int, typer.Option(min=0, max=65535, help="port of the Dask scheduler")] = 8786,
    dashboard_port: Annotated[int, typer.Option(min=0, max=65535, help="port of the Dask dashboard")] = 8787,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the metrics for Prometheus; 0 takes a free port")
    ] = 9108,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="number of Dask worker processes; 0 is one per core")
    ] = 0,
    database: Annotated[
        str,
        typer.Option(
            envvar="FINGERPOST_DATABASE",
            help=(
                "postgresql+asyncpg://… for the Prefect server; by default SQLite in the home folder (a URL with a"
                " password belongs in the environment variable)"
            ),
            show_default=False,
            show_envvar=True,
        ),
    ] = "",
    auth: Annotated[
        bool | None,
        typer.Option(
            "--auth/--no-auth",
            help="basic authentication with the user:password of FINGERPOST_AUTH; by default on if that is set",
            show_default=False,
        ),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="TLS between the Dask processes")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="run in the background, and return when all programs answer")
    ] = False,
    store: StoreOption = "",
) -> None:
    """Starts a Prefect server, a worker and Dask on this machine, and keeps them running until Ctrl-C.

    Example: fingerpost up --detach && fingerpost deploy
    """
    from fingerpost.flows.ops.stack import children, stack
    from fingerpost.flows.ops.stack.state import described, find_home
    from fingerpost.schemas.store import find_store

    place = store or find_store()
    options = children.options_of(
        home=find_home(home, store=place),
        store=place,
        auth=auth,
        database=database,
        port=port,
        dask_port=dask_port,
        dashboard_port=dashboard_port,
        metrics_port=metrics_port,
        workers=workers,
        tls=tls,
    )

    if not detach:
        stack.up(options, say=echo)
        return
    state = stack.detach(options, say=echo)
    for name, address in described(state).items():
        if address:
            echo(f"{name:15} {address}")
    echo("`fingerpost down` ends it")


def down(home: HomeOption = "") -> None:
    """Ends the stack and any processes that a killed one left.

    Example: fingerpost down
    """
    from fingerpost.flows.ops.stack import stack
    from fingerpost.flows.ops.stack.state import find_home

    place = find_home(home)
    ended = stack.down(place, say=echo)
    echo(f"stack {place}: {'ended' if ended else 'nothing was running'}")


def deploy(
    profile: Annotated[
        str,
        typer.Option("--profile", "-p", help="profile of the deployed runs instead of the file's", show_default=False),
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="only the deployment of this name (may be repeated)", show_default=False),
    ] = None,
    paused: Annotated[
        bool, typer.Option("--paused", help="apply the deployments paused: nothing is scheduled")
    ] = False,
    file: Annotated[
        str,
        typer.Option("--file", help="deployments file instead of the packaged infra/prefect.yaml", show_default=False),
    ] = "",
    listed: Annotated[
        bool, typer.Option("--list", help="show the deployments on the server and change nothing")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = "",
) -> None:
    """Applies the deployments (schedules, parameters, limits, retries) of a profile's collection to the running stack.

    Each collection has its own, so a stack runs several: those of other collections stay as they are.

    Examples:

        fingerpost deploy --profile products.toml

        fingerpost deploy --list
    """
    from fingerpost.flows.ops.stack.deployments import deploy as apply
    from fingerpost.flows.ops.stack.deployments import deployed
    from fingerpost.flows.ops.stack.state import api_of, connection

    if listed:
        _show_deployments(deployed(api_of(connection(home))), as_json=as_json)
        return
    found = apply(
        home=home,
        profile=profile,
        only=tuple(only or ()),
        paused=paused,
        file=file,
        say=lambda line: echo(line, err=True),
    )
    _show_deployments(found, as_json=as_json)


def undeploy(
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="collection whose deployments are removed", show_default=False)
    ] = "",
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="profile that names the collection", show_default=False)
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="the deployments of all collections")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="only the deployment of this flow (may be repeated)", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = "",
) -> None:
    """Takes a collection off the schedule: removes its deployments and their planned runs. The store stays as it is.

    Examples:

        fingerpost undeploy --collection products

        fingerpost undeploy --all
    """
    from fingerpost.flows.ops.stack.deployments import undeploy as remove
    from fingerpost.flows.run.profiles import load_settings

    if sum(map(bool, (collection, profile, everything))) != 1:
        raise UsageError("undeploy: expected one of --collection, --profile and --all; name what to remove")
    named = collection or (load_settings(profile)[0].input.collection if profile else "")
    gone = remove(
        home=home,
        collection=named,
        everything=everything,
        only=tuple(only or ()),
        say=lambda line: echo(line, err=as_json),
    )
    if as_json:
        echo_json([asdict(deployment) for deployment in gone])


def _show_deployments(found: "list[Deployed]", *, as_json: bool) -> None:
    if as_json:
        echo_json([asdict(deployment) for deployment in found])
        return
    for deployment in found:
        state = " (paused)" if deployment.paused else ""
        profile = f", profile {deployment.profile}" if deployment.profile else ""
        words = f"{deployment.name}{state}: {'; '.join(deployment.schedules) or 'no schedule'}{profile}"
        echo(f"{words}; {deployment.problem}" if deployment.problem else words)


def doctor(as_json: JsonOption = False, home: HomeOption = "", store: StoreOption = "") -> None:
    """Checks versions, extensions, disk, store, database, ports, clock, worker, and that a schedule creates runs.

    Example: fingerpost doctor
    """
    from fingerpost.flows.ops.stack.doctor import diagnose
    from fingerpost.flows.ops.stack.state import find_home, read_state
    from fingerpost.flows.run.console import styled, table_of, wide_console
    from fingerpost.schemas.store import find_store

    state = read_state(find_home(home))
    found = list(diagnose(home=home, store=store or (state.store if state and state.runs else find_store())))
    if as_json:
        echo_json([asdict(check) for check in found])
    else:
        table = table_of("", "check", "", "found", "what to do")
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        for check in found:
            table.add_row(check.name, styled((check.status, colours[check.status])), check.found, check.advice)
        wide_console().print(table)
    if any(check.status == "fail" for check in found):
        raise typer.Exit(1)
