"""A file of products, the request of a flow over it, and what the newest run did."""

from pathlib import Path

import numpy as np

from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs

TOPICS = {
    "animals": "cat dog horse bird fish goat",
    "tools": "hammer saw drill wrench screw nail",
    "food": "bread rice apple soup cheese bean",
}


def write_csv(path: Path, *, rows: int = 240, seed: int = 0) -> Path:
    """Products whose names and texts are drawn from one of three topics."""
    random = np.random.default_rng(seed)
    lines = ["sku,name,about,group"]
    for row in range(rows):
        group = sorted(TOPICS)[row % 3]
        words = TOPICS[group].split()
        name = " ".join(random.choice(words, 2))
        lines.append(f"p{row},{name} {row},A {name} for {' '.join(random.choice(words, 5))} number {row}.,{group}")
    path.write_text("\n".join(lines) + "\n")
    return path


def request_for(store: Path, source: Path, **settings: object) -> RunRequest:
    """The tiny profile over a file."""
    columns = {"id": "sku", "title": "name", "text": "about", "kind": "group"} if source.suffix == ".csv" else {}
    return RunRequest(
        profile="tiny",
        store=str(store),
        day="2026-01-05",
        input=str(source),
        collection="products",
        columns=columns,
        settings=settings,
    )


def ran(store: Path) -> dict[str, str]:
    """The stages that the newest run computed, with the reasons."""
    return {s["stage"]: s["reason"] for s in runs(Store(str(store)), newest=1)[0]["stages"] if s["computed"]}
