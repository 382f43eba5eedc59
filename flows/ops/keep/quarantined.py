"""The quarantined rows of an input, with the reason of each."""

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo_json
from fingerpost.schemas import corpus
from fingerpost.schemas.errors import MissingArtifactError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.refused_rows import refused_rows

#: Runs among which the newest quarantine is looked for.
_RUNS = 100


def show_quarantine(store: Store, reference: str, *, collection: str, newest: int, as_json: bool) -> None:
    """Prints the rows of a quarantine, or of those of the newest run that has any; ``newest`` of 0 prints all."""
    refs = [Ref.parse(reference)] if reference else _newest(store, collection)
    rows = {str(ref): store.open(ref, corpus.QUARANTINE).read("rows").to_pylist() for ref in refs}
    if as_json:
        echo_json(rows)
        return
    console = wide_console()
    for ref, found in rows.items():
        listed = found[: newest or len(found)]
        more = f", the first {len(listed):,}" if len(listed) < len(found) else ""
        table = table_of(f"{ref}: {len(found):,} rows{more}", "row>", "id", "reason", "found")
        for row in listed:
            table.add_row(str(row["row"]), row["id"], row["reason"], row["detail"])
        console.print(table)


def _newest(store: Store, collection: str) -> list[Ref]:
    """The quarantines of the newest run that quarantined rows, also of one that was refused for them.

    MissingArtifactError if there is none.
    """
    for record in runs(store, newest=_RUNS):
        refs = [
            Ref.parse(stage["companions"][corpus.QUARANTINE.name])
            for stage in record["stages"]
            if stage["quality"].get("quarantined") and corpus.QUARANTINE.name in stage["companions"]
        ]
        if (refused := refused_rows(record)) is not None and store.has(refused):
            refs.append(refused)
        if refs and collection in ("", record["collection"]):
            return refs
    raise MissingArtifactError(
        f"store {store.url}: expected a run that quarantined rows, found none among the newest; name a quarantine, as the"
        " error of a refused input does"
    )
