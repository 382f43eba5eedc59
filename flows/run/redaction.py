"""Removal of the secrets that URLs may contain. Imports no Prefect."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


def without_credentials(text: str) -> str:
    """A text with user names and passwords removed from its URLs."""
    return _CREDENTIALS.sub("", text)


def public_url(url: str) -> str:
    """A URL without name, password, options and fragment; a path as it is, whose ``?`` and ``#`` are of its name."""
    if "://" not in url:
        return url
    return re.split(r"[?#]", without_credentials(url), maxsplit=1)[0].rstrip("/")
