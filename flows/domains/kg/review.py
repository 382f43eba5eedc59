"""The `review` command: the most doubtful pairs as a table with an empty column for labels. Imports no Prefect."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.rankings import RowWriter
from fingerpost.schemas.wording import cut
from fingerpost.tasks.kg.open import LiveAlignment, live

SCHEMA = pa.schema(
    [
        ("left", pa.string()),
        ("right", pa.string()),
        ("label", pa.string()),
        ("left_name", pa.string()),
        ("right_name", pa.string()),
        ("probability", pa.float32()),
        ("accepted", pa.bool_()),
        ("reason", pa.string()),
    ]
)
#: Pairs that are shown where no file is written, and the characters of each entity; the file has all of them.
_SHOWN = 20
_TEXT = 60


def review(*, output: Path | None, pairs: int | None, as_json: bool, collection: str | None, store: str | None) -> None:
    """Writes the doubtful pairs to a file, or prints the first of them."""
    writer = _writer_of(output) if output is not None else None
    alignment = live(collection, store=store)
    found = unlabelled(alignment.review())
    found = found.slice(0, pairs) if pairs is not None else found
    if writer is not None:
        with writer:
            for row in zip(*(column.to_pylist() for column in found.columns), strict=True):
                writer.add(*row)
    if as_json:
        named = {"alignment": str(alignment.ref), "output": str(output) if output else ""}
        echo_json(named | {"pairs": found.drop_columns(["label"]).to_pylist()})
        return
    _show(found, alignment, output)


def unlabelled(pairs: pa.Table) -> pa.Table:
    """The pairs of a queue with an empty label, in the columns of ``SCHEMA``."""
    columns = [pa.nulls(len(pairs), pa.string()) if name == "label" else pairs[name] for name in SCHEMA.names]
    return pa.table(columns, schema=SCHEMA)


def _writer_of(output: Path) -> RowWriter:
    """The writer of a new file; InputError for one that is there, whose labels would be lost."""
    if output.exists():
        raise InputError(f"{output}: expected a new file, found one, which may have labels; name another, or remove it")
    return RowWriter(output, SCHEMA)


def _show(found: pa.Table, alignment: LiveAlignment, output: Path | None) -> None:
    console = wide_console()
    if output is not None:
        console.tell(
            f"{found.num_rows:,} pairs: {output}; write 1 or 0 into its column label, and give it back with"
            " `fingerpost align --reviewed`"
        )
        return
    accepted = pc.sum(found["accepted"]).as_py() or 0
    heading = f"{found.num_rows:,} doubtful pairs, {accepted:,} of them matches now"
    table = table_of(heading, "left", "right", "probability>", "match", "why it is doubtful")
    for row in found.slice(0, _SHOWN).to_pylist():
        sides = [
            f"{row[side]} ({cut(row[f'{side}_name'], _TEXT)})" if row[f"{side}_name"] else row[side]
            for side in ("left", "right")
        ]
        table.add_row(*sides, f"{row['probability']:.3f}", "yes" if row["accepted"] else "no", row["reason"])
    console.print(table)
    if found.num_rows > _SHOWN:
        console.tell(f"{found.num_rows - _SHOWN:,} more; write all of them to a file with --output")
    console.tell(str(alignment.ref), style="dim")
