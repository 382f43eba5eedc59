"""The `join` command: the joined graph written to a file or a folder. Imports no Prefect."""

from pathlib import Path

from fingerpost.flows.run.console import wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.joined_graphs import check_output, write_joined
from fingerpost.tasks.kg.open import live


def join(*, output: Path, as_json: bool, collection: str | None, store: str | None) -> None:
    """Writes the joined graph of the live alignment."""
    check_output(output)
    alignment = live(collection, store=store)
    written = write_joined(alignment.joined(), output)
    figures = alignment.store.manifest(alignment.members["joined"]).quality
    if as_json:
        echo_json(
            {"alignment": str(alignment.ref), "output": str(output), "written": written, "figures": dict(figures)}
        )
        return
    console = wide_console()
    dropped = figures["attributes"] - figures["kept"]
    console.tell(
        f"{figures['entities']:,} entities, {figures['of_several']:,} of them of several; {figures['relations']:,} relations"
        f" and {figures['kept']:,} values of attributes; {figures['conflicts']:,} conflicts, {dropped:,} values dropped by"
        " their rules"
    )
    console.tell(f"{written:,} {'lines' if output.suffix else 'rows'}: {output}")
    console.tell(str(alignment.ref), style="dim")
