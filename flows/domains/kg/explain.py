"""The `explain` command: why two entities are a match, or none. Imports no Prefect."""

from dataclasses import asdict

from fingerpost.flows.run.console import TextConsole, table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json, visible
from fingerpost.schemas.figures import significant
from fingerpost.tasks.kg.explanation import Explanation, Input
from fingerpost.tasks.kg.open import LiveAlignment, live

#: Characters of values that are shown, and neighbours of each entity.
_VALUE = 60
_NEIGHBORS = 5
#: Similarities of an input that are shown; JSON has all of them.
_SIMILARITIES = 4


def explain(*, left: str, right: str, as_json: bool, collection: str | None, store: str | None) -> None:
    """Explains a pair by the live alignment, and prints it."""
    alignment = live(collection, store=store)
    found = alignment.explain(left, right)
    if as_json:
        echo_json({"alignment": str(alignment.ref), "accepted": found.accepted} | asdict(found))
    else:
        _show(found, alignment)


def _show(found: Explanation, alignment: LiveAlignment) -> None:
    console = wide_console()
    console.tell((f"{found.left} and {found.right}: {found.decision}", "bold"))
    console.tell(found.because)
    for note in found.notes:
        console.tell(note)
    console.tell(
        f"log odds {found.score:.3f}, probability {found.probability:.4f}, threshold {found.threshold:.4f}"
        + (f"; by structure alone {found.structure:.4f}" if found.structure is not None else "")
    )
    if found.sources:
        console.tell(f"proposed by {', '.join(found.sources)}; cosine of their vectors {found.similarity:.3f}")
    _show_inputs(found, console)
    _show_neighbors(found, console)
    _show_rivals(found, console)
    console.tell(str(alignment.ref), style="dim")


def _show_inputs(found: Explanation, console: TextConsole) -> None:
    """What each input says, the weightiest first."""
    table = table_of(
        "\nwhat it is decided by: the log odds are so much higher than without this input",
        "input",
        "contribution>",
        "left",
        "right",
        "similarities",
    )
    for one in found.inputs:
        if all(value is None for value in one.similarities.values()):
            continue
        table.add_row(one.name, f"{one.contribution:+.3f}", _values(one.left), _values(one.right), _similarities(one))
    console.print(table)


def _values(values: tuple[str, ...]) -> str:
    text = visible(", ".join(values))
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def _similarities(one: Input) -> str:
    """The first similarities that are known."""
    known = [f"{name} {significant(value, 3)}" for name, value in one.similarities.items() if value is not None]
    return ", ".join(known[:_SIMILARITIES]) + (" …" if len(known) > _SIMILARITIES else "")


def _show_neighbors(found: Explanation, console: TextConsole) -> None:
    """The neighbours with the highest attention weights, those of each entity apart."""
    for side, entity in (("left", found.left), ("right", found.right)):
        mine = [one for one in found.neighbors if one.side == side]
        if not mine:
            continue
        table = table_of(f"\nneighbours of {entity.id}", "attention>", "relation", "neighbour", "the same as")
        for one in mine[:_NEIGHBORS]:
            relation = f"{'← ' if one.into else ''}{one.relation}"
            name = one.name if one.id in ("", one.name) or not one.name else f"{one.id} ({one.name})"
            table.add_row(f"{one.weight:.3f}", relation, name or one.id, one.same)
        console.print(table)


def _show_rivals(found: Explanation, console: TextConsole) -> None:
    if not found.rivals:
        return
    table = table_of("\nother pairs of either", "of", "with", "probability>", "")
    for one in found.rivals:
        mine, other = (found.left if one.side == "left" else found.right), one.other
        name = other.id if other.name in ("", other.id) else f"{other.id} ({other.name})"
        table.add_row(mine.id, name, f"{other.probability:.4f}", "match" if other.match else "")
    console.print(table)
