"""What a service is started with: its address, its token and its limits."""

import hashlib
import hmac
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from fingerpost.schemas.errors import UsageError

#: The variable with the token that every request must carry; stored nowhere and never shown.
TOKEN = "FINGERPOST_TOKEN"
#: Shorter tokens can be guessed.
_SHORTEST = 16
_LARGEST_FILE = 65_536


@dataclass(frozen=True)
class Limits:
    """Bounds of a request: bytes of its body, questions of a batch, answers to a question, seconds until it is answered,
    and the number of requests that may wait for a worker.
    """

    body: int = 4 * 2**20
    batch: int = 256
    k: int = 1000
    deadline: float = 10.0
    waiting: int = 256


@dataclass(frozen=True)
class ServeOptions:
    """host, port: where to listen. workers: number of processes that answer. follow: seconds between two looks at what
    is live. products: names of those that are served, empty for all. tokens: digests of the accepted ones, empty: none
    is asked for.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    follow: float = 2.0
    products: tuple[str, ...] = ()
    tokens: tuple[bytes, ...] = ()
    limits: Limits = field(default_factory=Limits)


def tokens_of(file: Path | None) -> tuple[bytes, ...]:
    """The digests of the tokens of a file, one per line, or of the one in the environment; empty without either.

    UsageError, which shows none, for a token that is short or has characters that headers cannot carry.
    """
    if file is not None:
        try:
            with file.open("rb") as opened:
                text = opened.read(_LARGEST_FILE).decode("ascii", errors="replace")
        except OSError as problem:
            if not os.path.lexists(file):
                raise UsageError(
                    "--token-file: expected a file with a token in each line, got the name of none (not shown, since it may"
                    f" be a token); write the token to a file and name that, or set {TOKEN}"
                ) from None
            raise UsageError(
                f"--token-file {file}: expected a file with a token in each line, got {problem.strerror}; correct the path"
            ) from problem
        where, found = f"--token-file {file}", [line.strip() for line in text.splitlines() if line.strip()]
        if not found:
            raise UsageError(f"{where}: expected a token in each line, found none; write one")
    else:
        where, found = TOKEN, [os.environ[TOKEN]] if os.environ.get(TOKEN) else []
    for token in found:
        if len(token) < _SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
            raise UsageError(
                f"{where}: expected at least {_SHORTEST} characters of ASCII without blanks in a token, got another (not"
                " shown); make one with `openssl rand -hex 24`"
            )
    return tuple(_digest(token.encode()) for token in found)


def accepted(given: bytes, tokens: tuple[bytes, ...]) -> bool:
    """Whether the header of a request carries one of the tokens; the time that it takes tells nothing of them."""
    scheme, _, token = given.partition(b" ")
    digest = _digest(token.strip())
    # Every one is compared.
    fits = sum([hmac.compare_digest(digest, known) for known in tokens])
    return bool(fits) and scheme.lower() == b"bearer"


def check_address(host: str, tokens: tuple[bytes, ...]) -> None:
    """UsageError for an address that others can reach, without a token."""
    if not tokens and not _is_loopback(host):
        raise UsageError(
            f"--host: expected a token with an address that others can reach, got {host} without one; set {TOKEN}, name a"
            " --token-file, or listen on 127.0.0.1 behind a proxy"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
