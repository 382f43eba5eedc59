"""The `complete` command: suggestions for a prefix, or for all requests of a file. Imports no Prefect."""

from dataclasses import asdict
from pathlib import Path

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.plain_text import echo, echo_json, visible
from fingerpost.schemas.errors import InputError, UsageError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.inputs.requests import COMPLETIONS, WrittenRequest, read_requests
from fingerpost.tasks.autocomplete.completer import Suggestion
from fingerpost.tasks.autocomplete.open import LiveCompleter, live
from fingerpost.tasks.autocomplete.request import Request, RequestError, previous_of, request_of

#: The number of requests that are completed and written together.
_TOGETHER = 4096
#: What the source of a suggestion says to a reader.
_SOURCES = {
    "ranker": "ranker",
    "follower": "asked next",
    "popular": "popular",
    "typo": "typing error",
}


def complete(
    *,
    prefix: str,
    previous: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    k: int,
    typos: bool | None,
    as_json: bool,
    collection: str | None,
    store: str | None,
) -> None:
    """Completes and prints a prefix, or completes the requests of a file and writes the suggestions to another."""
    previous = tuple(query for query in previous if query.strip())
    if source is not None and (prefix or previous):
        raise UsageError("complete: expected a prefix or --input FILE, got both; give one")
    if (source is None) != (output is None):
        raise UsageError("complete: expected --input and --output together, got one of them; give both")
    if source is not None and output is not None:
        _complete_file(source, output, k=k, typos=typos, collection=collection, store=store)
        return
    completer, request = live(collection, store=store), Request(previous, prefix)
    found = completer.complete(previous, prefix, k, typos=typos)
    if as_json:
        body = {"previous": list(previous), "prefix": prefix, "completer": str(completer.ref)}
        echo_json(body | {"suggestions": [asdict(suggestion) for suggestion in found]}, indent=None)
    else:
        _show(request, found, completer)


def _complete_file(
    source: Path, output: Path, *, k: int, typos: bool | None, collection: str | None, store: str | None
) -> None:
    from fingerpost.schemas.inputs.rankings import RowWriter

    writer, completer = RowWriter(output, COMPLETIONS), live(collection, store=store)
    rows = read_requests(source)
    requests = [_request_of(source, row) for row in rows]
    with writer:
        for start in range(0, len(rows), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            found = completer.complete_many(requests[part], k, typos=typos)
            for row, request, suggestions in zip(rows[part], requests[part], found, strict=True):
                asked = row.id, list(request.previous), request.prefix
                for position, suggestion in enumerate(suggestions, start=1):
                    writer.add(*asked, position, suggestion.query, suggestion.score, suggestion.source)
                if not suggestions:
                    writer.add(*asked, *[None] * (len(COMPLETIONS) - len(asked)))
    echo(output)


def _request_of(source: Path, row: WrittenRequest) -> Request:
    try:
        if row.line is not None:
            return request_of(row.line)
        previous = previous_of(row.previous) if isinstance(row.previous, str) else tuple(row.previous)
        return Request(previous, row.prefix)
    except RequestError as problem:
        raise InputError(f"{source}: {problem}") from problem


def _show(request: Request, found: list[Suggestion], completer: LiveCompleter) -> None:
    console = wide_console()
    if not found:
        console.tell(f"{request}: no suggestion begins with this")
    else:
        table = table_of(visible(str(request) or "the most popular queries"))
        table.add_column("", justify="right", no_wrap=True)
        table.add_column("query", overflow="fold", max_width=80, min_width=20)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("listed by", no_wrap=True)
        for position, suggestion in enumerate(found, start=1):
            table.add_row(
                str(position), suggestion.query, significant(suggestion.score, 3), _SOURCES[suggestion.source]
            )
        console.print(table)
    console.tell(str(completer.ref), style="dim")
