"""URLs without the secrets that they may contain."""

import re
from urllib.parse import urlsplit

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*")
#: Parameters of a URL whose values are secrets.
_SECRET = re.compile(r"(?i)([?&][^=&#]*(?:secret|token|password|key|sig)[^=&#]*=)[^&#]*")
#: Protocols whose URLs have a port, which looks like a password that begins with digits and a slash.
_WITH_PORT = re.compile(
    r"(?i)(?:https?|wss?|tcp|tls|ftps?|sftp|ssh|webdavs?|hdfs|webhdfs)://[^:@/]+:\d{1,5}(?:[/?#]|$)"
)


def without_credentials(text: str) -> str:
    """A text with user names, passwords and secret parameters removed from its URLs."""
    return _URL.sub(lambda found: clean_url(found[0]), text) if "://" in text else text


def clean_url(url: str) -> str:
    """A URL without name and password, and without the values of secret parameters.

    A password may hold slashes (those of AWS do), so that what precedes the last "@" is taken for one where it has a
    colon, or no slash.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    before, at, after = rest.rpartition("@")
    if at and ("/" not in before or (":" in before and not _WITH_PORT.match(url))):
        rest = after
    return _SECRET.sub(r"\1***", f"{scheme}://{rest}")


def has_credentials(url: str) -> bool:
    """Whether a URL contains a name, a password or a secret parameter."""
    return clean_url(url) != url


def public_url(url: str) -> str:
    """A URL without name, password, parameters and fragment; a path as it is, whose ``?`` and ``#`` are of its name."""
    if "://" not in url:
        return url
    return re.split(r"[?#]", clean_url(url), maxsplit=1)[0].rstrip("/")


def host_of(url: str) -> str:
    """The host of a URL; empty if it names none."""
    try:
        return urlsplit(clean_url(url)).hostname or ""
    except ValueError:
        return ""
