"""Memory: how much there is, how errors say that there is too little, and the line that commands print of it."""

import contextlib
import os
import sys
from pathlib import Path

from fingerpost.schemas.errors import InsufficientMemoryError

#: What to do where there is too little.
ADVICE = (
    "end other programs, raise the limit (`ulimit -v`, or the container's) or take a larger machine; a run needs less with"
    " fewer workers and smaller shards"
)
#: Bytes of a file above which the memory for it is looked for before it is read.
LARGE = 64 * 2**20
#: How numpy, Arrow and the loader of programs say it, in lower case.
_WORDS = (
    "cannot allocate memory",
    "failed to map segment",
    "failed to launch worker thread",
    "can't start new thread",
    "malloc of size",
    "bad_alloc",
    "not enough memory",
)


def free_memory() -> int:
    """The bytes that this process can still take: of the machine, of its control group and of its own limit."""
    left = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        left = next((int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")), left)
    with contextlib.suppress(OSError, ValueError):
        limit, used, counted = (
            Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current", "stat")
        )
        # What files take is given up for what processes need.
        files = next((int(line.split()[1]) for line in counted.splitlines() if line.startswith("inactive_file ")), 0)
        left = min(left, max(int(limit) - int(used) + files, 0))
    return min(left, _below_limit())


def _below_limit() -> int:
    """The bytes of addresses that this process can still take."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    with contextlib.suppress(OSError):
        return max(limit - int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE"), 0)
    return limit


def check_memory_for(size: int, what: str) -> None:
    """InsufficientMemoryError where a large file of so many bytes does not fit into what is free; what: the file."""
    if size > LARGE and size > (free := free_memory()):
        raise InsufficientMemoryError(
            f"memory: expected {size / 1e6:,.0f} MB for {what}, found {free / 1e6:,.0f} MB; {ADVICE}"
        )


def lacks_memory(problem: BaseException) -> bool:
    """Whether an error, or the one behind it, says that there is too little memory."""
    behind = problem.__cause__
    if isinstance(problem, MemoryError) or any(words in str(problem).lower() for words in _WORDS):
        return True
    return behind is not None and lacks_memory(behind)


def tell_memory(problem: BaseException, what: str) -> None:
    """InsufficientMemoryError where it was for want of memory that something could not be read."""
    if lacks_memory(problem):
        found = " ".join(str(problem).split()) or "no more"
        raise InsufficientMemoryError(
            f"memory: expected enough for {what}, found none ({found}); {ADVICE}"
        ) from problem
