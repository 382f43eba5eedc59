"""Supervision with toy children: one that ignores being asked to end, one that leaves its session, one that keeps dying."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fingerpost.flows.ops.stack import processes
from fingerpost.flows.ops.stack.processes import (
    MARK,
    Child,
    StackError,
    Supervisor,
    alive,
    end,
    marked,
    same_process,
    start_time,
)

pytestmark = pytest.mark.slow

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
#: Starts a process in a session of its own, as Prefect's worker does with a flow run, and dies.
RUNAWAY = (
    f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True);"
    " time.sleep(0.5)"
)


def child(name: str, code: str, *, stack: str = "test", ready: str = "up", folder: Path) -> Child:
    def answers() -> bool:
        log = folder / f"{name}.log"
        return log.is_file() and ready in log.read_text()

    return Child(name, (sys.executable, "-c", code), {**os.environ, MARK: stack}, answers)


def supervisor(folder: Path, *children: Child) -> tuple[Supervisor, list[str]]:
    lines: list[str] = []
    return Supervisor(children, folder, say=lines.append, changed=lambda: None), lines


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_that_ignores_being_asked_to_end_is_killed(tmp_path: Path) -> None:
    watched, _ = supervisor(tmp_path, child("stubborn", STUBBORN, folder=tmp_path))
    watched.start(timeout=60, stopping=lambda: False)
    pid = int(watched.started()["stubborn"]["pid"])
    began = time.monotonic()
    watched.stop(grace=0.5)
    assert 0.5 <= time.monotonic() - began < 30
    assert not psutil.pid_exists(pid)


def test_what_a_dead_child_left_in_another_session_is_found_and_ended(tmp_path: Path) -> None:
    stack = f"runaway-{os.getpid()}"
    watched, lines = supervisor(tmp_path, child("runaway", RUNAWAY, stack=stack, folder=tmp_path))
    watched.start(timeout=60, stopping=lambda: False)
    until(lambda: bool(watched.tend() or lines))
    assert any("sleep(60)" in " ".join(process.cmdline()) for process in marked(stack))
    watched.stop(grace=0.3)
    # More than one has to be killed where the child that was started again got as far before it was ended.
    assert end(marked(stack), grace=0.3) >= 1
    assert marked(stack) == []


def test_what_was_there_before_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        watched, _ = supervisor(tmp_path, child("kept", STUBBORN, folder=tmp_path))
        watched.start(timeout=60, stopping=lambda: False)
        watched.stop(grace=0.3)
        assert other.poll() is None
        other.communicate(b"\n")
    assert other.returncode == 0


def test_a_child_that_keeps_dying_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RESTARTS", 1)
    dying = child("dying", "import sys; print('no such disk', flush=True); sys.exit(3)", ready="never", folder=tmp_path)
    watched, lines = supervisor(tmp_path, dying)
    with pytest.raises(StackError, match=r"dying: expected it to stay up, .* exit code 3.*no such disk"):
        watched.start(timeout=60, stopping=lambda: False)
    assert lines == ["dying ended with exit code 3; restarting it (1 of 1)"]
    watched.stop(grace=0.3)


def test_a_child_that_does_not_answer_in_time_is_named(tmp_path: Path) -> None:
    watched, _ = supervisor(tmp_path, child("silent", STUBBORN, ready="never", folder=tmp_path))
    with pytest.raises(StackError, match="silent: expected it to answer within 1 s"):
        watched.start(timeout=1, stopping=lambda: False)
    watched.stop(grace=0.3)


def test_a_number_that_another_process_got_is_not_ours(tmp_path: Path) -> None:
    ours = start_time(os.getpid())
    assert same_process(os.getpid(), ours)
    assert not same_process(os.getpid(), ours - 5)
    assert not same_process(2**22 - 3, ours)


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at the parent's death is Linux's")
def test_children_are_asked_to_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from tests.ops.test_processes import child, supervisor
watched, _ = supervisor(Path({str(tmp_path)!r}), child("orphan", "import time; print('up', flush=True); time.sleep(60)", folder=Path({str(tmp_path)!r})))
watched.start(timeout=60, stopping=lambda: False)
print(int(watched.started()["orphan"]["pid"]), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        assert alive(orphan)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not alive(orphan))


def test_ending_takes_along_what_lies_below(tmp_path: Path) -> None:
    nested = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True);"
        " time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", nested], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        below = psutil.Process(parent.pid).children()
        assert end([psutil.Process(parent.pid)], grace=0.5) == 1
    assert not any(alive(process.pid) for process in below)
