"""Makes the virtual environment that `make` uses: pinned packages, extensions, bytecode, only where something changed.

Run by the system's Python. A lock lets two `make` at once take turns.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
#: Folders whose modules are compiled to bytecode.
MODULES = ("flows", "tasks", "schemas", "ext", "infra", "src", "tests")

#: Files of packages that are not compiled ahead: tests, and the clients of Kubernetes, a quarter of all lines, which nothing imports.
UNCOMPILED = "site-packages/(.*/)?(tests?|kubernetes|kubernetes_asyncio)/"


def digest(*patterns: str) -> str:
    """A hash of the files that match, by name and content."""
    found = hashlib.sha256(f"{sys.version}\0{ROOT}".encode())
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def times(*patterns: str) -> str:
    """A hash of the names and times of change of the files that match: bytecode is of a file's time, not of its content."""
    files = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    found = "\0".join(f"{path}\0{path.stat().st_mtime_ns}" for path in files)
    return hashlib.sha256(f"{sys.version}\0{found}".encode()).hexdigest()


def stale(name: str, value: str) -> bool:
    """Whether a step must run again: its inputs are not those noted after it last succeeded."""
    stamp = VENV / f"{name}.stamp"
    return not stamp.is_file() or stamp.read_text() != value


def install(python: str) -> None:
    """Puts the pinned packages and this project into the environment, on all cores: extensions are built while packages come."""
    import tomllib  # not in Pythons that `main` refuses

    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, constraints = stated["project"], {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    environment = os.environ | constraints | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    # pip would compile file after file, tests and all.
    pip = [python, "-m", "pip", "install", "-q", "--no-compile"]
    print("  tools of the build ...", flush=True)
    subprocess.run([*pip, *stated["build-system"]["requires"]], check=True, env=environment, cwd=ROOT)
    build = [python, "setup.py", "-q", "build_ext", "--inplace"]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(build, cwd=ROOT, stdout=said, stderr=said) as extensions,
    ):
        try:
            print("  pinned packages, and at the same time the extensions ...", flush=True)
            needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
            subprocess.run([*pip, *needed], check=True, env=environment, cwd=ROOT)
            packages = subprocess.check_output([python, "-c", "import sysconfig as s; print(s.get_path('purelib'))"])
            print("  bytecode of the packages ...", flush=True)
            # Not an error where some packages bring templates that end in .py and are no Python.
            compiled = [python, "-m", "compileall", "-qq", "-j", "0", "-x", UNCOMPILED, packages.decode().strip()]
            subprocess.run(compiled, check=False, cwd=ROOT)
        except BaseException:
            extensions.terminate()
            raise
        if extensions.poll() is None:
            print("  the rest of the extensions ...", flush=True)
        if extensions.wait():
            said.seek(0)
            print(said.read(), file=sys.stderr)
            raise subprocess.CalledProcessError(extensions.returncode, build)
    built = environment | {"FINGERPOST_EXTENSIONS": "built"}
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True, env=built, cwd=ROOT)


def main() -> None:
    """Creates the environment, installs what is pinned, builds the extensions."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whatever Python the system has runs this file
        sys.exit(f"make: expected Python 3.11 or newer, found {sys.version.split()[0]}; set PYTHON=python3.11")
    with open(ROOT / ".venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = VENV / "bin" / "python"
        packages = digest("pyproject.toml", "constraints.txt", "setup.py")
        extensions = digest("ext/*.pyx", "ext/*.pxd", "ext/*.hpp", "ext/sources.py", "setup.py", "pyproject.toml")
        if stale("packages", packages):
            print("setting up .venv (some minutes the first time) ...", flush=True)
            began = time.monotonic()
            if not python.is_file():
                print("  the environment itself ...", flush=True)
                venv.create(VENV, with_pip=True)
            install(str(python))
            (VENV / "packages.stamp").write_text(packages)
            (VENV / "extensions.stamp").write_text(extensions)
            print(f"set up after {time.monotonic() - began:.0f} s", flush=True)
        elif stale("extensions", extensions):
            print("building the extensions ...", flush=True)
            subprocess.run([python, "setup.py", "-q", "build_ext", "--inplace"], check=True, cwd=ROOT)
            (VENV / "extensions.stamp").write_text(extensions)
        # Containers often forbid Python to write bytecode, and then every process of a run compiles all modules again.
        modules = times(*(f"{folder}/**/*.py" for folder in MODULES))
        if stale("bytecode", modules):
            # pytest compiles tests in its own way.
            skipped = r"/test_\w+\.py$"
            subprocess.run([python, "-m", "compileall", "-q", "-j", "0", "-x", skipped, *MODULES], check=True, cwd=ROOT)
            (VENV / "bytecode.stamp").write_text(modules)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as problem:
        sys.exit(
            f"make: expected `{' '.join(str(part) for part in problem.cmd[:4])} ...` to succeed, it returned"
            f" {problem.returncode}; its messages are above (a C++ compiler and Python's headers are needed)"
        )
