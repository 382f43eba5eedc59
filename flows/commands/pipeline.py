"""The commands that run flows, show the state of the store, and promote or roll back versions."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from fingerpost.flows.commands.options import (
    DEFAULT_PRODUCT,
    PRODUCT_NAMES,
    AcceptOption,
    CollectionOption,
    FlowArgument,
    FutureOption,
    JsonOption,
    NumberRowsOption,
    ProductOption,
    ProfileOption,
    StoreOption,
    check_flow,
    collection_option,
    numbered,
    opened,
    pair,
    profile_option,
)
from fingerpost.flows.run.plain_text import echo, echo_json
from fingerpost.schemas.errors import FingerpostError, UsageError


def run(
    flow: FlowArgument,
    profile: ProfileOption = "",
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            help=(
                "Parquet, CSV or JSON Lines file of documents (or a folder of Parquet files; for a flow that reads"
                " events or embeddings, of these; for one that reads images, a folder with a subfolder per class), or"
                " python-docs (the built-in sample); by default what the collection was run with before, or for the"
                " collection python-docs the sample"
            ),
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", "-m", help="column here = column of the file, for example title=name", show_default=False
        ),
    ] = None,
    number_rows: NumberRowsOption = False,
    collection: Annotated[
        str, collection_option("the name of the --input file, else that of the profile, or python-docs")
    ] = "",
    day: Annotated[
        str,
        typer.Option(
            help="calendar day YYYY-MM-DD of the run; by default today in the profile's time zone",
            show_default=False,
        ),
    ] = "",
    future: FutureOption = False,
    force: Annotated[
        list[str] | None,
        typer.Option("--force", help="stage to rerun, with all that depends on it", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", help="setting by dotted key, for example ann.hnsw.max_neighbors=32", show_default=False
        ),
    ] = None,
    stale_on: Annotated[
        str, typer.Option(help="'versions' recomputes artifacts of other library versions", show_default=False)
    ] = "",
    accept_change: AcceptOption = "",
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="wait for input files that are late or still written, until schedule.wait_until of the day"
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="show what would run or be reused, why, and at what cost, without running it"),
    ] = False,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print only the report's path")] = False,
    log_file: Annotated[Path | None, typer.Option(help="also write progress to this file", show_default=False)] = None,
    store: StoreOption = "",
) -> None:
    """Runs a flow: reuses finished stages, computes the rest, checks the gates, publishes, writes a report.

    Examples:

        fingerpost run nightly --profile quick

        fingerpost run nightly --input products.csv --map id=sku --map title=name --collection products

        fingerpost run nightly --force build_graph

        fingerpost run nightly --input "drops/{day}.parquet" --collection products --day 2026-01-02 --dry-run

        fingerpost run nightly --collection products --accept-change "half of the range was sold"

        fingerpost run nightly --collection products --wait
    """
    overrides: dict[str, Any] = dict(pair(text, "--set", "key=value") for text in settings or ())
    if columns and source is None:
        raise UsageError("--map: expected --input with it, found none; name the file whose columns are mapped")
    mapped = dict(pair(text, "--map", "ours=theirs") for text in columns or ())
    if number_rows:
        mapped = numbered(mapped, has_input=source is not None)
    from fingerpost.flows.run.server import own_server

    check_flow(flow)
    # The server starts up while the code of the flows is imported; a run that waits needs neither yet.
    with nullcontext() if dry_run or wait else own_server():
        from fingerpost.flows.run.collections import asked_collection, asked_profile
        from fingerpost.flows.run.request import RunRequest

        asked: dict[str, Any] = {"flow": flow, "collection": collection, "source": source or "", "settings": overrides}
        named = asked_profile(profile, store=store, **asked)
        if not profile and not source and named.endswith(".toml"):
            # The file may name another collection, which it was then not run for.
            collection = asked_collection(store=store, **asked)
        request = RunRequest.of(
            profile=named,
            day=day,
            future=future,
            input=source or "",
            columns=mapped,
            collection=collection,
            force=tuple(force or ()),
            store=store,
            settings=overrides | ({"run.stale_on": stale_on} if stale_on else {}),
            accept_change=accept_change,
            wait=wait,
            dry_run=dry_run,
        )
        if dry_run:
            from fingerpost.flows.run.dry_run import show_plan, show_wait

            if not (wait and show_wait(flow, request, as_json=as_json)):
                show_plan(flow, request, as_json=as_json)
            return
        if wait:
            from fingerpost.flows.run.first_wait import waited

            request = waited(flow, request, quiet=quiet, log_file=log_file)
        from fingerpost.flows.run.start import run_flow

        report = run_flow(flow, request, quiet=quiet, log_file=log_file)
    echo(report)


def status(as_json: JsonOption = False, store: StoreOption = "") -> None:
    """Shows what is live in the store, and the newest run of each collection.

    Example: fingerpost status
    """
    from fingerpost.flows.ops.keep.live import show_status

    show_status(opened(store), as_json=as_json)


def history(
    newest: Annotated[int, typer.Option("-n", min=1, help="number of runs")] = 20,
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Shows the newest runs, and every move of a live version with its author and reason.

    Example: fingerpost history -n 5
    """
    from fingerpost.flows.ops.keep.live import show_history

    show_history(opened(store), newest=newest, as_json=as_json)


def promote(
    reference: Annotated[
        str,
        typer.Argument(help=f"{PRODUCT_NAMES}/day=YYYY-MM-DD/fingerprint, as `fingerpost history` prints it"),
    ],
    reason: Annotated[str, typer.Option(help="reason, for the audit log")] = "",
    profile: Annotated[str, profile_option("profile whose gates must pass: ")] = "",
    despite: Annotated[
        str,
        typer.Option(
            help="replay: promote although real queries are answered differently; needs --reason", show_default=False
        ),
    ] = "",
    accept_change: AcceptOption = "",
    collection: Annotated[str, collection_option("that of the version")] = "",
    store: StoreOption = "",
) -> None:
    """Makes a version of a product live if it is complete and passes its gates, including the replay of real queries.

    Examples:

        fingerpost promote ann.index/day=2026-01-02/0123456789abcdef --reason "looked at by hand"

        fingerpost promote ann.index/day=2026-01-02/0123456789abcdef --despite replay --reason "new tokenizer"
    """
    from fingerpost.flows.ops.keep.live import promote as make_live

    echo(
        make_live(
            opened(store),
            reference,
            collection=collection or None,
            profile=profile,
            reason=reason,
            despite=despite,
            accept_change=accept_change,
        )
    )


def rollback(
    reason: Annotated[str, typer.Option(help="reason, for the audit log")] = "",
    product: ProductOption = DEFAULT_PRODUCT,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Makes the previously live version of a product live again.

    Example: fingerpost rollback --reason "wrong answers since this morning"
    """
    from fingerpost.flows.ops.keep.live import roll_back

    echo(roll_back(opened(store, product), collection=collection or None, reason=reason, product=product))


def config(
    context: typer.Context,
    profile: ProfileOption = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="a setting by dotted key", show_default=False)
    ] = None,
    collection: Annotated[str, collection_option("that of the profile, or python-docs")] = "",
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help=(
                "say of one setting what it means, which values are allowed, its default, which commands read it and what"
                " a change recomputes; of a section, its settings"
            ),
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Prints every setting in force and its origin; ``remembered`` is what the collection was run with before.

    Examples:

        fingerpost config --profile nightly

        fingerpost config --profile nightly --collection products

        fingerpost config --explain ann.hnsw.max_neighbors

        fingerpost config --explain ann.certificate
    """
    from fingerpost.flows.run.collections import DEFAULT_PROFILE, asked_profile
    from fingerpost.flows.run.profiles import REMEMBERED, in_force
    from fingerpost.flows.run.request import RunRequest

    overrides = dict(pair(text, "--set", "key=value") for text in settings or ())
    named = asked_profile(profile, store=store, collection=collection, settings=overrides)
    request = RunRequest.of(profile=named, collection=collection, store=store, settings=overrides)
    found, origins = request.with_origins()
    origins |= {"profile": REMEMBERED} if not profile and named != DEFAULT_PROFILE else {}
    origins |= _origins_of_options(context, "profile", "store")
    values = in_force(found)
    if explain is not None:
        from fingerpost.flows.run.explained import explain as show_explained

        show_explained(explain, request, values, origins, as_json=as_json)
        return
    if as_json:
        echo_json(
            {key: {"value": value, "from": origins.get(key, "default")} for key, value in values.items()}, default=str
        )
        return
    for key, value in values.items():
        echo(f"{key} = {value!r}  # {origins.get(key, 'default')}")


def _origins_of_options(context: typer.Context, *names: str) -> dict[str, str]:
    """The origins of the options that were given: the command line, or an environment variable."""
    said = {"COMMANDLINE": "command line", "ENVIRONMENT": "environment"}
    sources = {name: source.name for name in names if (source := context.get_parameter_source(name)) is not None}
    return {name: said[source] for name, source in sources.items() if source in said}


def report(store: StoreOption = "") -> None:
    """Rewrites the report of the newest run and prints its path.

    Example: fingerpost report
    """
    from fingerpost.flows.report.page import write
    from fingerpost.tasks.ledger import runs

    found = opened(store)
    newest = runs(found, newest=1)
    if not newest:
        raise FingerpostError(
            f"store {found.url}: expected a run to report on, found none; run `fingerpost run nightly`"
        )
    echo(write(found, newest[0]))


def sample(
    name: Annotated[
        str, typer.Argument(help="sample to write: python-docs, python-docs-see-also or python-docs-names")
    ],
    days: Annotated[
        int,
        typer.Option(min=1, max=31, help="for python-docs: number of daily snapshots, each with more of the packages"),
    ] = 3,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="folder to write to; by default one with the sample's name")
    ] = None,
) -> None:
    """Writes the built-in sample as daily snapshots with fixed dates, or its interactions and labels for a ranker.

    Examples:

        fingerpost sample python-docs --days 3

        fingerpost sample python-docs-see-also --output links
    """
    from fingerpost.schemas.inputs import NAMES_SAMPLE, SAMPLE, SEE_ALSO_SAMPLE

    folder = output or Path(name)
    if name in (SAMPLE, SEE_ALSO_SAMPLE, NAMES_SAMPLE):
        # Reading the packages takes a while, and is in vain where nothing can be written.
        folder.mkdir(parents=True, exist_ok=True)
    if name == SAMPLE:
        from fingerpost.schemas.inputs.python_docs import write_snapshots

        paths = write_snapshots(folder, days)
    elif name in (SEE_ALSO_SAMPLE, NAMES_SAMPLE):
        from fingerpost.schemas.inputs.sample_files import write_sample

        paths = write_sample(name, folder)
    else:
        known = f"{SAMPLE}, {SEE_ALSO_SAMPLE} or {NAMES_SAMPLE}"
        raise UsageError(f"sample: expected {known}, got {name!r}; choose one of these")
    for path in paths:
        echo(path)


def accept(
    stage: Annotated[str, typer.Argument(help="stage whose code changed without an effect on its results")],
    reason: Annotated[str, typer.Option(help="reason, for the audit log")] = "",
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Adopts the newest artifact of older code as the result of the current code.

    Example: fingerpost accept build_graph --reason "renamed a variable"
    """
    from fingerpost.flows.run.catalog import stages
    from fingerpost.flows.run.collections import collection_with_days
    from fingerpost.tasks.ledger import Ledger

    known = stages()
    if stage not in known:
        raise UsageError(f"stage: expected one of {', '.join(known)}, got {stage!r}; correct it")
    found = known[stage]
    place = opened(store)
    note = Ledger(place, collection or collection_with_days(place)).accept(
        stage, found.code, found.contract.name, reason=reason
    )
    echo(f"accepted {note['ref']} as the result of the current code of {stage}")
