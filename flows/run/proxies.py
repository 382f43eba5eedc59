"""Proxies that the environment names: this machine's own programs talk to each other without them."""

import importlib.util
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from urllib.parse import urlsplit

#: What a loopback address is called in ``no_proxy``.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAMING = ("http_proxy", "https_proxy", "all_proxy")


def spare_loopback(environment: MutableMapping[str, str]) -> None:
    """Exempts loopback addresses from the proxies of an environment, where it names any."""
    if not _proxies(environment):
        return
    given = {name: environment.get(name, "") for name in ("no_proxy", "NO_PROXY")}
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        hosts = [host.strip() for host in (given[name] or given[other]).split(",") if host.strip()]
        if "*" not in hosts:
            environment[name] = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])


def is_loopback(url: str) -> bool:
    """Whether a URL names a program of this machine."""
    try:
        return (urlsplit(url).hostname or "") in LOOPBACK
    except ValueError:
        return False


def without_unusable(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Removes and returns the proxies that Prefect's HTTP client cannot be made with, whatever address it is for.

    These are those of an unknown protocol, SOCKS without its package, and those that are no address.
    """
    return {name: environment.pop(name) for name in _proxies(environment) if not _is_usable(environment[name])}


@contextmanager
def usable_proxies() -> Iterator[None]:
    """A context without unusable proxies in this process's environment, where all servers are of this machine."""
    removed = without_unusable(os.environ)
    try:
        yield
    finally:
        os.environ.update(removed)


def _proxies(environment: MutableMapping[str, str]) -> list[str]:
    return [name for name, value in environment.items() if name.lower() in _NAMING and value]


def _is_usable(address: str) -> bool:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    if parts.scheme in ("socks5", "socks5h"):
        return named and importlib.util.find_spec("socksio") is not None
    return named and parts.scheme in ("http", "https")
