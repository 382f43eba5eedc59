"""The command that ranks labels with the live ranker."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import AnswersFileOption, CollectionOption, JsonOption, StoreOption
from fingerpost.flows.run.lean import one_thread


def rank(
    text: Annotated[str, typer.Argument(help="text to rank labels for", show_default=False)] = "",
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            help="instead of a text: Parquet, CSV or JSON Lines file with a column query",
            show_default=False,
        ),
    ] = None,
    output: AnswersFileOption = None,
    k: Annotated[int, typer.Option("-k", min=0, max=1000, help="number of labels")] = 10,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Ranks labels with the live ranker: names, scores, and the probability that each is right.

    A file is ranked to one row per answer, with the query's own id (its column query_id or id) as query_id; a query
    without an answer is a row without a label.

    Examples:

        fingerpost rank "return a sorted copy of an array"

        fingerpost rank --input queries.csv --output ranked.parquet -k 100
    """
    one_thread()
    from fingerpost.flows.domains.xmr.rank import rank as ranked

    ranked(
        text=text,
        source=source,
        output=output,
        k=k,
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )
