"""The stages of an input that is read over several days: each day's import, then the merge of all of them.

What is read of which days is in `fingerpost.flows.run.input_days`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.run.input_days import StoredImports, change_of_days, days_read, several_days
from fingerpost.flows.run.rewriting import instead_of, rewriting
from fingerpost.flows.run.runtime import Run, of_day
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.daily import DailyFile, DailySource
from fingerpost.schemas.inputs.stored_days import StoredDay, days_of
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.wording import some
from fingerpost.tasks.ledger import full_name
from fingerpost.tasks.stage import Stage

#: The source of one day's file: ``(path, suppressed keys)``.
Opened = Callable[[str, Suppressed | None], DailySource]


def import_days(run: Run, word: str, setting: str, importing: Stage, opened: Opened, **parameters: Any) -> list[Ref]:
    """The imports of the days that a run reads of a domain's input, oldest first: those that exist are reused."""
    env, imports, before = run.env, [], _days_before(run, importing)
    for day, source in _sources(run, word, setting, importing, opened, before).items():
        env.changed = ""
        if day in before:
            env.changed = f"changed file of {day}"
        elif day < max(before, default=""):
            env.changed = f"late file of {day}"
        try:
            with of_day(run, day):
                # Most days are reused; each as a task of Prefect would take longer than all else.
                reused = None if env.planning else importing.reuse(env, source, **parameters)
                imports.append(reused or importing(source, **parameters))
        finally:
            env.changed = ""
    return imports


def _days_before(run: Run, importing: Stage) -> set[str]:
    """The days that the last run of the same day read."""
    parts = (name.removeprefix(f"{importing.name} (").removesuffix(")") for name in run.env.before)
    return {part.rpartition(" ")[2] for part in parts if full_name(importing.name, part) in run.env.before}


def _sources(
    run: Run, word: str, setting: str, importing: Stage, opened: Opened, before: Collection[str]
) -> Mapping[str, DailySource]:
    contract = importing.contract
    rewritten = instead_of(word)
    if rewritten is not None:
        sources: Mapping[str, DailySource] = rewritten.days(contract)
        return sources
    suppressed = domains.forgotten(run.env.store, run.env.collection).suppressed()
    found = days_read(run.settings, setting, StoredImports(run.env.ledger, contract.name), before=before)
    asked = f"{setting} ({several_days(run.settings, setting)})"
    if found.missing:
        run.note(f"{asked}: there is no file of {some(found.missing)}; nothing of these days is in {run.env.day}")
    if found.stored:
        run.note(f"{asked}: no file any more of {some(sorted(found.stored))}; their imports in the store are read")
    return {
        day: opened(found.files[day], suppressed)
        if day in found.files
        else StoredDay(run.env.store, found.stored[day], contract, suppressed)
        for day in found.days
    }


@contextmanager
def merging(run: Run, stage: Stage, imports: list[Ref]) -> Iterator[None]:
    """A scope in which the stage that merges imported days is computed for a reason that names days."""
    env = run.env
    earlier = stage.before(env)
    if earlier is not None and earlier.day <= env.day and env.store.has(earlier):
        before = days_of(env.store, earlier, imports[0].name)
        if before:
            fingerprints = (
                {day: ref.fingerprint for day, ref in before.items()},
                {r.day: r.fingerprint for r in imports},
            )
            env.changed = change_of_days(*fingerprints)
    try:
        yield
    finally:
        env.changed = ""


def note_deletions(run: Run, imported: Ref, file: DailyFile) -> None:
    """Notes that a file marks rows as deleted, which a snapshot does not read, when it is imported."""
    computed = any(record.computed and record.ref == str(imported) for record in run.env.records)
    if run.env.planning or rewriting.get() is not None or not computed:
        return
    marked = False
    with suppress(InputError):  # a note fails no run: the file was imported
        marked = file.marks_deletions()
    if marked:
        run.note(
            f"{file}: rows that the column deleted marks are kept, since the file is a snapshot (input.days): leave them"
            " out of it"
        )
