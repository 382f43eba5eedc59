"""The application behind HTTP: routes with their models, the token, limits, and errors as JSON in one line."""

import asyncio
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fingerpost.flows.ops.serve.answering import error
from fingerpost.flows.ops.serve.measures import Measures
from fingerpost.flows.ops.serve.options import accepted
from fingerpost.flows.ops.serve.routes import Route
from fingerpost.flows.ops.serve.service import Service
from fingerpost.schemas.figures import significant
from fingerpost.schemas.wording import shown

#: The header of a reply that names the version that answered, as its body does.
VERSION = "fingerpost-version"
#: What a metric calls paths that do not exist: a label per path that anyone asks for would be endless.
_OTHER = "other"


class Problem(BaseModel):
    """What is wrong with a request, or with the service."""

    error: str = Field(description="the object, what was expected, what was found, and what to do")


_PROBLEMS = {
    400: "The question cannot be answered as it is",
    401: "The token is missing or another",
    408: "The request did not arrive in time",
    413: "The body is too large",
    422: "The body is not as the model says",
    503: "Nothing can answer now; try again later",
    504: "The deadline passed",
}


def application(service: Service) -> ASGIApp:
    """The ASGI application of a service."""
    measures = Measures(service)
    app = FastAPI(
        title="Fingerpost",
        description=f"What is published of {service.collection}. Every reply names the one version that answered.",
        version=version("fingerpost"),
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # To an address that is made of what the client says that this one is.
        redirect_slashes=False,
    )
    for code, route in enumerate(service.routes):
        _add(app, service, measures, code, route)
    _add_watching(app, service, measures)
    app.add_exception_handler(HTTPException, _refused)
    app.openapi = _described(app, service)  # type: ignore[method-assign]
    known = frozenset(route.path for route in app.routes if isinstance(route, APIRoute))
    return _Guard(app, service, measures, known)


def _add(app: FastAPI, service: Service, measures: Measures, code: int, route: Route) -> None:
    """Adds a route, asked by POST and, for one question, by GET with the fields as parameters."""
    limits = service.options.limits

    async def answered(request: Request) -> Response:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(limits.deadline):
                body = _parameters(request) if request.method == "GET" else await _body(request, limits.body)
        except TimeoutError:
            return _said(
                408,
                f"{route.path}: expected the whole request within {significant(limits.deadline)} s, got a part; send it",
            )
        except ClientDisconnect:
            # Nobody hears this; it is counted.
            return _said(400, f"{route.path}: expected the whole request, got the end of its connection; send it again")
        if body is None:
            return _said(413, f"body: expected at most {limits.body} bytes, got more; ask for less at once")
        reply = await service.dispatcher.ask(code, body)
        if reply.status == 200:
            measures.count(route.path, 200, time.perf_counter() - began)
        return Response(reply.body, reply.status, _headers(reply.status, reply.version), "application/json")

    class Direct(APIRoute):
        """A route whose body is read and whose reply is written in the process that answers."""

        def get_route_handler(self) -> Callable[[Request], Any]:
            async def handle(request: Request) -> Response:
                response = await answered(request)
                if response.status_code != 200:
                    measures.count(route.path, response.status_code)
                return response

            return handle

    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text} for status, text in _PROBLEMS.items()
    }
    common: dict[str, Any] = {
        "response_model": route.reply,
        "responses": problems,
        "tags": [route.product.title],
        "summary": route.endpoint.summary + (", of several at once" if route.many else ""),
        "route_class_override": Direct,
    }
    name = route.path.strip("/").replace("/", "_")
    app.router.add_api_route(
        route.path, _signature(route.question), methods=["POST"], operation_id=f"{name}_post", **common
    )
    if not route.many:
        given = {"parameters": _as_parameters(route.question)}
        app.router.add_api_route(
            route.path, _nothing, methods=["GET"], operation_id=f"{name}_get", openapi_extra=given, **common
        )


def _signature(model: type[BaseModel]) -> Callable[..., Any]:
    """A function that takes the model as its body, for the description: requests do not come to it."""

    def asked(question: Any) -> None: ...

    asked.__annotations__["question"] = model
    return asked


def _nothing() -> None: ...


def _as_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a model as parameters of a URL."""
    schema = model.model_json_schema()
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field}
        for name, field in schema.get("properties", {}).items()
    ]


def _parameters(request: Request) -> bytes:
    """The parameters of a URL as a body: one that is given several times is a list."""
    given = request.query_params
    found = {name: values if len(values := given.getlist(name)) > 1 else values[0] for name in given}
    return json.dumps(found).encode()


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request; None if it is longer than ``most`` bytes."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        return None
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > most:
            return None
    return bytes(found)


def _headers(status: int, version: str) -> dict[str, str]:
    found = {VERSION: version} if version else {}
    return found | {"retry-after": "1"} if status == 503 else found


def _said(status: int, message: str) -> Response:
    return Response(error(message), status, media_type="application/json")


def _add_watching(app: FastAPI, service: Service, measures: Measures) -> None:
    """Adds what watches a service: /health and /metrics."""

    @app.get("/health", tags=["service"], summary="Whether the service answers, with which versions, and their ages")
    async def health(request: Request) -> Response:
        found = service.health()
        ready = found["status"] in ("ready", "behind")
        # Without the token, that it answers is all that it says.
        body = found if request.scope["fingerpost.trusted"] else {"status": found["status"]}
        return Response(json.dumps(body, indent=1), 200 if ready else 503, media_type="application/json")

    @app.get("/metrics", tags=["service"], summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(measures.page(), media_type=CONTENT_TYPE_LATEST)


async def _refused(request: Request, problem: Exception) -> Response:
    """A path or a method that does not exist."""
    assert isinstance(problem, HTTPException)
    path, headers = shown(request.url.path), dict(problem.headers or {})
    if problem.status_code == 404:
        message = f"path: expected one of the API, got {path}; see /openapi.json"
    elif problem.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))  # the framework names those of the first route of a path alone
        message = f"method: expected {headers['Allow'].replace(', ', ' or ')} for {path}, got {request.method}"
    else:
        message = f"{path}: {problem.detail}"
    return Response(error(message), problem.status_code, headers, "application/json")


def _methods(request: Request) -> list[str]:
    """The methods that the path of a request takes."""
    routes = [route for route in request.app.routes if getattr(route, "path", None) == request.url.path]
    return sorted({method for route in routes for method in route.methods or ()})


def _described(app: FastAPI, service: Service) -> Callable[[], dict[str, Any]]:
    """The description of the API, with the limits of the service."""
    original, limits = app.openapi, service.options.limits

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = original()
            for schema in found["components"]["schemas"].values():
                fields = schema.get("properties", {})
                for name, bound in (("k", ("maximum", limits.k)), ("questions", ("maxItems", limits.batch))):
                    if name in fields:
                        fields[name][bound[0]] = bound[1]
            if service.options.tokens:
                found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                found["security"] = [{"token": []}]
        return app.openapi_schema or found

    return openapi


class _Guard:
    """Asks for the token before anything else, and answers with one line of JSON where the application fails."""

    def __init__(self, app: ASGIApp, service: Service, measures: Measures, known: frozenset[str]) -> None:
        self._app, self._service, self._measures, self._known = app, service, measures, known
        self._tokens = service.options.tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"] if scope["path"] in self._known else _OTHER
        trusted = not self._tokens or accepted(_authorization(scope), self._tokens)
        scope["fingerpost.trusted"] = trusted
        if not trusted and path != "/health":
            self._measures.count(path, 401)
            refusal = _said(
                401, "authorization: expected a header `Authorization: Bearer TOKEN` with the token of the service"
            )
            refusal.headers["www-authenticate"] = "Bearer"
            await refusal(scope, receive, send)
            return
        began = False

        async def sent(message: Message) -> None:
            nonlocal began
            began = True
            if message["type"] == "http.response.start":
                if path == _OTHER:
                    self._measures.count(path, message["status"])
                if self._service.stopping:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as problem:
            if began:
                raise
            self._measures.count(path, 500)
            kind = type(problem).__name__
            await _said(500, f"{path}: expected an answer, got an error of Fingerpost ({kind}); report it")(
                scope, receive, send
            )
            raise


def _authorization(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")
