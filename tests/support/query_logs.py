"""A shop's query log: users whose sessions follow a few paths, one file per day, and what must be in no artifact in clear."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.decoding import decoded_texts
from fingerpost.schemas.store import Store
from tests.support.products import write_csv

#: The paths that sessions follow; a query of one leads to the next.
PATHS = (
    ("hiking boots", "waterproof hiking boots", "hiking socks", "trekking poles"),
    ("garden hose", "garden hose reel", "lawn sprinkler", "sprinkler timer"),
    ("desk lamp", "led desk lamp", "lamp shade", "light bulb"),
    ("bread knife", "knife sharpener", "cutting board", "chef knife"),
    ("running shoes", "running shorts", "sports watch", "heart rate strap"),
    ("tent", "sleeping bag", "camping stove", "gas cartridge"),
)
#: A path that comes with the second day's file, and one that the third day's no longer has.
NEW, GONE = ("snow shoes", "snow shoe bag", "thermos flask"), ("ice axe", "crampons", "ice screw")
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
#: A query that one user alone asked, over and over; one that looks like an e-mail address; and a row without a query.
LONE, ADDRESS = "zweifelhaft personal complaint", "jane.roe@mailbox.example"
#: What the keys of users and of sessions begin with; no other text of the log does.
USER, SESSION = "visitor-key-", "visit-key-"
#: What is in no file but the input's: keys, and the query of a row that cannot be read.
UNREAD = "unread query text"
KEYS = (USER, SESSION, UNREAD)


@dataclass(frozen=True)
class Log:
    """A folder with a file of events per day, and a store."""

    folder: Path

    @property
    def store(self) -> Store:
        """The store."""
        return Store(str(self.folder / "store"))

    @property
    def pattern(self) -> str:
        """The path of the files of events, with a placeholder for the day."""
        return str(self.folder / "events-{day}.csv")

    def request(self, day: str = DAYS[0], **settings: Any) -> RunRequest:
        """The tiny profile over the events alone."""
        return RunRequest(
            profile="tiny", store=self.store.url, day=day, collection="shop", input=self.pattern, settings=settings
        )

    def nightly(self, day: str = DAYS[0], **settings: Any) -> RunRequest:
        """A nightly over the shop's products and the events."""
        return RunRequest(
            profile="tiny",
            store=self.store.url,
            day=day,
            collection="shop",
            input=str(self.folder / "products.csv"),
            columns={"id": "sku", "title": "name", "text": "about", "kind": "group"},
            settings={"autocomplete.input": self.pattern, **settings},
        )


def write_log(folder: Path, *, users: int = 24, visits: int = 3) -> Log:
    """Products, and the events of three days, each with all there is: the second has a new path, the third lacks one."""
    write_csv(folder / "products.csv", rows=60)
    for number, day in enumerate(DAYS):
        paths = (*PATHS, *((GONE,) if number < 2 else ()), *((NEW,) if number > 0 else ()))
        _write_day(folder / f"events-{day}.csv", paths, users=users, visits=visits)
    return Log(folder)


def _write_day(path: Path, paths: tuple[tuple[str, ...], ...], *, users: int, visits: int) -> None:
    """Sessions of each user along the paths, in a mixed order of users, and what must not come out again."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(users):
        for visit in range(visits * len(paths) // 4):
            chosen = paths[(user + visit) % len(paths)]
            start = 1_767_225_600 + visit * 86_400 + user * 600
            steps = [query for query in chosen if random.random() < 0.9]
            rows += [
                {
                    "user": f"{USER}{user:03d}",
                    "session": f"{SESSION}{user:03d}-{visit}",
                    "time": str(start + 20 * step),
                    "query": query.upper() if random.random() < 0.1 else query,
                }
                for step, query in enumerate(steps)
            ]
    lone = {"user": f"{USER}lone", "session": f"{SESSION}lone"}
    rows += [
        {**lone, "time": str(1_767_225_600 + step * 60), "query": LONE if step % 2 else "tent"} for step in range(12)
    ]
    rows += [
        {"user": f"{USER}{user:03d}", "session": f"{SESSION}mail-{user}", "time": "1767225600", "query": query}
        for user in (1, 2)
        for query in (ADDRESS, "tent")
    ]
    rows.append({"user": f"{USER}bad", "session": f"{SESSION}bad", "time": "yesterday", "query": UNREAD})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["user", "session", "time", "query"])
        writer.writeheader()
        writer.writerows(rows)


def clear(folder: Path, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The texts that files of a folder have in their paths, bytes or decoded columns, with the paths."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        parts = [name.encode(), path.read_bytes()]
        if path.suffix == ".parquet":
            parts += [cell for column in decoded_texts(parts[1]) for cell in column.to_pylist() if cell is not None]
        for text in texts:
            if any(text.encode() in part for part in parts):
                yield text, name
