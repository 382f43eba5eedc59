"""Too little memory: told from other faults, looked for before a large file is read, and counted."""

import resource
import subprocess
import sys

import pyarrow as pa
import pytest

from fingerpost.schemas import memory
from fingerpost.schemas.errors import InsufficientMemoryError
from fingerpost.schemas.memory import LARGE, check_memory_for, free_memory, lacks_memory, tell_memory


def caused(problem: Exception, cause: Exception) -> Exception:
    problem.__cause__ = cause
    return problem


@pytest.mark.parametrize(
    ("problem", "lacking"),
    [
        (MemoryError(), True),
        (pa.ArrowMemoryError("malloc of size 1024 failed"), True),
        (OSError("Memory mapping file failed: Cannot allocate memory"), True),
        (ImportError("libarrow.so: failed to map segment from shared object"), True),
        (caused(ImportError("numpy cannot be imported"), ImportError("x.so: cannot allocate memory")), True),
        (pa.ArrowInvalid("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"), True),
        (pa.ArrowInvalid("Not an Arrow file"), False),
        (caused(ImportError("no module"), KeyError("name")), False),
    ],
)
def test_errors_for_want_of_memory_are_told_from_others(problem: Exception, lacking: bool) -> None:
    assert lacks_memory(problem) == lacking
    if not lacking:
        tell_memory(problem, "a file")
        return
    with pytest.raises(InsufficientMemoryError, match="memory: expected enough for a file, found none"):
        tell_memory(problem, "a file")


def test_a_large_file_is_not_begun_without_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: LARGE // 2)
    check_memory_for(LARGE, "a small file")
    with pytest.raises(
        InsufficientMemoryError, match=r"memory: expected 134 MB for a large file, found 34 MB; end other"
    ):
        check_memory_for(2 * LARGE, "a large file")


def test_what_is_free_is_below_the_limit_of_the_process() -> None:
    assert 0 < free_memory() < 2**50
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    assert limit == resource.RLIM_INFINITY or free_memory() <= limit
    program = (
        "import resource; from fingerpost.schemas.memory import free_memory\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({2 * LARGE}, {2 * LARGE})); print(free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 <= int(done.stdout) < 2 * LARGE
