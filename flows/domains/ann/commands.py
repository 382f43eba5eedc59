"""The command that queries the live index."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import AnswersFileOption, CollectionOption, JsonOption, StoreOption, pair
from fingerpost.flows.run.lean import one_thread


def query(
    text: Annotated[str, typer.Argument(help="what to look for", show_default=False)] = "",
    like: Annotated[
        str,
        typer.Option(help="instead of a text: id of a document, for the documents most like it", show_default=False),
    ] = "",
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="instead of a text: Parquet, CSV or JSON Lines file of ids and vectors, each of which is queried",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            help=(
                "instead of a text: Parquet, CSV or JSON Lines file of queries, one a row: vectors (column vector), texts"
                " (query), or where it has neither ids of documents (id), for the documents most like each"
            ),
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            "-m",
            help="with --input: column here = column of the file, for example query=name",
            show_default=False,
        ),
    ] = None,
    output: AnswersFileOption = None,
    k: Annotated[int, typer.Option("-k", min=0, max=1000, help="number of answers")] = 10,
    kind: Annotated[
        str | None, typer.Option(help="search only documents of this kind, for example function", show_default=False)
    ] = None,
    package: Annotated[
        str | None, typer.Option(help="search only documents of this package", show_default=False)
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            help=(
                'search only documents that pass this condition on their columns, for example \'kind == "function" and'
                ' package in ("numpy", "scipy")\'; may be repeated, all must pass'
            ),
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="search method: finger, hnsw, or auto (the faster one on this index)")
    ] = "auto",
    within: Annotated[
        str,
        typer.Option(
            help=(
                "minimum similarity of answers (maximum distance for an l2 index): a number, or"
                " 'threshold' for the live threshold of the collection; -k is the maximum number of answers"
            ),
            show_default=False,
        ),
    ] = "",
    ef: Annotated[
        int | None,
        typer.Option(
            min=1, help="width of the search of vectors; by default that of the certificate", show_default=False
        ),
    ] = None,
    target_recall: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="instead of --ef: the recall that the certificate of the index has to promise",
            show_default=False,
        ),
    ] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="leave near-duplicates of better answers out")] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="show which side found each answer, both scores and ranks, and the matched terms (+: of feedback)",
        ),
    ] = False,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Queries the live index by words and vectors together and prints names, kinds, scores and the matching text.

    Words that no document has are named, with near spellings. --like finds documents by the terms and the vector of one.
    With metric l2 scores are Euclidean distances, the smallest first; with cosine and ip they are similarities. --input asks
    with every row of a file and prints, or writes to --output, query_id, query, rank, id, name, score and measure (what
    the score is); a query without an answer is one row without them. An id or text that begins with - goes after --.

    Examples:

        fingerpost query "return a sorted copy of an array"

        fingerpost query "shortest path in a graph" --package networkx --json

        fingerpost query "sort an array" --filter 'kind == "function"' --filter '"sort" in title'

        fingerpost query "merge two dataframes on a key" --explain

        fingerpost query --like numpy.sort --distinct

        fingerpost query --like face-17 --collection faces --within threshold -k 100

        fingerpost query --vectors queries.parquet --collection faces --target-recall 0.99

        fingerpost query --input names.csv --map query=name --output answers.csv -k 3
    """
    one_thread()
    from fingerpost.flows.domains.ann.query import ask

    ask(
        text=text,
        like=like,
        vectors=vectors,
        source=source,
        columns=dict(pair(one, "--map", "column=name") for one in columns or ()),
        output=output,
        k=k,
        kind=kind,
        package=package,
        filters=tuple(filters or ()),
        method=method,
        within=within,
        ef=ef,
        target_recall=target_recall,
        distinct=distinct,
        explain=explain,
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )
