"""Requests to a Prefect server over plain HTTP, without importing Prefect."""

import base64
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from fingerpost.schemas.errors import FingerpostError


class ApiError(FingerpostError):
    """A server that does not answer, or refuses a request."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


#: Seconds between attempts where the server rolled a request back because its database was busy.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)

# The stack is on this machine: a proxy named in the environment is not asked.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Api:
    """A Prefect server: the address of its API (ending in ``/api``), and ``user:password`` where it requires them."""

    url: str
    auth: str = field(default="", repr=False)

    def get(self, path: str) -> Any:
        """The answer to GET."""
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """The answer to POST with a JSON body."""
        return self.ask("POST", path, {} if body is None else body)

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> Any:
        """Sends a request and returns the decoded answer; ApiError has the server's message, never credentials."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path.lstrip('/')}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.auth:
            request.add_header("Authorization", f"Basic {base64.b64encode(self.auth.encode()).decode()}")
        for pause in (*_PAUSES, None):
            try:
                with _opener.open(request, timeout=timeout) as answer:
                    content = answer.read()
                break
            except urllib.error.HTTPError as problem:
                if problem.code != 503 or pause is None:
                    raise ApiError(self._refusal(method, path, problem), status=problem.code) from None
                time.sleep(pause)
            except (OSError, ValueError) as problem:
                reason = getattr(problem, "reason", problem)
                raise ApiError(
                    f"server {self.url}: expected an answer, got {reason}; is the stack running? `fingerpost up`"
                    " starts it"
                ) from None
        return json.loads(content) if content else None

    def _refusal(self, method: str, path: str, problem: urllib.error.HTTPError) -> str:
        if problem.code == 401:
            return f"server {self.url}: expected valid credentials, got 401; set FINGERPOST_AUTH to user:password"
        try:
            found = json.loads(problem.read())
            said = found.get("detail") or found.get("exception_message") or found
        except (ValueError, AttributeError, OSError):
            said = problem.reason
        return (
            f"server {self.url}: expected {method} {path} to be accepted, got {problem.code} ({said}); fix the request"
        )

    def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return self.ask("GET", "health", timeout=5.0) is True
        except ApiError:
            return False

    def pages(self, path: str, body: dict[str, Any], *, most: int = 10_000) -> list[dict[str, Any]]:
        """All items that a filter request matches, page by page."""
        found: list[dict[str, Any]] = []
        while len(found) < most:
            page = self.post(path, {**body, "limit": 200, "offset": len(found)})
            found += page
            if len(page) < 200:
                break
        return found
