"""The command of the toy domain."""

import typer

from fingerpost.flows.commands.options import CollectionOption, StoreOption


def define(word: str, collection: CollectionOption = "", store: StoreOption = "") -> None:
    """Prints how long the meaning of a word is."""
    from tests.toy.open import live

    typer.echo(live(collection, store=store)[word])
