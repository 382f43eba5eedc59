"""The command that erases a document, a query, a label or a user of a query log."""

from dataclasses import asdict
from typing import Annotated

import typer

from fingerpost.flows import domains
from fingerpost.flows.commands.options import DEFAULT_PRODUCT, CollectionOption, JsonOption, StoreOption, opened
from fingerpost.flows.run.plain_text import echo, echo_json


def forget(
    key: Annotated[
        str,
        typer.Argument(
            help="id of the document, id or text of the query, id of the label, or key of the user", show_default=False
        ),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="only list the artifacts and inputs that contain it, and what must be rerun"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")] = False,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Erases a document, query, label or user from inputs, quarantine and all versions, with a proof of absence.

    Removes documents, embeddings and labels with that id, interactions with that query (by id or text) or label, and of
    query logs the events of the user with that key, or of the query with that text, however it is spelled. It first
    lists what contains the key and what must be rerun, then asks for confirmation. The key stays suppressed, so that a
    file delivered again does not bring it back. If it is killed, the same command continues. The exit code is 1 if
    anything of it is still found.

    Examples:

        fingerpost forget product-4711 --dry-run

        fingerpost forget product-4711 --collection products --yes

        fingerpost forget "what somebody typed" --collection shop
    """
    from fingerpost.flows.ops.erase.forget import forget as erase
    from fingerpost.flows.ops.erase.forget import listing, summary
    from fingerpost.schemas.publish import products as published
    from fingerpost.schemas.publish import published_collection

    found = opened(store)
    live = {product for _, product in published(found)}
    product = next((name for name in domains.products() if name in live), DEFAULT_PRODUCT)
    name = collection or published_collection(found, product=product)
    touched = listing(found, key, name)
    if not as_json:
        for line in summary(touched):
            echo(line)
    elif dry_run:
        echo_json({**asdict(touched), "texts": len(touched.texts)})
    if dry_run:
        return
    if not yes:
        typer.confirm("Erase it? This cannot be undone.", abort=True)
    outcome = erase(found, key, name, say=lambda line: None if as_json else echo(line))
    if as_json:
        echo_json({**outcome.proof, "proof": outcome.path})
    else:
        proof = outcome.proof
        echo(
            f"proof  {proof['files']:,} files ({proof['bytes'] / 1e6:,.1f} MB, {proof['parquet_decoded']:,} Parquet"
            f" files decoded) searched for the id and {proof['texts']} text(s): {len(proof['findings'])} finding(s);"
            f" {proof['artifacts_removed']} artifact(s) removed; {outcome.path}"
        )
        for path in proof["findings"]:
            echo(f"found  {path}")
    if not outcome.clean:
        raise typer.Exit(1)
