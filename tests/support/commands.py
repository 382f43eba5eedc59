"""Commands of `fingerpost`: in a process of their own, as a user types them, or in this one, which saves its start."""

import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest

from fingerpost.flows.cli import main


def fingerpost(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fingerpost.flows.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        check=False,
    )


def fingerpost_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command in this process, through the same ``main``."""
    out, err = StringIO(), StringIO()
    command = ["fingerpost", *arguments]
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(sys, "argv", command),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        main()
    code = left.value.code
    return subprocess.CompletedProcess(command, code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


def refused(*arguments: str, cwd: Path, own_process: bool = False, code: int | None = None) -> str:
    """The one line that a user's mistake gives; code: the exit code, where it matters which of 1 and 2 it is."""
    done = (fingerpost if own_process else fingerpost_here)(*arguments, cwd=cwd)
    assert done.returncode in ((1, 2) if code is None else (code,)), done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line
