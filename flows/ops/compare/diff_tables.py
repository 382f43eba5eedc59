"""A difference as tables for the terminal. Imports no Prefect."""

from typing import Any

from fingerpost.flows.ops.compare.causes import Change, shown
from fingerpost.flows.ops.compare.diff import Diff
from fingerpost.flows.run.console import TextConsole, table_of, wide_console
from fingerpost.schemas.figures import significant


def show_diff(difference: Diff) -> None:
    """Prints a difference: first causes, changes of the data, then changes of values."""
    console = wide_console()
    console.tell(f"before {difference.before}")
    console.tell(f"after  {difference.after}")
    if difference.causes:
        console.tell()
        console.tell("first causes", style="bold")
        for cause in difference.causes:
            console.tell(f"  {cause}")
    elif all(artifact.state == "same" for artifact in difference.artifacts):
        console.tell()
        console.tell("every artifact of both is identical" if difference.kind == "run" else "the two are identical")
    _data(console, difference)
    _changes(console, "run", [("", change) for change in difference.about])
    _changes(console, "settings", [("", change) for change in difference.settings])
    _stages(console, difference)
    _changes(console, "gates", [("", change) for change in difference.gates])
    for title, field in (
        ("input data", "data"),
        ("parameters", "parameters"),
        ("code", "code"),
        ("contract and presence", "other"),
    ):
        _changes(
            console,
            title,
            [(str(cause.artifact), change) for cause in difference.causes for change in getattr(cause, field)],
        )
    for title, field in (
        ("schema", "schema"),
        ("library versions", "versions"),
        ("rows", "rows"),
        ("quality", "quality"),
    ):
        _changes(console, title, _of_all(difference, field))
    if len(difference.artifacts) == 1:
        _changes(console, "made of", _of_all(difference, "inputs"))
    _overview(console, difference)


def _of_all(difference: Diff, field: str) -> list[tuple[str, Change]]:
    """The changes of all artifacts, without those that a release repeats of its members."""
    seen: list[Change] = []
    kept = []
    for artifact in difference.artifacts:
        for change in getattr(artifact, field):
            if artifact is not difference.artifacts[-1] or field == "inputs" or change not in seen:
                kept.append((artifact.role, change))
            seen.append(change)
    return kept


def _overview(console: TextConsole, difference: Diff) -> None:
    table = table_of("\nartifacts", "artifact", "state", "files>", "identical>", "bytes>", "seconds>", "peak MB>")
    for artifact in difference.artifacts:
        cost = {change.key: _arrow(change) for change in artifact.cost}
        files = artifact.files
        sizes = (
            (
                f"{files['before']} → {files['after']}",
                str(files["same"]),
                f"{files['bytes_before']:,} → {files['bytes_after']:,}",
            )
            if files
            else ("", "", "")
        )
        table.add_row(artifact.role, artifact.state, *sizes, cost.get("seconds", ""), cost.get("peak_mb", ""))
    console.print(table)


def _data(console: TextConsole, difference: Diff) -> None:
    """Prints the changes of the data, one paragraph each."""
    for artifact in difference.artifacts:
        for data in artifact.data:
            figures = ", ".join(f"{name} {shown(value)}" for name, value in data.figures.items())
            text = "; ".join(part for part in (figures, data.note) if part)
            console.tell()
            console.tell((data.about, "bold"), f": {text}")
            for example in data.examples:
                console.tell(f"  {example}")


def _stages(console: TextConsole, difference: Diff) -> None:
    if not difference.stages:
        return
    table = table_of("\nstages", "stage", "before", "after", "artifact", "seconds>", "peak MB>")
    for pair in difference.stages:
        table.add_row(
            pair.stage,
            pair.before,
            pair.after,
            "same" if pair.same_artifact else "differs",
            _arrow(pair.seconds),
            _arrow(pair.peak_mb),
        )
    console.print(table)


def _changes(console: TextConsole, title: str, items: list[tuple[str, Change]]) -> None:
    if not items:
        return
    named = any(role for role, _ in items)
    table = table_of(f"\n{title}", *(["artifact"] if named else []), "what", "before>", "after>", "difference>")
    for role, change in items:
        difference = "" if change.difference is None else significant(change.difference, 6, signed=True)
        cells = (change.key, short(change.before), short(change.after), difference)
        table.add_row(*([role] if named else []), *cells)
    console.print(table)


def _arrow(change: Change) -> str:
    before, after = short(change.before), short(change.after)
    return before if change.before == change.after else f"{before} → {after}"


def short(value: Any) -> str:
    """A value as text for a table; hashes and identities are abbreviated."""
    text = shown(value)
    name, colon, last = text.rpartition(":")
    if len(last) >= 32 and all(c in "0123456789abcdef" for c in last):
        return f"{name}{colon}{last[:12]}"
    return text
