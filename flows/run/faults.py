"""What a command says of an error that no part of Fingerpost raised: one line, and details where it is our mistake.

A fault of the machine (a full disk, a permission, settings of Prefect or Dask that cannot be read, a server that is
gone) is told with its remedy. Anything else is a mistake of Fingerpost, whose details are kept in a file. Imports
neither Prefect nor Dask.
"""

import errno
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.memory import ADVICE, lacks_memory
from fingerpost.schemas.urls import without_credentials
from fingerpost.schemas.wording import cut

#: Packages whose errors mean that a server did not answer as it should.
_CONNECTIONS = {"httpx", "httpcore", "websockets"}
#: What to do about errors of the operating system that are no mistake of a program.
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some disk space and run again; committed artifacts are kept"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "grant this user access to it, or choose another place"),
    errno.EROFS: "make it writable, or choose another place",
    errno.ENOTDIR: "correct the path, one of whose folders is a file",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "correct the link, which leads to itself",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (`ulimit -n`)"),
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), "end other programs, or use fewer workers"),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "check the disk or the network behind it"),
    **dict.fromkeys(
        (
            errno.ECONNREFUSED,
            errno.ECONNRESET,
            errno.ETIMEDOUT,
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
            errno.EADDRINUSE,
        ),
        "check that the program at the other end runs and can be reached",
    ),
}


def told(problem: BaseException) -> str:
    """The line that names an error and its remedy."""
    problem = _innermost(problem)
    if isinstance(problem, FingerpostError):
        return " ".join(str(problem).split())
    files = [Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(problem.__traceback__)]
    for explain in (_of_settings, _of_machine, _of_connection):
        if line := explain(problem, files):
            return without_credentials(line)
    return _of_ours(problem)


def said(problem: BaseException, *, most: int = 300) -> str:
    """The kind of an error and the first of what it says, without credentials."""
    text = " ".join(str(problem).split())
    return cut(without_credentials(f"{type(problem).__name__}: {text}" if text else type(problem).__name__), most)


def kept_details(text: str) -> str:
    """Keeps a text in a new file that this user alone can read; its path, or the reason why there is none."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="fingerpost-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(without_credentials(text))
    except OSError as problem:
        return f"(no file: {problem.strerror or problem})"
    return path


def _innermost(problem: BaseException) -> BaseException:
    """The first of the errors that a group holds."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _of_settings(problem: BaseException, files: list[Path]) -> str:
    """Of settings that Prefect or Dask read before they do anything."""
    if isinstance(problem, RuntimeError) and "home directory" in str(problem):
        return "HOME: expected the folder of this user, found none; set HOME to a folder that can be written"
    if _pass_through(files, lambda file: file.parts[-2:] in {("dask", "config.py"), ("distributed", "config.py")}):
        where = os.environ.get("DASK_CONFIG") or "~/.config/dask"
        return (
            f"Dask's settings: expected files of YAML that can be read, found {said(problem)}; correct them: DASK_CONFIG"
            f" ({where}) or a variable DASK_…"
        )
    if _pass_through(files, lambda file: "pydantic_settings" in file.parts or {"prefect", "settings"} <= {*file.parts}):
        return (
            f"Prefect's settings: expected valid ones, found {said(problem)}; correct a variable PREFECT_…, the profile in"
            " PREFECT_HOME (~/.prefect), prefect.toml or .env"
        )
    return ""


def _of_machine(problem: BaseException, files: list[Path]) -> str:
    if lacks_memory(problem) and not isinstance(problem, OSError):
        return f"memory: expected enough for this, found no more ({said(problem, most=120)}); {ADVICE}"
    if isinstance(problem, UnicodeEncodeError):
        return (
            f"output: expected it to take every character, found one that {problem.encoding} has not; set"
            " PYTHONIOENCODING=utf-8, or correct the argument if it is not text"
        )
    if isinstance(problem, ImportError) and not (problem.name or "").startswith("fingerpost"):
        return f"packages: expected them to be complete, found {said(problem)}; install Fingerpost again"
    if isinstance(problem, OSError) and not isinstance(problem, TimeoutError):
        name = problem.filename
        where = cut(os.fsdecode(name) if isinstance(name, str | bytes) else _doing(files), 300)
        found = problem.strerror or said(problem)
        advice = _ADVICE.get(problem.errno or 0) or f"the details are in {kept_details(_details(problem))}"
        return f"{where}: expected it to work, found {found}; {advice}"
    return ""


def _of_connection(problem: BaseException, files: list[Path]) -> str:
    """Of a server that went away, or did not answer as it should."""
    packages = {kind.__module__.split(".")[0] for kind in type(problem).__mro__}
    if isinstance(problem, TimeoutError) or packages & _CONNECTIONS or _is_unreachable(problem):
        return (
            f"server: expected an answer, found {said(problem)}; check that it runs (`fingerpost doctor` looks) and run"
            " again, finished stages are kept"
        )
    return ""


def _is_unreachable(problem: BaseException) -> bool:
    """Whether Prefect said that it reached no server, which it raises as a plain RuntimeError."""
    return isinstance(problem, RuntimeError) and "Failed to reach API" in str(problem)


def _of_ours(problem: BaseException) -> str:
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [frame for frame in frames if "fingerpost" in Path(frame.filename).parts] or frames
    where = f" in {'/'.join(Path(ours[-1].filename).parts[-3:])}:{ours[-1].lineno}" if ours else ""
    return (
        f"internal error: expected none, found {said(problem, most=200)}{where}; report it with its details, which are in"
        f" {kept_details(_details(problem))}"
    )


def _details(problem: BaseException) -> str:
    return "".join(traceback.format_exception(problem))


def _doing(files: list[Path]) -> str:
    """What failed, where the operating system names no file."""
    return f"{files[-1].stem} of this machine" if files else "this machine"


def _pass_through(files: list[Path], wanted: Callable[[Path], bool]) -> bool:
    return any(map(wanted, files))
