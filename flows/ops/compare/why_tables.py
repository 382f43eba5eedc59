"""A query in two versions as a table for the terminal. Imports no Prefect."""

from rich.markup import escape

from fingerpost.flows.ops.compare.causes import shown
from fingerpost.flows.ops.compare.diff_tables import table_of
from fingerpost.flows.ops.compare.why import Why
from fingerpost.flows.run.console import wide_console

_TERMS = 12


def show_why(why: Why) -> None:
    """Prints the answers side by side, what moved each, and the findings."""
    console = wide_console()
    console.print(
        f"{why.query}\nbefore {why.before} ({why.methods[0]})\nafter  {why.after} ({why.methods[1]})",
        soft_wrap=True,
        markup=False,
    )
    table = table_of("\nanswers", "before>", "after>", "id", "name", "score before>", "after>", "because")
    for move in why.moves:
        positions = [str(position) if position else "–" for position in (move.before, move.after)]
        scores = ["" if score is None else f"{score:.3g}" for score in (move.score_before, move.score_after)]
        because = f"{move.kind}: {move.because}" if move.because else move.kind
        title = move.title if move.title != move.id else ""
        table.add_row(*positions, *(escape(cell) for cell in (move.id, title, *scores, because)))
    console.print(table if why.moves else "\nno answers in either version")
    console.print()
    for sentence in why.verdict:
        console.print(f"- {sentence}", soft_wrap=True, markup=False)
    if why.terms:
        table = table_of("\nthe query's terms", "term", "weight before>", "after>")
        largest = sorted(why.terms, key=lambda c: (-abs((c.after or 0.0) - (c.before or 0.0)), c.key))
        for change in largest[:_TERMS]:
            table.add_row(escape(change.key), shown(change.before), shown(change.after))
        console.print(table)
        if len(why.terms) > _TERMS:
            console.print(f"and {len(why.terms) - _TERMS} more")
    if why.elsewhere:
        console.print("\nalso changed, but answers are not computed from it")
        for cause in why.elsewhere:
            console.print(f"  {cause}", soft_wrap=True, markup=False)
