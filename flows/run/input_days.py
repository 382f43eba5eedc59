"""The days of an input that a run reads: the settings ``input.days`` and ``input.missing_days``. Imports no Prefect.

A daily export is one file per day, with ``{day}`` in its path. What these files are to a run is a setting of the
collection (and, for interactions and embeddings, one of their own):

``snapshot`` (the default)
    A file is everything that there is: the run reads the file of its own day alone.
``window:N`` and ``all``
    Files add to each other: the run reads those of the last N days, or of every day up to its own. The newest row of an
    id counts; a row with true in the column ``deleted`` removes its id, until a later day has it again. Weights of
    interactions are summed instead, as if all their rows were in one file.

Each file is imported on its own, as an artifact of its own day, so a run computes the import of what is new and reuses
those of the other days. One stage then merges the imports, and what follows does not know of days. So the days are
inputs of the merged artifact: lineage names them, collections of garbage keep those that a live version needs, and
forgetting reruns every day whose window contains the key. A file that changes or comes late makes the days after it
stale whose window contains it, with a reason that names it.

A day without a file. Its own is refused, as ever. An earlier one that was imported is read from the store, for files
are often deleted after a while; one that never came is noted in the plan and the report (``input.missing_days`` refuses
it, or leaves out what only the store has). Where neither is left of a day that a run read, that run is not repeated with
less. Days before the first one are not missing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.run.calendar import days_between
from fingerpost.flows.run.profiles import file_settings, value_at
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.days import DAY, files_by_day
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.forms import ROW_NUMBER
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.schemas.wording import some
from fingerpost.tasks.ledger import Ledger

#: The value of those settings for the file of a run's own day alone.
SNAPSHOT = "snapshot"


def several_days(settings: Any, setting: str) -> str:
    """``window:N`` or ``all`` if the file that a dotted setting names is read over several days; else empty."""
    if DAY not in str(value_at(settings, setting.split("."))):
        return ""
    mode = _mode(settings, file_settings()[tuple(setting.split("."))].days)
    return "" if mode == SNAPSHOT else mode


def _mode(settings: Any, key: str) -> str:
    """The days that a setting asks for, its own or those of the input."""
    return str(value_at(settings, key.split(".")) or settings.input.days) if key else SNAPSHOT


def check_days(settings: Any) -> None:
    """SettingsError if several days are asked for of inputs without ``{day}`` in their path, or with rows as ids."""
    paths = {mark.days: str(value_at(settings, path)) for path, mark in file_settings().items() if mark.days}
    for key, path in paths.items():
        # The shared setting is for any of them.
        fine = any(DAY in other for other in paths.values()) if key == "input.days" else DAY in path
        asked = str(value_at(settings, key.split(".")))
        if asked not in ("", SNAPSHOT) and not fine:
            raise SettingsError(
                f"{key}: expected {SNAPSHOT} for an input without {DAY} in its path, got {asked} for {path or 'none'};"
                f" name the files by day, for example news-{DAY}.csv, or set {key}={SNAPSHOT}"
            )
    for _, file in domains.inputs():
        columns = value_at(settings, file.columns.split(".")) if file.columns else {}
        if columns.get("id") == ROW_NUMBER and (mode := several_days(settings, file.setting)):
            raise SettingsError(
                f"{file.columns}: expected a column of ids for an input that is read over several days ({mode}), got the"
                " positions of rows, so that the rows of one day would replace those of another; map a column to id, or"
                f" set {file_settings()[tuple(file.setting.split('.'))].days}={SNAPSHOT}"
            )


class StoredImports:
    """The imports of days that a collection has in the store, by the name of their contract."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger, self.name = ledger, name

    @cached_property
    def _folders(self) -> dict[str, None]:
        """The days of which any collection has an import, oldest first."""
        folders = self.ledger.store.files.names(self.name)
        return dict.fromkeys(sorted(name.removeprefix("day=") for name in folders if name.startswith("day=")))

    def days(self, last: str) -> Iterator[str]:
        """The days with an import, oldest first, up to ``last``."""
        return (day for day in self._folders if day <= last and self.of(day) is not None)

    def of(self, day: str) -> Ref | None:
        """The newest import of a day; None if there is none."""
        if day not in self._folders:
            return None
        store = self.ledger.store
        # The hints of a ledger are of its collection, whichever imported the same rows first.
        mine = [ref for ref in store.refs(self.name, day=day) if self.ledger.same(self.name, ref.fingerprint)]
        moments = [(str(store.manifest(ref).run.get("at", "")), str(ref), ref) for ref in mine]
        return max(moments)[2] if moments else None


@dataclass(frozen=True)
class DaysRead:
    """The days that a run reads: the file of each, or its import where the file is gone.

    missing: earlier days that have neither.
    """

    files: dict[str, str]
    stored: dict[str, Ref]
    missing: list[str]

    @property
    def days(self) -> list[str]:
        """All days that are read, oldest first."""
        return sorted({*self.files, *self.stored})


def days_read(settings: Any, setting: str, imports: StoredImports, *, before: Collection[str] = ()) -> DaysRead:
    """The days of an input that the run of ``settings.day`` reads; ``before`` are those that its last run read.

    InputError if its own day, or one that it read before, has neither file nor import, or if another one has neither
    and is to be refused.
    """
    last, mode, missing_days = settings.day, several_days(settings, setting), settings.input.missing_days
    pattern = str(value_at(settings, setting.split(".")))
    files = {day: path for day, path in files_by_day(pattern).items() if day <= last}
    may_be_stored = missing_days != "skip"
    if last not in files and not (may_be_stored and imports.of(last)):
        input_files(pattern.replace(DAY, last))  # raises that nothing is there
    start = "" if mode == "all" else _days_before(last, int(mode.partition(":")[2]) - 1)
    earliest = next(iter(files), last)
    if may_be_stored and earliest > start:
        earliest = min([earliest, next(imports.days(last), last), *before])
    wanted = list(days_between(max(start, earliest), last))
    read = {day: files[day] for day in wanted if day in files}
    others = {day: imports.of(day) if may_be_stored else None for day in wanted if day not in files}
    missing = [day for day, ref in others.items() if ref is None]
    if missing and missing_days == "refuse":
        raise InputError(
            f"{pattern}: expected a file of every day that {mode} of {last} reads, found none of {some(missing)};"
            " add what is missing, or set input.missing_days=stored"
        )
    if may_be_stored and (lost := [day for day in missing if day in before]):
        raise InputError(
            f"{pattern}: expected the days that the last run of {last} read, found neither file nor import of"
            f" {some(lost)}; add what is missing, or set input.missing_days=skip"
        )
    return DaysRead(read, {day: ref for day, ref in others.items() if ref is not None}, missing)


def check_own_day(settings: Any, pattern: str, names: Iterable[str]) -> None:
    """InputError if a run's own day has no file, and the store no import (of these contracts) of that day."""
    if not has_own_import(settings, names):
        input_files(pattern.replace(DAY, settings.day))


def has_own_import(settings: Any, names: Iterable[str]) -> bool:
    """Whether the store has an import (of these contracts) of a run's own day."""
    files = Store(settings.store).files
    return any(files.names(f"{name}/day={settings.day}") for name in names if name)


def change_of_days(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The difference of two merges by the fingerprints of their days, human-readable; empty if there is none."""
    added = sorted(set(now) - set(before))
    gone = sorted(set(before) - set(now))
    changed = [day for day in sorted(now) if day in before and before[day] != now[day]]
    newest, oldest = max(before, default=""), min(now, default="")
    parts = {
        "late file of": [day for day in added if day < newest],
        "new day": [day for day in added if day > newest],
        "changed file of": changed,
        "no longer read:": [day for day in gone if day < oldest],
        "no file any more of": [day for day in gone if day > oldest],
    }
    return ", ".join(f"{words} {some(days)}" for words, days in parts.items() if days)


def _days_before(day: str, count: int) -> str:
    """The day that is ``count`` days before another, at the earliest the first of the calendar."""
    return date.fromordinal(max(1, date.fromisoformat(day).toordinal() - count)).isoformat()
