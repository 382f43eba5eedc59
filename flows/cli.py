"""The commands. What a command needs is imported when it runs, so that a query does not wait for Prefect."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.errors import FingerpostError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="From documents to published, checked, versioned retrieval artifacts.",
)

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="FINGERPOST_STORE",
        help="folder or fsspec URL of the store; by default the nearest .fingerpost in this folder or above",
        show_default=False,
    ),
]
CollectionOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        help="name that results are published under; by default the one that the store has, or python-docs",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def main() -> None:
    """Runs a command; a user's mistake is one line on standard error and exit code 1 (2 for wrong usage)."""
    try:
        app()
    except FingerpostError as problem:
        sys.stderr.write(f"fingerpost: {' '.join(str(problem).split())}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("fingerpost: stopped; what is finished stays, run again to go on\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


@app.command()
def run(
    flow: Annotated[str, typer.Argument(help="nightly, featurize_corpus or build_ann_index")],
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="quick, nightly, full, tiny, or a TOML file")
    ] = "quick",
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            help="Parquet, CSV or JSON Lines file of documents (or a folder of Parquet files) instead of the built-in sample",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", "-m", help="our column = the file's column, for example title=name", show_default=False),
    ] = None,
    collection: CollectionOption = "",
    day: Annotated[
        str,
        typer.Option(
            help="calendar day YYYY-MM-DD the run is for; by default today in the profile's time zone",
            show_default=False,
        ),
    ] = "",
    force: Annotated[
        list[str] | None,
        typer.Option("--force", help="a stage to run again, with what follows from it", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", help="a setting by dotted key, for example ann.hnsw.max_neighbors=32", show_default=False
        ),
    ] = None,
    stale_on: Annotated[
        str, typer.Option(help="'versions' computes again what other library versions made", show_default=False)
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print the report's path alone")] = False,
    log_file: Annotated[Path | None, typer.Option(help="also write progress to this file", show_default=False)] = None,
    store: StoreOption = "",
) -> None:
    """Runs a flow: reuses what is there, computes the rest, checks the gates, publishes, writes a report.

    Examples:

        fingerpost run nightly --profile quick

        fingerpost run nightly --input products.csv --map id=sku --map title=name --map text=description --collection products

        fingerpost run nightly --force build_graph
    """
    from flows.settings import load_settings

    overrides: dict[str, Any] = dict(_pair(text, "--set", "key=value") for text in settings or ())
    if source is not None:
        overrides |= {
            "input.source": source,
            "input.collection": collection or _collection_of(source),
            "input.columns": dict(_pair(text, "--map", "ours=theirs") for text in columns or ()),
        }
    elif columns:
        raise FingerpostError("--map: expected --input with it, found none; name the file whose columns are mapped")
    if collection:
        overrides["input.collection"] = collection
    overrides |= {
        key: value
        for key, value in (("day", day), ("store", store), ("force", tuple(force or ())), ("run.stale_on", stale_on))
        if value
    }
    found, _ = load_settings(profile, overrides=overrides)
    from flows.start import run_flow

    report = run_flow(flow, found, quiet=quiet, log_file=log_file)
    typer.echo(report)


@app.command()
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
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Answers from the live index: names, kinds, similarities and first sentences.

    Examples:

        fingerpost query "return a sorted copy of an array"

        fingerpost query "shortest path in a graph" --package networkx --json

        fingerpost query --like numpy.sort
    """
    from flows.answers import ask

    ask(
        text=text,
        like=like,
        vectors=vectors,
        k=k,
        kind=kind,
        package=package,
        method=method,
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )


@app.command()
def status(as_json: JsonOption = False, store: StoreOption = "") -> None:
    """Shows what is live in the store, and the newest run of each collection.

    Example: fingerpost status
    """
    from flows.reading import show_status

    show_status(_opened(store), as_json=as_json)


@app.command()
def history(
    newest: Annotated[int, typer.Option("-n", min=1, help="number of runs")] = 20,
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Shows the newest runs, and every move of what is live with who made it and why.

    Example: fingerpost history -n 5
    """
    from flows.reading import show_history

    show_history(_opened(store), newest=newest, as_json=as_json)


@app.command()
def promote(
    reference: Annotated[
        str, typer.Argument(help="ann.index/day=YYYY-MM-DD/fingerprint, as `fingerpost history` prints it")
    ],
    reason: Annotated[str, typer.Option(help="why, for the audit log")] = "",
    profile: Annotated[str, typer.Option("--profile", "-p", help="whose gates must hold")] = "quick",
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Makes an index live if it is whole and its gates hold.

    Example: fingerpost promote ann.index/day=2026-01-02/0123456789abcdef --reason "looked at by hand"
    """
    from flows.reading import promote_index

    typer.echo(promote_index(_opened(store), reference, collection=collection or None, profile=profile, reason=reason))


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="why, for the audit log")] = "",
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Makes the version live again that was live before the present one.

    Example: fingerpost rollback --reason "wrong answers since this morning"
    """
    from flows.reading import roll_back

    typer.echo(roll_back(_opened(store), collection=collection or None, reason=reason))


@app.command()
def config(
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="quick, nightly, full, tiny, or a TOML file")
    ] = "quick",
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="a setting by dotted key", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prints every setting in force and where it came from.

    Example: fingerpost config --profile nightly
    """
    from flows.settings import in_force, load_settings

    found, origins = load_settings(
        profile, overrides=dict(_pair(text, "--set", "key=value") for text in settings or ())
    )
    values = in_force(found)
    if as_json:
        typer.echo(
            json.dumps(
                {key: {"value": value, "from": origins.get(key, "default")} for key, value in values.items()},
                indent=1,
                default=str,
            )
        )
        return
    for key, value in values.items():
        typer.echo(f"{key} = {value!r}  # {origins.get(key, 'default')}")


@app.command()
def report(store: StoreOption = "") -> None:
    """Writes the report of the newest run again and prints its path.

    Example: fingerpost report
    """
    from flows.report.page import write
    from tasks.ledger import runs

    opened = _opened(store)
    newest = runs(opened, newest=1)
    if not newest:
        raise FingerpostError(
            f"store {opened.url}: expected a run to report on, found none; run `fingerpost run nightly`"
        )
    typer.echo(write(opened, newest[0]))


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="python-docs")],
    days: Annotated[
        int, typer.Option(min=1, max=31, help="number of daily snapshots, each a growing part of the packages")
    ] = 3,
    output: Annotated[Path, typer.Option("--output", "-o", help="folder to write to")] = Path("python-docs"),
) -> None:
    """Writes the built-in sample as daily snapshots with fixed dates.

    Example: fingerpost sample python-docs --days 3
    """
    if name != "python-docs":
        raise FingerpostError(f"sample: expected python-docs, got {name!r}; there is no other")
    from schemas.inputs.python_docs import write_snapshots

    for path in write_snapshots(output, days):
        typer.echo(path)


@app.command()
def accept(
    stage: Annotated[str, typer.Argument(help="the stage whose code changed in a way known not to matter")],
    reason: Annotated[str, typer.Option(help="why, for the audit log")] = "",
    collection: CollectionOption = "python-docs",
    store: StoreOption = "",
) -> None:
    """Adopts the newest artifact of older code as what the present code makes.

    Example: fingerpost accept build_graph --reason "renamed a variable"
    """
    from flows.catalog import STAGES
    from tasks.code import code_hash
    from tasks.ledger import Ledger

    if stage not in STAGES:
        raise FingerpostError(f"stage: expected one of {', '.join(STAGES)}, got {stage!r}; correct it")
    found = STAGES[stage]
    note = Ledger(_opened(store), collection).accept(
        stage, code_hash(found.function), found.contract.name, reason=reason
    )
    typer.echo(f"accepted {note['ref']} as the work of the present code of {stage}")


def _opened(store: str) -> Any:
    from schemas.store import Store
    from tasks.ann.open import find_store

    return Store(store or find_store()).checked()


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key or not value:
        raise FingerpostError(f"{option}: expected {form}, got {text!r}; correct it")
    return key.strip(), value.strip()


def _collection_of(source: str) -> str:
    name = "".join(c if c.isalnum() else "-" for c in Path(source).name.split(".")[0].lower()).strip("-")
    return name or "documents"


if __name__ == "__main__":
    main()
