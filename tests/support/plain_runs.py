"""Flows as their own code runs them, without Prefect: no server, no task run, nothing to wait for. Plots are left blank.

A test of what a flow makes, publishes or refuses uses the fixture ``plain_runs`` of tests/conftest.py; one of what Prefect does with
it (states, artifacts, retries, deployments) uses ``prefect_server`` or ``stack``; one of what a report shows uses ``drawn_runs``
instead. A plot that cannot be drawn fails no run, so the others prove nothing about plots.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

from prefect import Flow, Task

from fingerpost.flows.report import page, plots
from fingerpost.flows.run import server, start
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.environment import current_environment
from fingerpost.tasks.stage import Stage

#: A plot that nobody looks at.
BLANK = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'


class _NoServer(server.OwnServer):
    """Stands for the server of a run that needs none."""

    def __init__(self) -> None: ...

    def wait(self) -> None:
        """Returns at once."""


def _executed(stage: Stage, *inputs: Any, **parameters: Any) -> Ref:
    """The artifact of a stage in the environment of the running flow."""
    return stage.execute(current_environment(), *inputs, **parameters)


def _called(wrapped: Any, *arguments: Any, **named: Any) -> Any:
    """The result of the function of a flow or task."""
    return wrapped.fn(*arguments, **named)


class _Blank(dict[str, str]):
    """Drawings of an earlier report that has one of everything."""

    def get(self, key: str, default: Any = None) -> str:
        """A drawing."""
        return BLANK


@contextmanager
def _blank_plots(latest: str = "") -> Iterator[None]:
    """Within it plots are blank; in place of ``drawings_of``."""
    token = plots._earlier.set(_Blank())
    try:
        yield
    finally:
        plots._earlier.reset(token)


def _blank_key(draw: Callable[..., str], shown: str) -> str:
    """A key under which no plot is kept that is drawn."""
    return f"blank {draw.__qualname__} {shown}"


@contextmanager
def without_prefect(*, drawn: bool = False) -> Iterator[None]:
    """Within it a flow, a task and a stage are plain functions of this process, and no run looks for a server."""
    with ExitStack() as patches:
        if not drawn:
            patches.enter_context(mock.patch.object(page, "drawings_of", _blank_plots))
            patches.enter_context(mock.patch.object(plots, "_digest", _blank_key))
        for target, name, plain in (
            (Flow, "__call__", _called),
            (Task, "__call__", _called),
            (Stage, "__call__", _executed),
            (server, "_serving", SimpleNamespace(get=_NoServer)),
            # It has Prefect read all of its settings anew.
            (start, "without_heartbeat", nullcontext),
        ):
            patches.enter_context(mock.patch.object(target, name, plain))
        patches.enter_context(unchanging_code())
        yield
