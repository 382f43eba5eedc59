"""A service: its answers, limits and errors, the versions that it follows, and processes that end."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fingerpost.flows.ops.serve.application import VERSION, application
from fingerpost.flows.ops.serve.options import Limits, ServeOptions, tokens_of
from fingerpost.flows.ops.serve.service import Service
from fingerpost.schemas.errors import FingerpostError, MissingArtifactError
from fingerpost.schemas.store import Store
from tests.support.served_glossaries import client_of, pointer, problem_of, served, store_with, until

TOKEN = "a token of the tests"[2:].replace(" ", "-")


def figures(page: str) -> dict[tuple[str, str], float]:
    """The metrics of a page by name and the values of their labels."""
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_questions_are_answered_and_mistakes_named_in_one_line(tmp_path: Path) -> None:
    store, (ref,) = store_with(tmp_path, 3)

    async def script(service: Service, client: httpx.AsyncClient) -> None:
        for reply in (await client.get("/define?word=pear&k=1"), await client.post("/define", json={"word": "pear"})):
            assert reply.json() == {"version": str(ref), "length": 3}
            assert reply.headers[VERSION] == str(ref)
        many = await client.post("/define/batch", json={"questions": [{"word": "pear"}, {"word": "plum"}]})
        assert many.json() == {"version": str(ref), "replies": [{"length": 3}, {"length": 3}]}
        unknown = problem_of(await client.post("/define", json={"word": "kumquat"}), 400)
        assert unknown.startswith("word: expected one of the glossary, got 'kumquat'")
        asked = [
            ({"word": 5}, "/define: word: expected a string, got 5"),
            ({"wrod": "pear"}, "/define: word: expected a value, got none"),
            ({"word": "pear", "ks": 1}, "/define: ks: expected no such field, but k, seconds, word; see"),
            ([], "/define: body: expected "),
        ]
        for body, said in asked:
            assert problem_of(await client.post("/define", json=body), 422).startswith(said)
        assert "expected JSON" in problem_of(await client.post("/define", content=b"{word"), 422)
        assert "expected JSON" in problem_of(await client.post("/define", content=b"\xff\xfe"), 422)
        assert "KeyError" in problem_of(await client.post("/define", json={"word": "trip"}), 500)
        for word in ("blur", "slip"):
            assert "an error of Fingerpost" in problem_of(await client.post("/define", json={"word": word}), 500)
        assert "a mistake" not in problem_of(await client.post("/define", json={"word": "trip"}), 500)
        assert problem_of(await client.post("/define", json={"word": "pear", "k": 8}), 400).startswith(
            "k: expected at most 7"
        )
        three = {"questions": [{"word": "pear"}] * 3}
        assert "at most 2" in problem_of(await client.post("/define/batch", json=three), 400)
        assert "at most 2000 bytes" in problem_of(await client.post("/define", content=b"x" * 2001), 413)
        chunks = (b"x" * 500 for _ in range(5))
        assert "at most 2000 bytes" in problem_of(await client.post("/define", content=_sent(chunks)), 413)
        assert "got '/nowhere'" in problem_of(await client.get("/nowhere"), 404)
        for path, methods in (("/define", "GET, POST"), ("/define/batch", "POST"), ("/health", "GET")):
            refused = await client.put(path)
            assert problem_of(refused, 405).startswith(f"method: expected {methods.replace(', ', ' or ')} for ")
            assert refused.headers["allow"] == methods
        assert "got '/define/'" in problem_of(await client.post("/define/", json={"word": "pear"}), 404)
        schema = (await client.get("/openapi.json")).json()
        parts = schema["components"]["schemas"]
        assert parts["Word"]["properties"]["k"]["maximum"] == 7
        assert parts["WordBatch"]["properties"]["questions"]["maxItems"] == 2
        assert {"version", "length"} == set(parts["LengthAnswered"]["properties"])
        assert set(schema["paths"]) >= {"/define", "/define/batch", "/health", "/metrics"}
        health = (await client.get("/health")).json()
        assert (health["status"], health["workers"]) == ("ready", {"wanted": 2, "ready": 2})
        assert health["products"]["toy.glossary"]["version"] == str(ref)
        found = figures((await client.get("/metrics")).text)
        assert found["fingerpost_serve_requests_total", "/define 200"] == 2
        assert found["fingerpost_serve_requests_total", "/define 422"] == 6
        assert found["fingerpost_serve_requests_total", "other 404"] == 2
        assert found["fingerpost_serve_request_duration_seconds_count", "/define"] == 2
        assert found["fingerpost_serve_version_info", f"words toy.glossary {ref}"] == 1
        assert found["fingerpost_serve_behind", "words toy.glossary"] == 0
        await outlives_a_client_that_leaves(service)
        await asks_for_the_token(service)

    limits = Limits(k=7, batch=2, body=2000)
    served(store, script, ServeOptions(workers=2, follow=0.05, limits=limits))


async def _sent(chunks: Iterator[bytes]):  # type: ignore[no-untyped-def]
    for chunk in chunks:
        yield chunk


async def outlives_a_client_that_leaves(service: Service) -> None:
    """In the middle of its request, which is no error of the service, and none for the log."""
    heard = [{"type": "http.request", "body": b'{"word"', "more_body": True}, {"type": "http.disconnect"}]
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return heard.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    scope = {"type": "http", "method": "POST", "path": "/define", "query_string": b"", "headers": []}
    await application(service)(scope, receive, send)
    assert statuses == [400, 0]


async def asks_for_the_token(service: Service) -> None:
    """Of the same service, with a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINGERPOST_TOKEN", TOKEN)
        service.options = replace(service.options, tokens=tokens_of(None))
    async with client_of(service) as client:
        wrong = ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}s", "Bearer ")
        for path in ("/define?word=pear", "/metrics", "/openapi.json", "/nowhere"):
            for given in wrong:
                reply = await client.get(path, headers={"authorization": given})
                assert "Authorization: Bearer TOKEN" in problem_of(reply, 401)
                assert reply.headers["www-authenticate"] == "Bearer"
        with_token = {"authorization": f"bearer {TOKEN}"}
        assert (await client.get("/define?word=pear", headers=with_token)).json()["length"] == 3
        assert (await client.get("/health")).json() == {"status": "ready"}
        health = await client.get("/health", headers=with_token)
        assert "products" in health.json()
        schema = await client.get("/openapi.json", headers=with_token)
        assert schema.json()["security"] == [{"token": []}]
        for reply in (health, schema, await client.get("/metrics", headers=with_token)):
            assert TOKEN not in reply.text


def test_versions_are_followed_without_a_lost_or_mixed_reply(tmp_path: Path) -> None:
    store, refs = store_with(tmp_path, 1, 2, 3, 4)
    answers = {str(ref): version for version, ref in enumerate(refs, start=1)}
    replies: list[tuple[int, str, int]] = []

    async def ask(client: httpx.AsyncClient, over: asyncio.Event) -> None:
        while not over.is_set():
            reply = await client.post("/define", json={"word": "pear", "seconds": 0.002})
            body = reply.json()
            replies.append((reply.status_code, body.get("version", ""), body.get("length", 0)))
            await asyncio.sleep(0.01)

    async def script(service: Service, client: httpx.AsyncClient) -> None:
        over = asyncio.Event()
        load = [asyncio.create_task(ask(client, over)) for _ in range(8)]

        async def followed(ref: object) -> None:
            await until(lambda: service.versions.get("toy.glossary") == str(ref))
            seen = len(replies)
            await until(lambda: len(replies) > seen + 50)

        place = pointer(store)
        await followed(refs[0])
        place.promote(refs[1], gates=[])
        await followed(refs[1])
        place.rollback()
        await followed(refs[0])
        # A version whose files are damaged: the one before answers on, and it is said.
        place.promote(refs[2], gates=[])
        for file in (Path(store.url) / str(refs[2])).glob("members-*"):
            file.write_bytes(b"damaged")
        await until(lambda: service.status == "behind")
        health = (await client.get("/health")).json()
        assert (await client.get("/health")).status_code == 200
        product = health["products"]["toy.glossary"]
        assert (product["version"], product["live"]) == (str(refs[0]), str(refs[2]))
        assert "toy.glossary" in product["problem"]
        assert figures((await client.get("/metrics")).text)["fingerpost_serve_behind", "words toy.glossary"] == 1
        place.promote(refs[3], gates=[])
        await followed(refs[3])
        over.set()
        await asyncio.gather(*load)
        await until(lambda: not service._ending)
        # What must be forgotten is not answered with any more.
        place.forget({}, {str(ref): "forgotten" for ref in refs}, reason="asked to")
        await until(lambda: not service.versions)
        assert "expected a live glossary" in problem_of(await client.get("/define?word=pear"), 503)
        assert (await client.get("/health")).status_code == 503

    said = served(store, script)
    assert len(replies) > 200
    assert {status for status, _, _ in replies} == {200}
    assert all(answers[version] == length for _, version, length in replies)
    assert {version for _, version, _ in replies} == {str(ref) for ref in (refs[0], refs[1], refs[3])}
    # One after the other: nobody is answered by a version that another has left.
    assert [line.split()[-1] for line in said if "answered by" in line] == [str(refs[i]) for i in (0, 1, 0, 3)]
    assert sum("cannot be served" in line for line in said) == 1


def test_processes_that_end_or_take_long_are_replaced_and_cost_no_other_reply(tmp_path: Path) -> None:
    store, _ = store_with(tmp_path, 5)

    async def script(service: Service, client: httpx.AsyncClient) -> None:
        dispatcher = service.dispatcher
        ask = [client.post("/define", json={"word": "pear", "seconds": 0.01}) for _ in range(40)]
        load = [asyncio.create_task(one) for one in ask]
        crash = problem_of(await client.post("/define", json={"word": "crash"}), 503)
        assert "the processes that were asked ended" in crash
        assert {reply.json()["length"] for reply in await asyncio.gather(*load)} == {5}
        await until(lambda: len(service.dispatcher.present.workers) == 2)  # type: ignore[union-attr]
        assert dispatcher.lost_workers >= 2
        # Both processes are kept busy without end, so that others wait in vain, and too many do not wait at all.
        dispatcher.limits = Limits(deadline=1.0, waiting=3)
        hanging = [asyncio.create_task(client.post("/define", json={"word": "pear", "seconds": -1})) for _ in range(4)]
        await until(lambda: dispatcher.present.asked == 4)  # type: ignore[union-attr]
        waiting = [asyncio.create_task(client.get("/define?word=pear")) for _ in range(3)]
        await until(lambda: len(dispatcher.waiting) == 3)
        refused = await client.get("/define?word=pear")
        assert "at most 3 waiting requests" in problem_of(refused, 503)
        assert refused.headers["retry-after"] == "1"
        for reply in await asyncio.gather(*hanging, *waiting):
            assert "within 1 s" in problem_of(reply, 504)
        dispatcher.limits = Limits()
        assert (await client.get("/define?word=plum")).json()["length"] == 5
        # The process that opened the version ends: it is opened again, while its copies answer.
        opener = dispatcher.present._process  # type: ignore[union-attr]
        assert opener is not None
        before = dispatcher.present
        os.kill(opener.pid, signal.SIGKILL)
        service._repaired = 0.0
        await until(lambda: dispatcher.present is not before)
        assert (await client.get("/define?word=plum")).json()["length"] == 5

    said = served(store, script)
    assert any(
        line.startswith("a process that answers ended by SIGKILL, as where there is too little mem") for line in said
    )
    assert any(line.startswith("a process went on with /define for 2 s; another") for line in said)


def test_files_that_were_cut_while_they_were_served_are_looked_at_again(tmp_path: Path) -> None:
    store, (ref,) = store_with(tmp_path, 5)

    async def script(service: Service, client: httpx.AsyncClient) -> None:
        for file in (Path(store.url) / str(ref)).glob("members-*"):
            file.write_bytes(file.read_bytes()[:-10])
        assert "processes that were asked ended" in problem_of(await client.get("/define?word=cut"), 503)
        service._repaired = 0.0
        await until(lambda: service.dispatcher.present is not None and not service.versions)
        assert "found none that is served; see /health" in problem_of(await client.get("/define?word=pear"), 503)
        problem = (await client.get("/health")).json()["products"]["toy.glossary"]["problem"]
        assert "members-" in problem

    first, *said = served(store, script)
    assert "answered by" in first
    assert said[0].startswith(
        "a process that answers ended by SIGBUS, as where a mapped file was cut or its disk is gone;"
    )
    assert [line.rpartition(" is ")[2] for line in said[-1:]] == ["not answered any more"]


def test_there_must_be_something_to_serve(tmp_path: Path) -> None:
    store, (ref,) = store_with(tmp_path / "damaged", 1)
    empty, _ = store_with(tmp_path / "empty")

    async def nothing(service: Service, client: httpx.AsyncClient) -> None:
        raise AssertionError("expected the start to fail")

    with pytest.raises(MissingArtifactError, match="words: expected something published to serve"):
        served(empty, nothing)
    for file in (Path(store.url) / str(ref)).glob("members-*"):
        file.unlink()
    with pytest.raises(FingerpostError, match=r"toy\.glossary"):
        served(store, nothing)


def test_a_store_that_cannot_be_read_leaves_what_is_served(tmp_path: Path) -> None:
    store, (ref,) = store_with(tmp_path, 1)

    async def script(service: Service, client: httpx.AsyncClient) -> None:
        published = Path(store.url) / ".published" / "words" / "toy.glossary"
        move = next(published.iterdir())
        kept, damaged = tmp_path / "kept", tmp_path / "damaged"
        kept.write_bytes(move.read_bytes())
        damaged.write_bytes(b"{")
        damaged.replace(move)
        await until(lambda: service.status == "behind")
        assert "publication" in (await client.get("/health")).json()["problem"]
        assert (await client.get("/define?word=pear")).json()["version"] == str(ref)
        kept.replace(move)
        await until(lambda: service.status == "ready")
        away = tmp_path / "away"
        Path(store.url).rename(away)
        await until(lambda: service.status == "behind")
        assert "found none; mount or restore the store" in (await client.get("/health")).json()["problem"]
        assert (await client.get("/define?word=pear")).json()["version"] == str(ref)
        assert (await client.get("/metrics")).status_code == 200
        opener = service.dispatcher.present._process  # type: ignore[union-attr]
        assert opener is not None
        os.kill(psutil.Process(opener.pid).children()[0].pid, signal.SIGKILL)
        await until(lambda: service.dispatcher.lost_workers == 1)
        assert (await client.get("/define?word=plum")).json()["version"] == str(ref)
        away.rename(store.url)
        await until(lambda: service.status == "ready")

    products = ("toy.glossary", "toy.spelling")
    first, other, *told = served(store, script, ServeOptions(workers=2, follow=0.05, products=products))
    assert "answered by" in first
    assert other == "toy.spelling is not answered: nothing of words is live yet"
    assert ["served on: publication" in line for line in told] == [True, False] * 2
    assert set(told[1::2]) == {"what is live can be read again"}


def test_an_application_needs_no_server(tmp_path: Path) -> None:
    """The description of the API of all products, from which clients are generated."""
    service = Service(Store(str(tmp_path)), "words", ServeOptions(), say=print)

    async def described() -> dict[str, object]:
        transport = httpx.ASGITransport(app=application(service))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            found: dict[str, object] = json.loads((await client.get("/openapi.json")).text)
            assert (await client.get("/health")).json()["status"] == "down"
            return found

    schema = asyncio.run(described())
    paths = schema["paths"]
    assert isinstance(paths, dict)
    asked = {"/query", "/similar", "/search", "/rank", "/complete", "/match", "/threshold", "/compare"}
    assert asked | {f"{path}/batch" for path in asked} | {"/health", "/metrics"} == set(paths)
    operations = [one["operationId"] for methods in paths.values() for one in methods.values()]
    assert len(operations) == len(set(operations))
    given = {one["name"]: one for one in paths["/query"]["get"]["parameters"]}
    assert given["text"]["required"]
    assert not given["k"]["required"]
