"""Whether the runbook can be tried; trying it is ``make runbook``."""

import re

import pytest

from fingerpost.flows.cli import app
from tests.bench.runbook import _BEFORE, RUNBOOK, blocks


def test_every_block_is_run_or_says_why_not() -> None:
    found = blocks(RUNBOOK.read_text())
    names = [block.name for block in found if not block.skipped]
    assert len(set(names)) == len(names) > 20
    assert set(_BEFORE) <= set(names)
    with pytest.raises(ValueError, match="expected `run: name` or `not run: reason`"):
        blocks("text\n\n```sh\nfingerpost down\n```\n")


def test_the_runbook_names_only_commands_that_there_are() -> None:
    functions = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known = {name.replace("_", "-") for name in functions}
    known |= {group.name for group in app.registered_groups if group.name}
    named = set(re.findall(r"(?:^|`)fingerpost ([a-z]+(?:-[a-z]+)*)", RUNBOOK.read_text(), re.MULTILINE))
    assert named <= known, named - known
    assert len(named) > 15
