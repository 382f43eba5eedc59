"""Comparing versions: what differs, why a query is answered otherwise, and real queries against a candidate."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import (
    DEFAULT_PRODUCT,
    PRODUCT_QUERIES,
    CollectionOption,
    JsonOption,
    ProductOption,
    StoreOption,
    opened,
)

_VERSION = "a reference, the beginning of a fingerprint, live, live~1 (the version before), a day, or a run"


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=_VERSION)],
    after: Annotated[str, typer.Argument(metavar="B", help="the same, of what it is compared with")],
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
    from flows.ops.compare import diff as work
    from flows.ops.compare.diff_tables import show_diff
    from flows.ops.compare.versions import find_version

    there = opened(store)
    sides = [find_version(there, text, collection=collection or None, product=product) for text in (before, after)]
    found = work.diff(there, *sides)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False))
    else:
        show_diff(found)


def why(
    query: Annotated[str, typer.Argument(help=f"what was asked ({PRODUCT_QUERIES})")],
    between: Annotated[
        tuple[str, str], typer.Option("--between", metavar="A B", help=f"the two versions: {_VERSION}")
    ] = ("live~1", "live"),
    product: ProductOption = DEFAULT_PRODUCT,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="number of answers")] = 10,
    method: Annotated[
        str, typer.Option(help="the way of searching, where a product has several; auto: the faster on each version")
    ] = "auto",
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Shows one query's answers in two versions, and whether data, the search, parameters or code moved them.

    Examples:

        fingerpost why "shortest path in a graph" --between live~1 live

        fingerpost why "read a csv file" --between 2026-01-01 2026-01-02 --collection snapshots -k 5

        fingerpost why "sort by key" --product xmr.ranker
    """
    from flows.ops.compare import why as work
    from flows.ops.compare.versions import find_product
    from flows.ops.compare.why_tables import show_why

    there = opened(store)
    before, after = (find_product(there, text, collection=collection or None, product=product) for text in between)
    found = work.why(there, before, after, query, k=k, method=method)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False))
    else:
        show_why(found)


def replay(
    queries: Annotated[
        Path,
        typer.Option(
            "--queries",
            "-q",
            help=f"CSV, JSON Lines or Parquet file: query ({PRODUCT_QUERIES}), and if judged id and grade",
        ),
    ],
    candidate: Annotated[
        str, typer.Option(help=f"the version to try; by default the newest ({_VERSION})", show_default=False)
    ] = "",
    product: ProductOption = DEFAULT_PRODUCT,
    live: Annotated[
        bool, typer.Option("--live", help="answer with the live version alone: what it gives today")
    ] = False,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, max=1000, help="answers compared; by default the profile's", show_default=False),
    ] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="whose limits are shown")] = "quick",
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Answers real queries with a candidate and with what is live, and shows what would change; promotes nothing.

    Examples:

        fingerpost replay --queries queries.csv

        fingerpost replay --queries judged.csv --candidate 2026-01-02 --collection snapshots --profile nightly

        fingerpost replay --queries queries.csv --product xmr.ranker
    """
    from flows.ops.compare.replay_tables import compare_with_live, show_replay

    found, gates = compare_with_live(
        opened(store),
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
        typer.echo(json.dumps(body, indent=1, ensure_ascii=False))
    else:
        show_replay(found, gates)
