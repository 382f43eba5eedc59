"""Options and checks that several commands share."""

from typing import Annotated, Any

import typer

from schemas.errors import FingerpostError

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


def opened(store: str) -> Any:
    """The store of an option, which must exist."""
    from schemas.store import Store
    from tasks.ann.open import find_store

    return Store(store or find_store()).checked()


def pair(text: str, option: str, form: str) -> tuple[str, str]:
    """Key and value of a text ``key=value``; a setting's value may be empty, a column's may not."""
    key, sign, value = text.partition("=")
    if not sign or not key or not (value or option == "--set"):
        raise FingerpostError(f"{option}: expected {form}, got {text!r}; correct it")
    return key.strip(), value.strip()
