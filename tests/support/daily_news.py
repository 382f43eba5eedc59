"""Daily files of news, each with what is new, changed or withdrawn that day, and runs over them."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.partitions import Partition, Partitions
from fingerpost.flows.run.plan import Plan
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.runtime import Watching, watching
from fingerpost.flows.run.start import known
from fingerpost.schemas.corpus import DOCUMENTS
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partition, runs
from tests.worlds import texts

FLOW = "featurize_corpus"
DAYS = list(days_between("2026-01-01", "2026-01-06"))


@dataclass
class News:
    """A folder of daily files, and a store."""

    folder: Path
    days: str = "window:3"
    flow: str = FLOW

    @property
    def store(self) -> Store:
        """The store."""
        return Store(str(self.folder / "store"))

    def request(self, **settings: Any) -> RunRequest:
        """The request of any day."""
        return RunRequest(
            profile="tiny",
            store=self.store.url,
            input=str(self.folder / "news-{day}.csv"),
            collection="news",
            settings={"input.days": self.days, **settings},
        )

    def drop(self, day: str, rows: int = 20, *more: Mapping[str, str], seed: int | None = None) -> Path:
        """Writes a day's file: rows of its own, whose ids begin with the day, and some more (id, text, deleted)."""
        path = self.folder / f"news-{day}.csv"
        own = [{**row, "id": f"{day}/{number}"} for number, row in enumerate(texts(rows, seed or int(day[-2:])))]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["id", "title", "text", "kind", "deleted"], restval="")
            writer.writeheader()
            writer.writerows([*own, *more])
        return path

    def run(self, day: str, **settings: Any) -> dict[str, Any]:
        """Runs a day, with flows as plain code; its record."""
        token = watching.set(Watching(quiet=True))
        try:
            known(self.flow)(self.request(**settings).for_day(day))
        finally:
            watching.reset(token)
        return runs(self.store, newest=1)[0]

    def copy(self, folder: Path) -> "News":
        """The same files and store in another folder."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def plan(self, day: str, **settings: Any) -> Plan:
        """The plan of a day."""
        return plan_of(self.flow, self.request(**settings).for_day(day))

    def states(self, days: Sequence[str], **settings: Any) -> list[Partition]:
        """The states of days."""
        return Partitions(self.flow, self.request(**settings)).of(days)

    def documents(self, day: str) -> dict[str, str]:
        """The texts of a day's documents by id."""
        ref = Ref.parse(partition(self.store, self.flow, "news", day)["refs"]["documents"])
        rows = self.store.open(ref, DOCUMENTS).read("documents")
        return dict(zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True))


def ran(record: Mapping[str, Any]) -> list[str]:
    """The stages of a run that were computed, with the day of an import."""
    names = (f"{stage['stage']} {stage['part']}".strip() for stage in record["stages"] if stage["computed"])
    return list(names)


def of_day(ids: Mapping[str, str], day: str) -> int:
    """How many documents are of a day's own."""
    return sum(key.startswith(day) for key in ids)
