"""A file of products a day, and a backfill over some of them."""

from pathlib import Path

from fingerpost.flows.ops.backfill.record import BackfillRequest
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.request import RunRequest
from tests.support.products import write_csv

FLOW = "featurize_corpus"
DAYS = list(days_between("2026-01-01", "2026-01-04"))


def backfill_of(folder: Path, **given: object) -> BackfillRequest:
    """A backfill of the four days in this folder's store."""
    run = RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        input=str(folder / "drop-{day}.csv"),
        collection="products",
        columns={"id": "sku", "title": "name", "text": "about", "kind": "group"},
    )
    return BackfillRequest.of(**{"flow": FLOW, "first_day": DAYS[0], "last_day": DAYS[-1], "run": run, **given})


def drop(folder: Path, *days: str) -> None:
    """Writes the files of some days."""
    for day in days:
        write_csv(folder / f"drop-{day}.csv", rows=60, seed=int(day[-2:]))
