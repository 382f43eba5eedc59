"""The commands that compare versions: diff, why and replay."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import (
    DEFAULT_PRODUCT,
    PRODUCT_QUERIES,
    CollectionOption,
    JsonOption,
    ProductOption,
    StoreOption,
    opened,
    profile_option,
)
from fingerpost.flows.run.plain_text import echo_json

_VERSION = "first version: reference, beginning of a fingerprint, live, live~1 (version before), day, or run"


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=_VERSION)],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="second version: reference, beginning of a fingerprint, live, live~1 (version before), day, or run",
        ),
    ],
    product: ProductOption = DEFAULT_PRODUCT,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Shows what differs between two artifacts or runs: causes, parameters, code, rows, quality, and the data itself.

    Examples:

        fingerpost diff live~1 live

        fingerpost diff 2026-01-01 2026-01-02 --collection snapshots --json

        fingerpost diff live~1 live --product xmr.ranker
    """
    from fingerpost.flows.ops.compare import diff as work
    from fingerpost.flows.ops.compare.diff_tables import show_diff
    from fingerpost.flows.ops.compare.versions import find_version

    there = opened(store, product)
    sides = [find_version(there, text, collection=collection or None, product=product) for text in (before, after)]
    found = work.diff(there, *sides)
    if as_json:
        echo_json(asdict(found))
    else:
        show_diff(found)


def why(
    query: Annotated[str, typer.Argument(help=f"query ({PRODUCT_QUERIES})")],
    between: Annotated[
        tuple[str, str], typer.Option("--between", metavar="A B", help=f"the two versions: {_VERSION}")
    ] = ("live~1", "live"),
    product: ProductOption = DEFAULT_PRODUCT,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="number of answers")] = 10,
    method: Annotated[
        str, typer.Option(help="search method, where a product has several; auto: the faster one on each version")
    ] = "auto",
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Shows a query's answers in two versions, and whether data, the search, parameters or code changed them.

    Examples:

        fingerpost why "shortest path in a graph" --between live~1 live

        fingerpost why "read a csv file" --between 2026-01-01 2026-01-02 --collection snapshots -k 5

        fingerpost why "sort by key" --product xmr.ranker
    """
    from fingerpost.flows.ops.compare import why as work
    from fingerpost.flows.ops.compare.versions import find_product
    from fingerpost.flows.ops.compare.why_tables import show_why

    there = opened(store, product)
    before, after = (find_product(there, text, collection=collection or None, product=product) for text in between)
    found = work.why(there, before, after, query, k=k, method=method)
    if as_json:
        echo_json(asdict(found))
    else:
        show_why(found)


def replay(
    queries: Annotated[
        Path,
        typer.Option(
            "--queries",
            "-q",
            help=f"CSV, JSON Lines or Parquet file: query ({PRODUCT_QUERIES}); for judged queries also id and grade",
        ),
    ],
    candidate: Annotated[
        str, typer.Option(help=f"the version to try; by default the newest ({_VERSION})", show_default=False)
    ] = "",
    product: ProductOption = DEFAULT_PRODUCT,
    live: Annotated[
        bool, typer.Option("--live", help="answer with the live version alone, without a comparison")
    ] = False,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, max=1000, help="number of answers compared; by default the profile's", show_default=False
        ),
    ] = None,
    profile: Annotated[str, profile_option("profile whose gates are checked: ")] = "",
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Answers real queries with a candidate and the live version, and shows the differences; promotes nothing.

    Examples:

        fingerpost replay --queries queries.csv

        fingerpost replay --queries judged.csv --candidate 2026-01-02 --collection snapshots --profile nightly

        fingerpost replay --queries queries.csv --product xmr.ranker
    """
    from fingerpost.flows.ops.compare.replay_tables import compare_with_live, show_replay

    found, gates = compare_with_live(
        opened(store, product),
        str(queries),
        product=product,
        candidate=candidate,
        live_alone=live,
        k=k or 0,
        profile=profile,
        collection=collection or None,
    )
    if as_json:
        body = found.as_json() | {"gates": [asdict(gate) | {"holds": gate.holds} for gate in gates]}
        echo_json(body)
    else:
        show_replay(found, gates)
