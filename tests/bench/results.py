"""What the benchmark scripts share: the machine, timing, tables and the files in ``bench-results/``.

A row is a dict: dataset, contender, setting, metrics by name, and where there is a rival ``ratio`` and ``rival`` (a ratio
above 1 is always in favour of the contender).
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

T = TypeVar("T")
Row = Mapping[str, Any]

ROOT = Path(__file__).resolve().parent.parent.parent
#: Columns that come first, and those that come last; metrics lie between.
FIRST = ("dataset", "contender", "setting")
LAST = ("ratio", "rival")


def results_folder() -> Path:
    """``bench-results/`` in the checkout, made where it is absent; git ignores it."""
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    return folder


def machine() -> dict[str, Any]:
    """CPU, cores, memory, system and Python of this machine; no host name."""
    cpu, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        cpu, flags = fields.get("model name", cpu), fields.get("flags", "")
    simd = [name for name in ("avx2", "avx512f", "avx512_vnni") if name in flags.split()]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "cpu": cpu,
        "simd": simd,
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "day": time.strftime("%Y-%m-%d"),
    }


def describe_machine() -> str:
    """The machine in one line."""
    found = machine()
    simd = "/".join(found["simd"]) or "no AVX2"
    return (
        f"{found['cpu']}, {found['cores']} cores, {simd}, {found['memory_gib']} GiB, {found['system']}, "
        f"Python {found['python']}, {found['day']}"
    )


def cpu_seconds(function: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of this process for one call, and what it returned: on a shared machine steadier than wall time."""
    start = time.process_time()
    value = function()
    return time.process_time() - start, value


def median_of(
    function: Callable[[], T], repeats: int, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, T]:
    """The median seconds of some calls, and what the last one returned."""
    seconds = []
    for _ in range(max(1, repeats)):
        start = clock()
        value = function()
        seconds.append(clock() - start)
    return statistics.median(seconds), value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "" if value is None else str(value)


def print_table(rows: Sequence[Row], title: str = "") -> None:
    """Prints rows as a table with a column for every name that occurs; large numbers without decimals."""
    names = [name for row in rows for name in row if name not in FIRST + LAST]
    columns = [*FIRST, *dict.fromkeys(names), *LAST]
    columns = [name for name in columns if any(row.get(name) is not None for row in rows)]
    table = Table(title=title or None, caption=describe_machine())
    for name in columns:
        table.add_column(name.replace("_", " "), justify="left" if name in (*FIRST, "rival") else "right")
    for row in rows:
        table.add_row(*(_shown(row.get(name)) for name in columns))
    Console(width=None if Console().is_terminal else 160).print(table)


def write_rows(domain: str, rows: Sequence[Row], **more: Any) -> Path:
    """Writes ``bench-results/<domain>.json``: the machine, the rows, and what else is named."""
    path = results_folder() / f"{domain}.json"
    path.write_text(json.dumps({"domain": domain, "machine": machine(), **more, "rows": list(rows)}, indent=1) + "\n")
    return path
