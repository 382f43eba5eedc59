"""Flows as their own code runs them, without Prefect: no server, no task run, nothing to wait for.

A test of what a flow makes, publishes or refuses uses the fixture ``plain_runs`` of tests/conftest.py; one of what Prefect does with
it
(states, artifacts, retries, deployments) uses ``prefect_server`` or ``stack``.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from prefect import Flow, Task

from fingerpost.flows.run import server
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.environment import current_environment
from fingerpost.tasks.stage import Stage


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


@contextmanager
def without_prefect() -> Iterator[None]:
    """Within it a flow, a task and a stage are plain functions of this process, and no run looks for a server."""
    with ExitStack() as patches:
        for target, name, plain in (
            (Flow, "__call__", _called),
            (Task, "__call__", _called),
            (Stage, "__call__", _executed),
            (server, "_serving", SimpleNamespace(get=_NoServer)),
        ):
            patches.enter_context(mock.patch.object(target, name, plain))
        yield
