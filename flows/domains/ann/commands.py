"""Asking the live index."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import CollectionOption, JsonOption, StoreOption


def query(
    text: Annotated[str, typer.Argument(help="what to look for", show_default=False)] = "",
    like: Annotated[
        str, typer.Option(help="instead: the documents nearest to the one with this id", show_default=False)
    ] = "",
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="instead: nearest documents of every vector in a Parquet, CSV or JSON Lines file of ids and vectors",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="number of answers")] = 10,
    kind: Annotated[
        str | None, typer.Option(help="only documents of this kind, for example function", show_default=False)
    ] = None,
    package: Annotated[str | None, typer.Option(help="only documents of this package", show_default=False)] = None,
    method: Annotated[str, typer.Option(help="finger, hnsw, or auto: the faster on this index")] = "auto",
    within: Annotated[
        str,
        typer.Option(
            help=(
                "only answers whose vectors are at least so similar (of an l2 index: at most so far): a number, or"
                " 'threshold' for the live threshold of the collection; -k is the most there are"
            ),
            show_default=False,
        ),
    ] = "",
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Answers from the live index: names, kinds, similarities and first sentences.

    Examples:

        fingerpost query "return a sorted copy of an array"

        fingerpost query "shortest path in a graph" --package networkx --json

        fingerpost query --like numpy.sort

        fingerpost query --like face-17 --collection faces --within threshold -k 100
    """
    from flows.domains.ann.query import ask

    ask(
        text=text,
        like=like,
        vectors=vectors,
        k=k,
        kind=kind,
        package=package,
        method=method,
        within=within,
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )
