"""A garbage collection as text for the terminal."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from fingerpost.flows.ops.keep.gc import Explanation, Plan
from fingerpost.flows.run.console import wide_console


def show_plan(plan: Plan, *, dry_run: bool) -> None:
    """Prints the removals by name, the freed bytes, and what is kept and why."""
    console = wide_console()
    table = _table("would go" if dry_run else "gone", "artifacts", "files", "size")
    for row in plan.rows:
        table.add_row(row.name, str(row.artifacts) if row.artifacts else "", str(row.files), size_text(row.bytes))
    verb = "would free" if dry_run else "freed"
    if plan.rows:
        console.print(table)
    console.print(
        f"{verb} {size_text(plan.freed)} in {len(plan.removals)} files of {plan.seen.store.url}", soft_wrap=True
    )
    kept = ", ".join(f"{count} {kind}" for kind, count in plan.kept.items())
    console.print(
        f"kept {len(plan.seen.artifacts) - len(plan.artifacts)} artifacts, each with all that it needs:"
        f" {kept or 'none'}",
        soft_wrap=True,
    )
    _lines(
        console,
        "pinned",
        [f"{pin.ref}  {pin.reason or 'no reason given'} ({pin.by}, {pin.at})" for pin in plan.seen.pins],
    )
    _lines(console, "running, and nothing that they may use is removed", [str(lease) for lease in plan.seen.running])
    _lines(console, "manifests that cannot be read", list(plan.seen.damaged.values()))


def show_explanation(explanation: Explanation, *, as_json: bool) -> None:
    """Prints the chains that reach an artifact, or that none does."""
    if as_json:
        print(json.dumps(asdict(explanation), indent=1))
        return
    console = wide_console()
    console.print(
        f"{explanation.ref} {'is removed: nothing reaches it' if explanation.goes else 'is kept'}", soft_wrap=True
    )
    for chain in explanation.chains:
        for depth, line in enumerate(chain):
            console.print(f"{'  ' * (depth + 1)}{line}", soft_wrap=True, markup=False)
    if explanation.goes:
        for other, paths in explanation.shared.items():
            console.print(f"  {len(paths)} of its files stay, since {other} lists them", soft_wrap=True)


def size_text(count: int) -> str:
    """A number of bytes, human-readable."""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _lines(console: Console, title: str, lines: list[str]) -> None:
    if lines:
        console.print(f"{title}:")
        for line in lines:
            console.print(f"  {line}", soft_wrap=True, markup=False)


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table
