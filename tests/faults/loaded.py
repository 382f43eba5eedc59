"""The tests with processes of their own, again and again, beside processes that keep the cores busy.

Outside the test suite: ``make test-loaded``. Prints a line a run and the tests that failed; the exit code is 1 if any did.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKED = "stack or prefect or slow"


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Processes that compute all the time, until the end of the context."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def run_tests() -> tuple[str, list[str]]:
    """Runs them once: pytest's closing line, and a line for each test that failed."""
    command = [sys.executable, "-m", "pytest", "-n", "3", "--dist", "loadscope", "--no-loadscope-reorder", "-m", MARKED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failed:
        failed = [f"pytest ended with {done.returncode}"]
    return lines[-1].strip("= "), failed


def main() -> int:
    """Prints what became of each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", type=int, default=3)
    given, failures = parser.parse_args(), 0
    with busy(given.busy):
        for run in range(given.runs):
            started = time.monotonic()
            closing, failed = run_tests()
            failures += bool(failed)
            print(f"run {run + 1}: {closing}; {time.monotonic() - started:.0f} s", *failed, sep="\n  ", flush=True)
    print(f"{given.runs - failures} of {given.runs} runs passed beside {given.busy} busy processes")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
