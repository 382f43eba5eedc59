"""Two tables of the same products as two shops write them, known pairs, the same as triples, and duplicates within one."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.store import Store

BRANDS = ("Acme", "Borealis", "Calder", "Dunmore", "Elwood", "Fenwick", "Garrick", "Hollis", "Ingram", "Jarrow")
KINDS = ("laser printer", "water kettle", "desk lamp", "garden hose", "bicycle pump", "office chair", "wall clock")
WORDS = ("black", "compact", "deluxe", "quiet", "steel", "travel", "wide", "classic")
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
#: Products of both shops, of the left one alone, and of the right one alone.
COMMON, ALONE = 90, 40


@dataclass(frozen=True)
class Shops:
    """A folder with two tables, links and a store. Columns: the left shop's sku, title, maker, price; the right shop's
    number, name, brand, price.
    """

    folder: Path

    @property
    def store(self) -> Store:
        """The store."""
        return Store(str(self.folder / "store"))

    def path(self, name: str) -> str:
        """A file of the folder."""
        return str(self.folder / name)

    def request(self, day: str = DAYS[0], **settings: Any) -> RunRequest:
        """The tiny profile over the two tables and their links, by default."""
        given = {
            "kg.left": self.path("left.csv"),
            "kg.right": self.path("right.csv"),
            "kg.links": self.path("links.csv"),
            "kg.id": "sku",
            "kg.name": "title",
            "kg.right_columns": {"sku": "number", "title": "name", "maker": "brand"},
        }
        return RunRequest(
            profile="tiny", store=self.store.url, day=day, collection="shop", settings={**given, **settings}
        )


def product(number: int) -> dict[str, str]:
    """A product: what both shops know of it."""
    brand, kind = BRANDS[number % len(BRANDS)], KINDS[number // len(BRANDS) % len(KINDS)]
    word = WORDS[number * 5 % len(WORDS)]
    return {
        "maker": brand,
        "title": f"{brand} {word} {kind} {brand[0]}{kind[0].upper()}{100 + 7 * number}",
        "price": f"{20 + number * 3 % 180}.90",
    }


def elsewhere(number: int, random: np.random.Generator) -> dict[str, str]:
    """A product as the other shop writes it: another order of words, one left out or misspelled, another price."""
    given = product(number)
    words = given["title"].split()
    words = [*words[1:], words[0]] if random.random() < 0.5 else words
    if random.random() < 0.4:
        words.pop(1)
    place = int(random.integers(len(words)))
    if random.random() < 0.3 and len(words[place]) > 4:
        words[place] = words[place][:2] + words[place][3:]
    price = float(given["price"]) + (2.0 if random.random() < 0.5 else 0.0)
    brand = "" if random.random() < 0.2 else given["maker"].upper()
    return {"brand": brand, "name": " ".join(words).lower(), "price": f"{price:.2f}"}


def write_shops(folder: Path) -> Shops:
    """Both tables and the links: all common products as matches, and pairs of one maker that are not."""
    random = np.random.default_rng(0)
    left = [{"sku": f"L{number:03d}", **product(number)} for number in range(COMMON + ALONE)]
    others = [*range(COMMON), *range(COMMON + ALONE, COMMON + 2 * ALONE)]
    right = [{"number": f"R{number:03d}", **elsewhere(number, random)} for number in others]
    write(folder / "left.csv", left)
    write(folder / "right.csv", right)
    same = [{"left": f"L{number:03d}", "right": f"R{number:03d}", "label": "1"} for number in range(COMMON)]
    apart = [(number, (number + len(BRANDS)) % COMMON) for number in range(COMMON)]
    # Of one maker and kind, which differ in a word and the model's name alone.
    alike = len(BRANDS) * len(KINDS)
    apart += [(number, number + alike) for number in (*range(COMMON - alike), *range(COMMON, COMMON + 15))]
    apart += [(number + alike, number) for number in range(COMMON - alike)]
    wrong = [{"left": f"L{one:03d}", "right": f"R{other:03d}", "label": "0"} for one, other in apart]
    write(folder / "links.csv", [*same, *wrong])
    write(folder / "few-links.csv", [row for row in (*same, *wrong) if int(row["left"][1:]) % 3 == 1])
    return Shops(folder)


def write_triples(shops: Shops) -> None:
    """The tables as triples of maker and kind, in files left-triples.csv and right-triples.csv, and their links."""
    random = np.random.default_rng(1)
    kinds = [KINDS[number // len(BRANDS) % len(KINDS)] for number in range(COMMON)]
    for side, (made, of) in {"left": ("made by", "is a"), "right": ("brand", "category")}.items():
        rows = []
        for number in range(COMMON):
            key, other = f"{side} {number}", f"{side} {(number * 7 + 3) % COMMON}"
            rows += [
                {"head": key, "relation": made, "tail": f"{side} maker {number % len(BRANDS)}"},
                {"head": key, "relation": of, "tail": f"{side} {kinds[number]}"},
                {"head": key, "relation": "beside", "tail": other},
            ]
        kept = [row for row in rows if random.random() < 0.95]
        write(shops.folder / f"{side}-triples.csv", kept)
    pairs = [{"left": f"left {number}", "right": f"right {number}"} for number in range(COMMON)]
    write(shops.folder / "triple-links.csv", pairs)


def write_people(shops: Shops) -> None:
    """One table with duplicates, in the file people.csv, and known pairs, in people-links.csv."""
    random = np.random.default_rng(2)
    rows = [{"number": f"P{number:03d}", **_as_left(product(number))} for number in range(COMMON)]
    twice = [{"number": f"Q{number:03d}", **_as_left(elsewhere(number, random))} for number in range(0, COMMON, 3)]
    write(shops.folder / "people.csv", [*rows, *twice])
    same = [{"left": f"P{number:03d}", "right": f"Q{number:03d}", "label": "1"} for number in range(0, COMMON, 3)]
    alike = len(BRANDS) * len(KINDS)
    apart = [(number, number + step) for step in (len(BRANDS), alike) for number in range(COMMON - step)]
    wrong = [{"left": f"P{one:03d}", "right": f"P{other:03d}", "label": "0"} for one, other in apart]
    write(shops.folder / "people-links.csv", [*same, *wrong])


def _as_left(row: Mapping[str, str]) -> dict[str, str]:
    return {"name": row.get("title", row.get("name", "")), "maker": row.get("maker", row.get("brand", ""))}


def write(path: Path, rows: Iterable[Mapping[str, str]], columns: Sequence[str] = ()) -> Path:
    """Rows as CSV."""
    some = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns) or list(some[0]))
        writer.writeheader()
        writer.writerows(some)
    return path
