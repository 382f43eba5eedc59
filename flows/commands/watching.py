"""The commands that watch: metrics, lineage and freshness."""

from typing import Annotated

import typer

from fingerpost.flows.commands.options import (
    DEFAULT_PRODUCT,
    CollectionOption,
    JsonOption,
    ProductOption,
    StoreOption,
    collection_option,
    opened,
    profile_option,
)
from fingerpost.flows.run.plain_text import echo, echo_json


def metrics(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port of /metrics")] = 9108,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    once: Annotated[bool, typer.Option("--once", help="print the metrics once and exit")] = False,
    store: StoreOption = "",
) -> None:
    """Serves recall, rows per second, quarantine, freshness, memory and more for Prometheus.

    With FINGERPOST_AUTH=user:password in the environment, readers must give these, as for Prefect's API.

    Examples:

        fingerpost metrics --port 9108

        fingerpost metrics --once
    """
    from fingerpost.flows.ops.stack.state import credentials
    from fingerpost.flows.ops.watch.exposition import serve, text
    from fingerpost.flows.ops.watch.metrics import registry

    found = opened(store)
    if once:
        echo(*text(registry(found)).decode().removesuffix("\n").split("\n"))
        return
    serve(found, port=port, host=host, auth=credentials(), ready=lambda address: echo(address, err=True))


def lineage(
    reference: Annotated[
        str,
        typer.Argument(help="reference of an artifact; by default the live version of --product", show_default=False),
    ] = "",
    product: ProductOption = DEFAULT_PRODUCT,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="print a Mermaid diagram")] = False,
    openlineage: Annotated[
        bool,
        typer.Option("--openlineage", help="print the OpenLineage events of the newest run that made or reused it"),
    ] = False,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Shows what an artifact was made from, back to the input.

    Examples:

        fingerpost lineage

        fingerpost lineage --product xmr.ranker

        fingerpost lineage ann.index/day=2026-01-02/0123456789abcdef --mermaid
    """
    from fingerpost.flows.run.lineage import as_json as json_of
    from fingerpost.flows.run.lineage import as_mermaid, as_tree, committed, lineage_of
    from fingerpost.flows.run.openlineage import lines_of

    found = opened(store, product)
    ref = committed(found, reference, collection=collection or None, product=product)
    if openlineage:
        echo(*lines_of(found, ref).split("\n"))
    else:
        form = as_mermaid if mermaid else json_of if as_json else as_tree
        echo(*form(lineage_of(found, ref)).split("\n"))


def freshness(
    flow: Annotated[str, typer.Option(help="flow to check, scheduled or not", show_default=False)] = "",
    profile: Annotated[str, profile_option("profile whose deadline applies to --flow: ")] = "",
    as_json: JsonOption = False,
    collection: Annotated[
        str,
        collection_option(
            "every one, with --flow that of the profile, or the only collection of the store, or python-docs",
            what="collection to check",
        ),
    ] = "",
    store: StoreOption = "",
) -> None:
    """Shows which days are missing after their deadline, and the others that are not fresh; exit code 1 if one is late.

    Without --flow: every flow and collection that a schedule runs. The states are those of `partitions`, for the
    request of the newest run.

    Examples:

        fingerpost freshness

        fingerpost freshness --flow nightly --profile nightly --collection python-docs --json
    """
    from fingerpost.flows.run.freshness import as_plain, freshness_lines, look

    place = opened(store)
    found = look(place, flow=flow, profile=profile, collection=collection)
    if any(one.newest or one.late for one in found):
        from fingerpost.flows.ops.watch.states import with_states

        found = [with_states(place, one) for one in found]
    if as_json:
        echo_json(as_plain(found))
    else:
        echo(*freshness_lines(found))
    if any(one.late for one in found):
        raise typer.Exit(1)
