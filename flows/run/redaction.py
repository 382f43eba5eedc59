"""Texts without the secrets that URLs may carry. Imports no Prefect."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


def without_credentials(text: str) -> str:
    """A text whose URLs have no names and passwords."""
    return _CREDENTIALS.sub("", text)


def public_url(url: str) -> str:
    """A URL without name, password, options and fragment."""
    return re.split(r"[?#]", without_credentials(url), maxsplit=1)[0].rstrip("/")
