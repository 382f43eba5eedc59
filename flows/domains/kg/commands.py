"""The command that aligns two graphs or tables, or finds duplicates within one."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import (
    CollectionOption,
    FutureOption,
    JsonOption,
    ProfileOption,
    StoreOption,
    collection_option,
)


def align(
    left: Annotated[
        Path | None,
        typer.Option(
            "--left",
            help="Parquet, CSV or JSON Lines file of a table or of triples, N-Triples file, or folder in the layout of"
            " DBP15K (both graphs)",
            show_default=False,
        ),
    ] = None,
    right: Annotated[Path | None, typer.Option("--right", help="the other file", show_default=False)] = None,
    within: Annotated[
        Path | None,
        typer.Option("--within", help="instead of two files: one, in which duplicates are sought", show_default=False),
    ] = None,
    links: Annotated[
        Path | None,
        typer.Option(
            "--links",
            help=(
                "file of known pairs: columns left and right (or left_id and right_id, ltable_id and rtable_id), and if they are"
                " there label (1 the same, 0 not) and split"
            ),
            show_default=False,
        ),
    ] = None,
    reviewed: Annotated[
        Path | None,
        typer.Option(
            "--reviewed",
            help="file of `fingerpost review` with its column label filled in; prevails over --links",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str,
        typer.Option("--id", help="a table's column of ids; by default id, or the row's number", show_default=False),
    ] = "",
    name: Annotated[str, typer.Option("--name", help="a table's column of names", show_default=False)] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            "-m",
            help="column of the left table = column of the right one with the same meaning, for example title=name",
            show_default=False,
        ),
    ] = None,
    shared: Annotated[
        list[str] | None,
        typer.Option(
            "--shared",
            help="a table's column whose values are entities that rows share: COLUMN, or COLUMN:SEPARATOR for several in"
            " a cell",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option("--precision", min=0, max=1, help="accept pairs with at least this precision", show_default=False),
    ] = None,
    accepted: Annotated[
        int | None,
        typer.Option(
            "--accepted",
            min=1,
            help="accept so many pairs beside the known ones, the most probable",
            show_default=False,
        ),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option("--far", min=0, max=1, help="accept at most this fraction of false pairs", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="the Parquet (.parquet), CSV (.csv) or JSON Lines (.jsonl) file of matches to write",
            show_default=False,
        ),
    ] = None,
    collection: Annotated[str, collection_option("the name of the left file")] = "",
    day: Annotated[
        str, typer.Option(help="calendar day YYYY-MM-DD of the run; by default today", show_default=False)
    ] = "",
    future: FutureOption = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="setting by dotted key, for example kg.sampling.cap=20", show_default=False),
    ] = None,
    profile: ProfileOption = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="show no progress")] = False,
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Finds which rows of two files are the same entity, or which of one, and publishes the alignment.

    Without --precision, --accepted or --far the threshold is that of the best F1. Without --links matches are assumed from
    the most similar pairs, and all figures are estimates: label pairs that `fingerpost review` lists, and give the file
    with --reviewed.

    Examples:

        fingerpost align --left products.csv --right catalogue.csv --map title=name --output matches.csv

        fingerpost align --left products.csv --right catalogue.csv --links pairs.csv --precision 0.95

        fingerpost align --within people.csv --id number --output duplicates.parquet
    """
    from fingerpost.flows.domains.kg.align import Files, Run, target_of
    from fingerpost.flows.domains.kg.align import align as aligned

    files = Files(left, right, within, links, reviewed)
    how = {"id": key, "name": name, "shared": tuple(shared or ())}
    aligned(
        files,
        Run(profile, collection, day, future, store, quiet),
        columns=tuple(columns or ()),
        how={name: value for name, value in how.items() if value},
        target=target_of(precision=precision, accepted=accepted, far=far),
        settings=tuple(settings or ()),
        output=output,
        as_json=as_json,
    )


def explain(
    left: Annotated[str, typer.Argument(help="the id of an entity of the left graph", show_default=False)],
    right: Annotated[
        str,
        typer.Argument(help="the id of one of the right graph, or of the same one with --within", show_default=False),
    ],
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Says why two entities are a match of the live alignment, or why not.

    Shown are the decision and its reason, each attribute's values and similarities with what they contributed, the
    neighbours that the model looked at with their attention weights, and the other pairs of either entity. A contribution is
    the log odds of the pair less those that it would have if this attribute were unknown; attributes that say the same
    contribute little each, so that contributions do not add up to the log odds. (all) is the text of all attributes
    together, (structure) what the neighbours alone say.

    Examples:

        fingerpost explain numpy.linalg.norm dask.array.linalg.norm

        fingerpost explain 1042 2077 --json
    """
    from fingerpost.flows.domains.kg.explain import explain as explained

    explained(left=left, right=right, as_json=as_json, collection=collection or None, store=store or None)


def review(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="the CSV (.csv), Parquet (.parquet) or JSON Lines (.jsonl) file to write, which must not exist yet",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option("-k", min=1, help="number of pairs; by default all of the queue", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Lists the pairs of the live alignment whose review helps most, the most doubtful first.

    Write 1 (the same) or 0 (two) into the column label of the file, leave it empty where you cannot tell, and give the file
    to `fingerpost align --reviewed`, or name it in kg.reviewed.

    Examples:

        fingerpost review

        fingerpost review --output queue.csv -k 100
    """
    from fingerpost.flows.domains.kg.review import review as reviewed

    reviewed(output=output, pairs=pairs, as_json=as_json, collection=collection or None, store=store or None)


def join(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="N-Triples file (.nt), N-Quads file (.nq), or the name of a new folder of Parquet files",
            show_default=False,
        ),
    ],
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Writes the joined graph of the live alignment: every entity once, under an id that stays from run to run.

    Values that the rules for conflicts drop are in the Parquet files alone. prov:wasDerivedFrom leads from each joined
    entity to those that it was made from; N-Quads say which of the graphs state a fact.

    Examples:

        fingerpost join --output joined.nt

        fingerpost join --output joined
    """
    from fingerpost.flows.domains.kg.join import join as joined

    joined(output=output, as_json=as_json, collection=collection or None, store=store or None)
