"""Groups of tests that run in one process: those of the one stack, those of the stack that is guarded, those of the one Prefect
harness, and the rest file by file.

pytest-xdist 3.8 has groups of its own, but loses them with pytest 9.2, whose node ids cannot be changed. So each process of a session
writes down which test is of which group, and the scheduler of the first process reads it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

#: Groups whose tests share what a session starts once, and the fixture that says so.
SHARED = {"stack": "stack", "prefect": "prefect_server"}
#: The files whose tests share the guarded stack; the last of them kills it.
_GUARDED = tuple(f"tests/ops/test_{name}.py" for name in ("authentication", "same_elsewhere", "stack_cut_off"))
#: Marks of the groups that take long, the longest first.
_LONG = ("stack", "slow", "prefect")


def group_of(item: pytest.Item) -> str:
    """The name of a test's group."""
    needed = set(getattr(item, "fixturenames", ()))
    shared = next((name for name, fixture in SHARED.items() if fixture in needed), "")
    file = item.nodeid.partition("::")[0]
    return shared or ("guarded" if file in _GUARDED else file)


def long_first(item: pytest.Item) -> tuple[int, bool]:
    """A key that sorts tests of long groups before others, so that processes which share them out end at about the same time."""
    marks = [_LONG.index(mark.name) for mark in item.iter_markers() if mark.name in _LONG]
    return min(marks, default=len(_LONG)), not item.nodeid.startswith(("tests/ops", "tests/faults", "tests/flows"))


def write_groups(folder: Path, groups: Mapping[str, str]) -> None:
    """Writes down the group of each test."""
    part = folder / f"groups-{os.getpid()}"
    part.write_text(json.dumps(groups))
    part.rename(folder / "groups.json")


def scheduling(folder: Path, config: pytest.Config, log: object) -> "LoadScopeScheduling":
    """A scheduler that gives each group to one process."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        groups: Mapping[str, str] = {}

        def _split_scope(self, nodeid: str) -> str:
            self.groups = self.groups or json.loads((folder / "groups.json").read_text())
            return self.groups[nodeid]

    return GroupScheduling(config, log)  # type: ignore[arg-type]
