"""A garbage collection as text for the terminal."""

from dataclasses import asdict

from fingerpost.flows.ops.keep.gc import Explanation, Plan
from fingerpost.flows.run.console import TextConsole, table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json


def show_plan(plan: Plan, *, dry_run: bool) -> None:
    """Prints the removals by name, the freed bytes, and what is kept and why."""
    console = wide_console()
    table = table_of("", "would go" if dry_run else "gone", "artifacts>", "files>", "size>")
    for row in plan.rows:
        table.add_row(row.name, str(row.artifacts) if row.artifacts else "", str(row.files), size_text(row.bytes))
    verb = "would free" if dry_run else "freed"
    if plan.rows:
        console.print(table)
    console.tell(f"{verb} {size_text(plan.freed)} in {len(plan.removals)} files of {plan.seen.store.url}")
    kept = ", ".join(f"{count} {kind}" for kind, count in plan.kept.items())
    console.tell(
        f"kept {len(plan.seen.artifacts) - len(plan.artifacts)} artifacts, each with all that it needs:"
        f" {kept or 'none'}",
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
        echo_json(asdict(explanation))
        return
    console = wide_console()
    console.tell(f"{explanation.ref} {'is removed: nothing reaches it' if explanation.goes else 'is kept'}")
    for chain in explanation.chains:
        for depth, line in enumerate(chain):
            console.tell(f"{'  ' * (depth + 1)}{line}")
    if explanation.goes:
        for other, paths in explanation.shared.items():
            console.tell(f"  {len(paths)} of its files stay, since {other} lists them")


def size_text(count: int) -> str:
    """A number of bytes, human-readable."""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _lines(console: TextConsole, title: str, lines: list[str]) -> None:
    if lines:
        console.tell(f"{title}:")
        for line in lines:
            console.tell(f"  {line}")
