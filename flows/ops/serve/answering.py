"""From the body of a request to that of its reply, in the process that answers."""

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.flows.ops.serve.routes import Route
from fingerpost.schemas.errors import (
    CorruptArtifactError,
    FingerpostError,
    ForeignArtifactError,
    FormerVersionError,
    MissingArtifactError,
    StoreUnreachableError,
)
from fingerpost.schemas.urls import without_credentials
from fingerpost.schemas.wording import shown

#: Errors that no other question would avoid.
_OURS = (
    CorruptArtifactError,
    ForeignArtifactError,
    FormerVersionError,
    MissingArtifactError,
    StoreUnreachableError,
    MemoryError,
)


class Answering:
    """Opened products by name, their versions, and the functions of the routes to them."""

    def __init__(
        self, routes: Sequence[Route], opened: Mapping[str, Any], versions: Mapping[str, str], limits: Limits
    ) -> None:
        self._routes, self._opened, self._versions, self._limits = routes, opened, versions, limits
        mine = [route for route in routes if route.product.name in opened]
        # Imported and built now, before the process is copied.
        self._functions = {route.path: _function(route) for route in mine}
        for route in mine:
            _ = route.question

    def answer(self, code: int, body: bytes) -> tuple[int, bytes]:
        """The status and the body of the reply to a question to a route, by its number."""
        route = self._routes[code]
        try:
            question = route.question.model_validate_json(body or b"{}")
            questions = question.questions if route.many else [question]  # type: ignore[attr-defined]
            self._check(questions)
            found = self._functions[route.path](self._opened[route.product.name], questions)
        except ValidationError as problem:
            return 422, error(f"{route.path}: {explained(problem, named(route.endpoint.question))}")
        except _OURS as problem:
            return 503, error(f"{route.path}: {problem or 'expected memory for it, found none; ask for less'}")
        except FingerpostError as problem:
            return 400, error(str(problem))
        except Exception as problem:
            return 500, _mistake(route, problem)
        try:
            written = to_json({"replies": found} if route.many else found[0], inf_nan_mode="null")
        except ValueError as problem:
            return 500, _mistake(route, problem)
        version = json.dumps(self._versions[route.product.name]).encode()
        return 200, b'{"version":' + version + b"," + written[1:]

    def _check(self, questions: Sequence[BaseModel]) -> None:
        if len(questions) > self._limits.batch:
            raise FingerpostError(
                f"questions: expected at most {self._limits.batch}, got {len(questions)}; ask them in several requests"
            )
        for question in questions:
            if (k := getattr(question, "k", 0)) > self._limits.k:
                raise FingerpostError(f"k: expected at most {self._limits.k}, got {k}; ask for fewer answers")


def _function(route: Route) -> Any:
    """The function of a route, of an opened product and several questions."""
    one = named(route.endpoint.answer)
    if route.many and route.endpoint.batch:
        return named(route.endpoint.batch)
    return lambda opened, questions: [one(opened, question) for question in questions]


def _mistake(route: Route, problem: Exception) -> bytes:
    """The body of a reply to a question that our own code could not answer."""
    traceback.print_exc(file=sys.stderr)
    return error(
        f"{route.path}: expected an answer, got an error of Fingerpost ({type(problem).__name__}); see the log of the"
        " service, and report it"
    )


def error(message: str) -> bytes:
    """The body of a reply that says what is wrong, in one line."""
    return json.dumps({"error": " ".join(without_credentials(message).split())}, ensure_ascii=False).encode()


def explained(problem: ValidationError, asked: type[BaseModel]) -> str:
    """What is wrong with the body of a request: the first fault, in one line. asked: the form of a question."""
    first = problem.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    if first["type"] == "json_invalid":
        return f"body: expected JSON, got {first['msg'].removeprefix('Invalid JSON: ')}; correct it"
    if first["type"] == "missing":
        return f"{where}: expected a value, got none; see /openapi.json"
    if first["type"] == "extra_forbidden":
        return f"{where}: expected no such field, but {', '.join(sorted(asked.model_fields))}; see /openapi.json"
    # What follows the comma says how the library that checks values tried to read it.
    wanted = (
        first["msg"].partition(", unable ")[0].removeprefix("Input should ").removeprefix("be ").replace("valid ", "")
    )
    return f"{where}: expected {wanted[:1].lower()}{wanted[1:]}, got {shown(first['input'])}; see /openapi.json"
