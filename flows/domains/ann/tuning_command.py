"""The command that shows what the live index delivers by recall, and how it is searched best."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import JsonOption, StoreOption


def tune(
    collection: Annotated[
        str, typer.Argument(help="by default the only collection of the store, or python-docs", show_default=False)
    ] = "",
    target_recall: Annotated[
        float, typer.Option("--target-recall", min=0.01, max=0.9999, help="recall@k that the search is to reach")
    ] = 0.98,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="number of neighbours that recall is of")] = 10,
    profile: Annotated[str, typer.Option(help="fast (for speed), compact (for memory) or plain")] = "fast",
    peers: Annotated[
        bool,
        typer.Option("--peers", help="build and search the same vectors with faiss and hnswlib too, where installed"),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="SVG file to draw recall and queries per second into", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Measures ways to search the live index on documents held out of it, and certifies the best for a recall.

    Nothing is published: the settings that would have the next run do so are printed.

    Examples:

        fingerpost tune --target-recall 0.99

        fingerpost tune faces -k 20 --profile compact --json

        fingerpost tune faces --peers --plot faces.svg
    """
    from fingerpost.flows.domains.ann.tuned import tuned

    tuned(
        collection=collection or None,
        target_recall=target_recall,
        k=k,
        profile=profile,
        peers=peers,
        plot=plot,
        as_json=as_json,
        store=store or None,
    )
