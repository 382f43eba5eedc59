"""What larger graphs cost: ``python -m tests.bench.bench_kg_growth [--entities 10000 100000 1000000] [--quick]``.

Two graphs of as many entities each (graph_names.py), from their neighbourhoods to the score of every candidate, each size in a
process of its own (graph_growth.py). CPU seconds by part, the greatest memory, the share of true pairs among the candidates,
and the exponents of both in the number of entities. Then the same a day later with a hundredth of the entities changed
(graph_refresh.py): the CPU seconds of the refresh beside those of the full run. Shards run one after the other in one process, so that the memory is that
of all; workers multiply it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.bench.results import ROOT, print_table, write_rows

#: What a million entities may take.
MEMORY_MB = 8_192
#: What a day with few changes costs.
_LATER = ("refresh_", "decisions_", "changed_", "compared_", "scored_")


def growth_row(entities: int) -> dict[str, Any]:
    """The costs of one size."""
    row: dict[str, Any] = {
        "dataset": "packages and people",
        "contender": "fingerpost",
        "setting": f"{entities:,} a side",
    }
    with tempfile.TemporaryDirectory() as folder:
        for module, *given in (
            ("graph_growth", "make", folder, str(entities)),
            ("graph_growth", "run", folder, str(entities)),
            ("graph_refresh", folder),
        ):
            command = [sys.executable, "-m", f"tests.bench.{module}", *given]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            row |= json.loads(done.stdout.splitlines()[-1])
    return row | {"refresh_share": row["refresh_s"] / row["all_s"]}


def exponents(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The exponents e of value ~ entities ** e, by least squares over logarithms."""
    sizes = np.log([row["entities"] for row in rows])
    names = [name for name in rows[0] if name.endswith(("_s", "_mb")) and all(row[name] for row in rows)]
    slopes = {name: float(np.polyfit(sizes, np.log([row[name] for row in rows]), 1)[0]) for name in names}
    return {"dataset": rows[0]["dataset"], "contender": "fingerpost", "setting": "exponent", **slopes}


def main() -> None:
    """Measure, print and write ``bench-results/kg_growth.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--quick", action="store_true", help="10,000 and 30,000 entities")
    options = parser.parse_args()
    rows = [growth_row(entities) for entities in ([10_000, 30_000] if options.quick else options.entities)]
    most = max(row["memory_mb"] for row in rows)
    if len(rows) > 1:
        rows.append(exponents(rows))
    for names in (
        ("entities", "pairs", "recall", "wall_s", "memory_mb", "all_s"),
        tuple(name for name in _costs(rows[0], "_s") if not name.startswith(_LATER)),
        tuple(name for name in _costs(rows[0], "_mb") if not name.startswith(_LATER)),
        ("refresh_share", *(name for name in rows[0] if name.startswith((*_LATER, "untouched", "events")))),
    ):
        kept = ("dataset", "contender", "setting", *names)
        print_table([{name: row.get(name) for name in kept} for row in rows], "An alignment as graphs grow")
    print(f"greatest memory: {most:,.0f} MB of {MEMORY_MB:,} allowed")
    print(f"written to {write_rows('kg_growth', rows, quick=options.quick)}")


def _costs(row: dict[str, Any], end: str) -> tuple[str, ...]:
    return tuple(name for name in row if name.endswith(end) and name not in ("wall_s", "memory_mb", "all_s"))


if __name__ == "__main__":
    main()
