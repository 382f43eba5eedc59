"""The commands that write the live index for other libraries, and read the vectors of theirs."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import JsonOption, StoreOption

_Output = Annotated[Path, typer.Option("--output", "-o", help="the file to write", show_default=False)]
_Force = Annotated[bool, typer.Option("--force", help="replace a file that is there already")]


def export_index(
    output: _Output,
    collection: Annotated[
        str, typer.Argument(help="by default the only collection of the store, or python-docs", show_default=False)
    ] = "",
    form: Annotated[
        str,
        typer.Option(
            "--format", help="faiss or hnswlib: vectors and graph, ready to search there; parquet: ids and vectors"
        ),
    ] = "faiss",
    force: _Force = False,
    as_json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Writes the live index as a file of faiss or hnswlib, or its ids and vectors as Parquet.

    faiss and hnswlib know numbers for ids: an id that is one is kept, if all are; else a row's number is its id, which is
    its position in the Parquet file.

    Examples:

        fingerpost export-index --format faiss -o python-docs.faiss

        fingerpost export-index faces --format hnswlib -o faces.bin --force

        fingerpost export-index faces --format parquet -o faces.parquet --json
    """
    from fingerpost.flows.domains.ann.exchange import exported

    exported(
        output=output,
        collection=collection or None,
        form=form,
        force=force,
        as_json=as_json,
        store=store or None,
    )


def import_index(
    file: Annotated[
        Path, typer.Argument(help="the index file of faiss (IndexHNSWFlat) or hnswlib", show_default=False)
    ],
    output: _Output,
    metric: Annotated[
        str,
        typer.Option(
            help="l2, ip or cosine, which files of hnswlib do not say; by default that of a faiss file, else l2"
        ),
    ] = "",
    force: _Force = False,
    as_json: JsonOption = False,
) -> None:
    """Writes ids and vectors of an index of faiss or hnswlib as Parquet, the input of a run that imports its graph.

    The command of that run is printed: it adds codes and a certificate and publishes the index.

    Examples:

        fingerpost import-index faces.faiss -o faces.parquet

        fingerpost import-index faces.bin --metric cosine -o faces.parquet

        fingerpost run nightly --input faces.parquet --set ann.graph.file=faces.faiss --set ann.hnsw.metric=l2
    """
    from fingerpost.flows.domains.ann.exchange import imported

    imported(file=file, output=output, metric=metric, force=force, as_json=as_json)
