"""A query in two versions as a table for the terminal. Imports no Prefect."""

from fingerpost.flows.ops.compare.causes import shown
from fingerpost.flows.ops.compare.why import Why
from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.schemas.figures import significant

_TERMS = 12


def show_why(why: Why) -> None:
    """Prints the answers side by side, what moved each, and the findings."""
    console = wide_console()
    console.tell(why.query)
    console.tell(f"before {why.before} ({why.methods[0]})")
    console.tell(f"after  {why.after} ({why.methods[1]})")
    table = table_of("\nanswers", "before>", "after>", "id", "name", "score before>", "after>", "because")
    for move in why.moves:
        positions = [str(position) if position else "–" for position in (move.before, move.after)]
        scores = ["" if score is None else significant(score, 3) for score in (move.score_before, move.score_after)]
        because = f"{move.kind}: {move.because}" if move.because else move.kind
        title = move.title if move.title != move.id else ""
        table.add_row(*positions, move.id, title, *scores, because)
    if why.moves:
        console.print(table)
    else:
        console.tell()
        console.tell("no answers in either version")
    console.tell()
    for sentence in why.verdict:
        console.tell(f"- {sentence}")
    if why.terms:
        table = table_of("\nthe query's terms", "term", "weight before>", "after>")
        largest = sorted(why.terms, key=lambda c: (-abs((c.after or 0.0) - (c.before or 0.0)), c.key))
        for change in largest[:_TERMS]:
            table.add_row(change.key, shown(change.before), shown(change.after))
        console.print(table)
        if len(why.terms) > _TERMS:
            console.tell(f"and {len(why.terms) - _TERMS} more")
    if why.elsewhere:
        console.tell()
        console.tell("also changed, but answers are not computed from it")
        for cause in why.elsewhere:
            console.tell(f"  {cause}")
