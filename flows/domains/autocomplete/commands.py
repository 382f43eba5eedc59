"""The command that completes with the live completer."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import CollectionOption, JsonOption, OutputFileOption, StoreOption
from fingerpost.flows.run.lean import one_thread


def complete(
    prefix: Annotated[
        str, typer.Argument(help="what is typed so far; empty for the queries that come next", show_default=False)
    ] = "",
    previous: Annotated[
        list[str] | None,
        typer.Option(
            "--previous",
            "-q",
            help="a query that was asked before; several in the order they were asked, the most recent last (the last"
            " three count)",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            help="instead of a prefix: Parquet, CSV or JSON Lines file with columns previous and prefix, or a column"
            " query of lines `first > second > prefix`",
            show_default=False,
        ),
    ] = None,
    output: OutputFileOption = None,
    k: Annotated[int, typer.Option("-k", min=0, max=1000, help="number of suggestions")] = 10,
    typos: Annotated[
        bool | None,
        typer.Option(
            "--typos/--no-typos",
            help="whether suggestions with one typing error in a prefix of at least four characters fill up too few; by"
            " default as the profile says",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Completes a prefix with the live completer, after the queries that were asked before.

    Upper and lower case, accents and separators count as the same. A file is completed to one row per suggestion, with
    the row's own id (its column query_id or id) as query_id; a request without a suggestion is a row without a query.

    Examples:

        fingerpost complete --previous "numpy.zeros" "num"

        fingerpost complete --previous "numpy.zeros" --previous "numpy.arange"

        fingerpost complete --input requests.csv --output completed.parquet -k 5
    """
    one_thread()
    from fingerpost.flows.domains.autocomplete.complete import complete as completed

    completed(
        prefix=prefix,
        previous=tuple(previous or ()),
        source=source,
        output=output,
        k=k,
        typos=typos,
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )
