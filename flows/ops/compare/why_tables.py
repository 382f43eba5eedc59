"""One query in two versions as a table for people. Imports no Prefect."""

from rich.markup import escape

from flows.ops.compare.causes import shown
from flows.ops.compare.diff_tables import table_of
from flows.ops.compare.why import Why
from flows.run.console import wide_console

_TERMS = 12


def show_why(found: Why) -> None:
    """Prints the answers side by side, what moved each, and what is established."""
    console = wide_console()
    console.print(
        f"{found.query}\nbefore {found.before} ({found.methods[0]})\nafter  {found.after} ({found.methods[1]})",
        soft_wrap=True,
        markup=False,
    )
    table = table_of("\nanswers", "before>", "after>", "id", "name", "score before>", "after>", "because")
    for move in found.moves:
        positions = [str(position) if position else "–" for position in (move.before, move.after)]
        scores = ["" if score is None else f"{score:.3g}" for score in (move.score_before, move.score_after)]
        because = f"{move.kind}: {move.because}" if move.because else move.kind
        title = move.title if move.title != move.id else ""
        table.add_row(*positions, *(escape(cell) for cell in (move.id, title, *scores, because)))
    console.print(table if found.moves else "\nno answers in either version")
    console.print()
    for sentence in found.verdict:
        console.print(f"- {sentence}", soft_wrap=True, markup=False)
    if found.terms:
        table = table_of("\nthe query's terms", "term", "weight before>", "after>")
        largest = sorted(found.terms, key=lambda c: (-abs((c.after or 0.0) - (c.before or 0.0)), c.key))
        for change in largest[:_TERMS]:
            table.add_row(escape(change.key), shown(change.before), shown(change.after))
        console.print(table)
        if len(found.terms) > _TERMS:
            console.print(f"and {len(found.terms) - _TERMS} more")
    if found.elsewhere:
        console.print("\nalso changed, but answers are not made from it")
        for cause in found.elsewhere:
            console.print(f"  {cause}", soft_wrap=True, markup=False)
