"""What the machinery around the stages costs: ``python -m tests.bench.bench_ops [--quick]``.

1. A nightly in which everything is reused, in one process with Prefect's own server: wall seconds of the whole command.
2. A profile run through the stack of ``fingerpost up``: the time of the run outside stage bodies, as a share of the whole.
   The whole is wall time of the command that runs the flow in this process against the running server.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.results import print_table, write_rows

COMMAND = (sys.executable, "-m", "fingerpost.flows.cli")


def fingerpost(*arguments: str, environment: dict[str, str]) -> tuple[float, str]:
    """Wall seconds of a command, and its output."""
    started = time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"fingerpost {' '.join(arguments)}: {done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def newest_run(environment: dict[str, str]) -> dict[str, Any]:
    """The record of the newest run."""
    found: dict[str, Any] = json.loads(fingerpost("history", "-n", "1", "--json", environment=environment)[1])
    return dict(found["runs"][0])


def reused(profile: str, repeats: int, environment: dict[str, str]) -> dict[str, Any]:
    """Wall seconds of a run that reuses everything, after one that computes everything."""
    arguments = ("run", "nightly", "--profile", profile, "--quiet")
    fingerpost(*arguments, environment=environment)
    seconds = []
    for _ in range(repeats):
        seconds.append(fingerpost(*arguments, environment=environment)[0])
        record = newest_run(environment)
        computed = {stage["stage"]: stage["reason"] for stage in record["stages"] if stage["computed"]}
        if computed:
            raise SystemExit(f"expected everything to be reused, found that {computed} ran")
    return {
        "dataset": "python-docs",
        "contender": "everything reused",
        "setting": profile,
        "seconds": statistics.median(seconds),
        "worst": max(seconds),
        "bound": 15.0,
    }


def outside(profile: str, workers: int, environment: dict[str, str]) -> dict[str, Any]:
    """The share of a run's time that no stage body accounts for, with a running server."""
    with tempfile.TemporaryDirectory() as home:
        ports = [
            argument
            for name in ("port", "dask-port", "dashboard-port", "metrics-port")
            for argument in (f"--{name}", "0")
        ]
        fingerpost("up", "--home", home, *ports, "--workers", str(workers), "--detach", environment=environment)
        try:
            state = json.loads((Path(home) / "stack.json").read_text())
            served = environment | {"PREFECT_API_URL": state["api"], "PREFECT_HOME": home}
            seconds, _ = fingerpost(
                "run", "nightly", "--profile", profile, "--set", f"run.workers={workers}", "--quiet", environment=served
            )
            record = newest_run(environment)
        finally:
            fingerpost("down", "--home", home, environment=environment)
    bodies = sum(stage["seconds"] for stage in record["stages"])
    return {
        "dataset": "python-docs",
        "contender": "running server",
        "setting": profile,
        "seconds": seconds,
        "stage_seconds": bodies,
        "outside": seconds - bodies,
        "share": (seconds - bodies) / seconds,
        "run_share": (record["seconds"] - bodies) / record["seconds"],
        "bound": 0.05,
    }


def main() -> None:
    """Runs both and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the tiny profile and one repeat, to see that it works")
    given = parser.parse_args()
    profiles = ("tiny", "tiny") if given.quick else ("nightly", "full")
    rows = []
    for measure in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"FINGERPOST_STORE": f"{folder}/store"}
            environment.pop("PREFECT_API_URL", None)
            rows.append(
                outside(profiles[1], os.cpu_count() or 1, environment)
                if measure
                else reused(profiles[0], 1 if given.quick else 5, environment)
            )
    print_table(rows, "What the machinery costs")
    write_rows("ops", rows)


if __name__ == "__main__":
    main()
