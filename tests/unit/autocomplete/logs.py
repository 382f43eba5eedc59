"""A log of queries as a file, with users and queries that must be found nowhere."""

import csv
from collections.abc import Sequence
from pathlib import Path

from fingerpost.schemas.store import Store
from fingerpost.tasks.environment import Environment

DAY = "2026-01-02"
SALT = b"the salt of a store"
Row = tuple[str, str, str]


def log(folder: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = ("user", "time", "query")) -> str:
    """The path of a CSV with these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "log.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)


def world(folder: Path) -> Environment:
    return Environment(Store(str(folder / "store")).prepare(), "shop", DAY)


def shop(users: int = 40) -> list[Row]:
    """Sessions over the same goods: who looks for a hammer looks for nails next."""
    chains = (("hammer", "nails", "wood"), ("red paint", "brush", "ladder"), ("Hammer", "wood glue", "clamps"))
    rows = []
    for number in range(users):
        for step, query in enumerate(chains[number % 3]):
            moment = f"2026-01-{1 + number % 28:02d} 10:{step:02d}:00"
            rows.append((f"customer-{number}", moment, query))
    return rows
