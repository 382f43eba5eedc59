"""Glossaries of the toy domain that are served: versions that differ in every answer, and requests to them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from fingerpost.flows import domains
from fingerpost.flows.ops.serve import generation
from fingerpost.flows.ops.serve.application import application
from fingerpost.flows.ops.serve.options import ServeOptions
from fingerpost.flows.ops.serve.service import Service
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.schemas.store import Store
from tests.support.suggestion_artifacts import committed
from tests.toy import TOY
from tests.toy.contracts import GLOSSARY, LENGTHS

WORDS = ("pear", "plum", "quince", "crash", "trip")


@contextmanager
def toy_alone() -> Iterator[None]:
    """The toy domain is the only one there is, here and in processes that are started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domains, "DOMAINS", (TOY,))
        patch.setattr(generation, "OPENER", "tests.toy.opener")
        yield


def glossary(store: Store, version: int) -> Ref:
    """A version in which every word has a meaning of ``version`` characters."""
    lengths = committed(store, LENGTHS, {"lengths": lengths_of(version)}, version=version)
    members = members_table({"lengths": lengths})
    return committed(store, GLOSSARY, {"members": members}, version=version)


def lengths_of(version: int) -> pa.Table:
    """The lengths of all words."""
    return pa.table({"id": sorted(WORDS), "length": pa.array([version] * len(WORDS), pa.int64())})


def pointer(store: Store) -> Pointer:
    """What is live."""
    return Pointer(store, "words", GLOSSARY.name)


def store_with(folder: Path, *versions: int) -> tuple[Store, list[Ref]]:
    """A store with some versions, the first of which is live."""
    store = Store(str(folder / "store")).prepare()
    refs = [glossary(store, version) for version in versions]
    if refs:
        pointer(store).promote(refs[0], gates=[])
    return store, refs


def served(
    store: Store,
    script: Callable[[Service, httpx.AsyncClient], Awaitable[None]],
    options: ServeOptions = ServeOptions(workers=2, follow=0.05),
) -> list[str]:
    """The lines that a service said while a script asked it."""
    said: list[str] = []

    async def run() -> None:
        service = Service(store, "words", options, say=said.append)
        try:
            await service.start()
            async with client_of(service) as client:
                await script(service, client)
        finally:
            await service.stop()

    with toy_alone():
        asyncio.run(run())
    return said


def client_of(service: Service) -> httpx.AsyncClient:
    """A client of the application itself, without a server."""
    transport = httpx.ASGITransport(app=application(service))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60)


async def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def problem_of(reply: httpx.Response, status: int) -> str:
    """The line of a reply that says what is wrong."""
    assert reply.status_code == status, reply.text
    found: Mapping[str, Any] = reply.json()
    assert set(found) == {"error"}
    assert "\n" not in found["error"]
    return str(found["error"])
