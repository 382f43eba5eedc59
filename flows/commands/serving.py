"""The command that serves what is published over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows import domains
from fingerpost.flows.commands.options import CollectionOption, StoreOption, opened
from fingerpost.flows.run.plain_text import echo
from fingerpost.schemas.errors import UsageError

_SERVED = [name for name, product in domains.products().items() if product.served]


def serve(
    host: Annotated[
        str, typer.Option(help="address to listen on; one that others can reach needs a token")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 8000,
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=0, max=256, help="number of processes that answer; 0 is one per core")
    ] = 0,
    product: Annotated[
        list[str] | None,
        typer.Option(
            "--product",
            help=f"only this product (may be repeated): {' or '.join(_SERVED)}; by default all that are published",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="file with a token in each line, one of which every request must carry; by default FINGERPOST_TOKEN of"
            " the environment, if it is set",
            show_default=False,
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.01, max=3600, help="seconds until a request is answered, or refused")
    ] = 10.0,
    max_body: Annotated[int, typer.Option(min=1024, max=2**30, help="maximum number of bytes of a request")] = 4
    * 2**20,
    max_batch: Annotated[int, typer.Option(min=1, max=100_000, help="maximum number of questions of a batch")] = 256,
    max_k: Annotated[int, typer.Option(min=1, max=100_000, help="maximum number of answers to a question")] = 1000,
    max_waiting: Annotated[
        int, typer.Option(min=1, max=100_000, help="maximum number of requests that wait; others are refused at once")
    ] = 256,
    follow: Annotated[
        float, typer.Option(min=0.1, max=3600, help="seconds between two looks at which versions are live")
    ] = 2.0,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Serves what is published over HTTP: queries, similar documents, vectors, labels, completions, matches, thresholds.

    The API is described at /openapi.json; /health says which versions answer, /metrics is for Prometheus. A version that
    is promoted or rolled back to answers as soon as it is opened, without a lost request; every reply names the one
    version that answered. SIGTERM and Ctrl-C end the service when it has answered what it was asked.

    Examples:

        fingerpost serve

        fingerpost serve --collection products --port 8080 --workers 4

        FINGERPOST_TOKEN=$(openssl rand -hex 24) fingerpost serve --host 0.0.0.0

        curl "http://127.0.0.1:8000/query?text=return+a+sorted+copy+of+an+array&k=3"
    """
    from fingerpost.flows.ops.serve.options import Limits, ServeOptions, check_address, tokens_of
    from fingerpost.flows.ops.serve.server import serve as run
    from fingerpost.schemas.publish import only_collection, products

    unknown = [name for name in product or () if name not in _SERVED]
    if unknown:
        raise UsageError(
            f"--product: expected one of {', '.join(_SERVED)}, got {', '.join(unknown)}; choose one of them"
        )
    options = ServeOptions(
        host=host,
        port=port,
        workers=workers or os.cpu_count() or 1,
        follow=follow,
        products=tuple(product or ()),
        tokens=tokens_of(token_file),
        limits=Limits(body=max_body, batch=max_batch, k=max_k, deadline=deadline, waiting=max_waiting),
    )
    check_address(options.host, options.tokens)
    found = opened(store)
    published = {name for name, one in products(found) if one in (options.products or _SERVED)}
    run(
        found,
        collection or only_collection(published),
        options,
        ready=lambda address: echo(f"serving at {address}, described at {address}/openapi.json", err=True),
        say=lambda line: echo(line, err=True),
    )
