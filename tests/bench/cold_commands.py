"""A question asked by a command that starts and ends: time and memory of ``query`` and ``rank``, one at once and sixty.

    FINGERPOST_STORE=STORE python -m tests.bench.cold_commands [--rounds 7] [--together 20,60]

STORE has a published index and ranker, such as ``make run`` leaves. FINGERPOST_BEFORE names the checkout, built, of the
version to compare with, and FINGERPOST_BEFORE_STORE a store that this made of the same input; both sides then answer in
turns. Seconds are of the whole process, CPU and wall. Memory: the peak (RSS), and when it has answered what is its own and its part
of what processes share (PSS). Of many at once all are held until the last has answered, and the PSS of all is summed.
"""

import argparse
import os
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench.results import results_folder, write_rows

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (("query", "shortest path in a graph"), ("rank", "return a sorted copy of an array"))
#: The command, and after it a line, and no end before the input has one.
_HELD = (
    "import os, sys\n"
    "from fingerpost.flows.cli import main\n"
    "code = 0\n"
    "try: main()\n"
    "except SystemExit as end: code = end.code or 0\n"
    "sys.stdout.flush(); print(f'answered {code}', flush=True); sys.stdin.read(); os._exit(code)\n"
)


@dataclass(frozen=True)
class Side:
    """A version: its name, the folder of its checkout, and its store."""

    name: str
    folder: Path
    store: str

    def start(self, command: Sequence[str], *, held: bool) -> "subprocess.Popen[bytes]":
        """The command as a process of its own."""
        python = str(self.folder / ".venv" / "bin" / "python")
        environment = {**os.environ, "FINGERPOST_STORE": self.store}
        # Programs are installed with their bytecode, which some environments forbid to write.
        environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
        run = [python, "-c", _HELD, *command] if held else [str(self.folder / ".venv" / "bin" / "fingerpost"), *command]
        pipe = subprocess.PIPE if held else subprocess.DEVNULL
        return subprocess.Popen(
            run, cwd=self.folder, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU and wall, and megabytes: peak RSS and PSS."""

    cpu: float = 0.0
    wall: float = 0.0
    peak: float = 0.0
    pss: float = 0.0


def alone(side: Side, command: Sequence[str]) -> Cost:
    """One process from its start to its end; once more for its PSS when it has answered."""
    began = os.times().elapsed
    process = side.start(command, held=False)
    _, status, used = os.wait4(process.pid, 0)
    wall = os.times().elapsed - began
    if status:
        raise SystemExit(f"{side.name} {command}: expected an answer, got status {status}; ask it by hand")
    cost = Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)
    return replace(cost, pss=together(side, command, 1)["pss"])


def together(side: Side, command: Sequence[str], count: int) -> dict[str, float]:
    """Many processes at once: how many answered, the sum of their PSS, and what the machine has less, in MB."""
    before = _available()
    processes = [side.start(command, held=True) for _ in range(count)]
    answered = sum(_answered(process) for process in processes)
    pss = sum(_pss(process.pid) for process in processes)
    row = {"answered": float(answered), "pss": pss, "machine": before - _available()}
    for process in processes:
        process.communicate()
    return row


def _answered(process: "subprocess.Popen[bytes]") -> bool:
    assert process.stdout is not None
    return any(
        line.strip() == b"answered 0" for line in iter(process.stdout.readline, b"") if line.startswith(b"answered")
    )


def _pss(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _available() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))


def _median(costs: Sequence[Cost]) -> dict[str, float]:
    return {name: round(statistics.median(getattr(cost, name) for cost in costs), 3) for name in Cost.__annotations__}


def measure(sides: Sequence[Side], *, rounds: int, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Rows of each command and side, as they are measured; the ratios are those of the first side to the last."""
    for command in COMMANDS:
        costs: dict[str, list[Cost]] = {side.name: [] for side in sides}
        for side in sides:
            alone(side, command)  # its files are in the memory of the machine then, and its bytecode is written
        for _ in range(rounds):
            for side in sides:
                costs[side.name].append(alone(side, command))
        medians = {name: _median(found) for name, found in costs.items()}
        first, last = (medians[side.name] for side in (sides[0], sides[-1]))
        ratios = {f"{name}_ratio": round(first[name] / last[name], 3) for name in first} if len(sides) > 1 else {}
        for side in sides:
            row: dict[str, Any] = {"command": command[0], "version": side.name, "processes": 1, **medians[side.name]}
            yield row | (ratios if side is sides[0] else {})
    for count in counts:
        found = together(sides[0], COMMANDS[0], count)
        yield {"command": COMMANDS[0][0], "version": sides[0].name, "processes": count, **found}


def main() -> None:
    """Measures, prints and writes the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--together", default="20,60", help="numbers of processes at once, by commas")
    given = parser.parse_args()
    sides = [Side("this", ROOT, os.environ["FINGERPOST_STORE"])]
    if before := os.environ.get("FINGERPOST_BEFORE"):
        sides.append(Side("before", Path(before), os.environ["FINGERPOST_BEFORE_STORE"]))
    counts = [int(count) for count in given.together.split(",") if count]
    rows = []
    for row in measure(sides, rounds=given.rounds, counts=counts):
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    print(f"rows: {write_rows('cold-commands', rows).relative_to(results_folder().parent)}")


if __name__ == "__main__":
    main()
