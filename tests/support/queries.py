"""Files of real queries."""

import csv
from collections.abc import Sequence
from pathlib import Path


def write_queries(
    path: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = ("query", "id", "grade")
) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)
