"""Options and checks that several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.models import ArgumentInfo

from fingerpost.flows import domains
from fingerpost.flows.run.flow_names import flow_names
from fingerpost.schemas.errors import UsageError
from fingerpost.schemas.inputs.local_paths import url_of
from fingerpost.schemas.urls import has_credentials
from fingerpost.schemas.wording import shown

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="FINGERPOST_STORE",
        help="folder or fsspec URL of the store; by default the nearest .fingerpost in this or a parent folder",
        show_default=False,
    ),
]


def collection_option(default: str, *, what: str = "name that results are published under") -> Any:
    """The option for a collection; ``default`` says which one it is without."""
    return typer.Option("--collection", "-c", help=f"{what}; by default {default}", show_default=False)


CollectionOption = Annotated[str, collection_option("the only collection of the store, or python-docs")]
#: For the days of a flow, with or without an input.
DaysCollectionOption = Annotated[
    str,
    collection_option("that of the input that is named, else the only collection of the store, or python-docs"),
]


def profile_option(what: str = "") -> Any:
    """The option for a profile; ``what`` says what it is for."""
    return typer.Option(
        "--profile",
        "-p",
        help=f"{what}quick, nightly, full, tiny, or a TOML file; by default the one of the collection's newest successful"
        " run of this flow (or of another), quick for one that never ran",
        show_default=False,
    )


ProfileOption = Annotated[str, profile_option()]
FlowArgument = Annotated[str, typer.Argument(help=" or ".join(flow_names()))]
#: The names of all products for help texts: "ann.index or xmr.ranker or ...".
PRODUCT_NAMES = " or ".join(domains.products())
ProductOption = Annotated[str, typer.Option("--product", help=f"which product: {PRODUCT_NAMES}")]
#: The query of each product that answers queries, for help texts.
PRODUCT_QUERIES = "; ".join(
    f"{name}: {product.queries}" for name, product in domains.products().items() if product.queries
)
#: The default product of a command.
DEFAULT_PRODUCT = next(iter(domains.products()))
AcceptOption = Annotated[
    str,
    typer.Option(
        "--accept-change",
        metavar="REASON",
        help=(
            "publish although documents, labels, words or recall fall further behind the live version than the profile"
            " allows (gates.change); the reason is kept in the audit log"
        ),
        show_default=False,
    ),
]
FutureOption = Annotated[
    bool, typer.Option("--future", help="allow a day that has not begun yet; its version stays live until a later day")
]
NumberRowsOption = Annotated[
    bool,
    typer.Option(
        "--number-rows",
        help="for a file without a column of ids: the position of each row, from 0, is its id (other rows have other ids"
        " when the file changes)",
    ),
]
AnswersFileOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="with --input: the Parquet (.parquet), CSV (.csv) or JSON Lines (.jsonl) file of answers to write",
        show_default=False,
    ),
]
OutputFileOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="with --input: the Parquet (.parquet) or JSON Lines (.jsonl) file to write",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def opened(store: str, product: str = "") -> Any:
    """The store of an option, which must exist; UsageError for a product that neither a domain nor the store has."""
    from fingerpost.schemas.store import Store, find_store

    found, known = Store(store or find_store()), domains.products()
    if product and product not in known:
        from fingerpost.schemas.publish import products  # imported here: few ask for a product of another version

        if product not in {name for _, name in products(found)}:
            raise UsageError(f"--product: expected one of {', '.join(known)}, got {shown(product)}; choose one of them")
    return found.checked()


def check_flow(flow: str) -> None:
    """UsageError for a name that no flow has."""
    if flow not in flow_names():
        raise UsageError(f"flow: expected one of {', '.join(flow_names())}, got {flow!r}; correct it")


def pair(text: str, option: str, form: str) -> tuple[str, str]:
    """Key and value of a text ``key=value``; a setting's value may be empty, a column's may not."""
    key, sign, value = text.partition("=")
    if not sign or not key or not (value or option == "--set"):
        raise UsageError(f"{option}: expected {form}, got {text!r}; correct it")
    return key.strip(), value.strip()


def numbered(columns: dict[str, str], *, has_input: bool) -> dict[str, str]:
    """The mapping of columns with the positions of the rows as ids, for ``--number-rows``."""
    from fingerpost.schemas.inputs.forms import ROW_NUMBER

    if not has_input:
        raise UsageError("--number-rows: expected --input with it, found none; name the file whose rows are numbered")
    if "id" in columns:
        raise UsageError(
            f"--number-rows: expected no other column for id, got --map id={columns['id']}; leave one of them out"
        )
    return {**columns, "id": ROW_NUMBER}


def without_urls_in_files(command: Callable[..., None]) -> Callable[..., None]:
    """A command that refuses options of files that are URLs, whose credentials its messages would show."""

    @wraps(command)
    def checked(**given: Any) -> None:
        for name, value in given.items():
            if isinstance(value, Path) and (url := url_of(value)):
                option = get_type_hints(command, include_extras=True)[name].__metadata__[0]
                # Of an annotation, typer takes the first name for the default.
                decls = (option.default, *(option.param_decls or ()))
                given_as = (one for one in decls if str(one).startswith("--"))
                is_argument = isinstance(option, ArgumentInfo)
                names = [*given_as, name.upper() if is_argument else f"--{name.replace('_', '-')}"]
                raise UsageError(
                    f"{names[0]}: expected the path of a file, got a URL"
                    f" {'with credentials (not shown)' if has_credentials(url) else f'({url})'}; copy the file to this"
                    " machine and name that"
                )
        command(**given)

    return checked
