"""References: the name, day and fingerprint under which an artifact is stored."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fingerpost.schemas.errors import UnsafeNameError
from fingerpost.schemas.wording import shown

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_FINGERPRINT = re.compile(r"[0-9a-f]{16,64}")


def checked_name(value: str, *, what: str = "name") -> str:
    """The name itself if it is safe as a path component; UnsafeNameError otherwise."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or ".." in value:
        raise UnsafeNameError(
            f"{what}: expected lower-case letters, digits, '_', '-' and single '.', at most 100, got {shown(value, 200)};"
            " rename it"
        )
    return value


def is_name(text: str) -> bool:
    """Whether `checked_name` accepts a text."""
    try:
        return bool(checked_name(text))
    except UnsafeNameError:
        return False


def checked_day(value: str) -> str:
    """The day itself if it is a calendar day YYYY-MM-DD; UnsafeNameError otherwise."""
    try:
        if date.fromisoformat(value).isoformat() == value:
            return value
    except (TypeError, ValueError):
        pass
    raise UnsafeNameError(f"day: expected a calendar day YYYY-MM-DD, got {shown(value, 200)}; correct it")


def checked_fingerprint(value: str) -> str:
    """The fingerprint itself if it is one; UnsafeNameError otherwise."""
    if not isinstance(value, str) or not _FINGERPRINT.fullmatch(value):
        raise UnsafeNameError(
            f"fingerprint: expected 16 to 64 hexadecimal digits, got {shown(value, 200)}; copy it from `fingerpost history`"
        )
    return value


def canonical_json(value: Any) -> str:
    """The canonical JSON text of a value, for digests (sorted keys, no spaces, no NaN)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 (hexadecimal) of a value's canonical JSON."""
    # Surrogates stand for the bytes of file names that are not UTF-8.
    return hashlib.sha256(canonical_json(value).encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, order=True)
class Ref:
    """A committed artifact: ``<name>/day=<day>/<fingerprint>``.

    Raises UnsafeNameError on construction if a part could leave the store's root.
    """

    name: str
    day: str
    fingerprint: str

    def __post_init__(self) -> None:
        checked_name(self.name, what="artifact name")
        checked_day(self.day)
        checked_fingerprint(self.fingerprint)

    def __str__(self) -> str:
        return f"{self.name}/day={self.day}/{self.fingerprint}"

    @property
    def identity(self) -> str:
        """The part of the reference that enters consumers' fingerprints: name and fingerprint, not the day."""
        return f"{former_name(self.name)}:{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> "Ref":
        """The reference that ``str()`` printed."""
        parts = text.strip("/").split("/")
        if len(parts) != 3 or not parts[1].startswith("day="):
            raise UnsafeNameError(
                f"reference: expected name/day=YYYY-MM-DD/fingerprint, got {shown(text, 300)}; copy it from `fingerpost history`"
            )
        return cls(parts[0], parts[1].removeprefix("day="), parts[2])


#: Names of artifacts before they had separate contracts. Fingerprints keep the old name, since the data are the same:
#: artifacts computed from them, such as a trained ranker, are not recomputed.
FORMER_NAMES = {
    "metric.embeddings": "corpus.documents",
    "metric.images": "corpus.documents",
    "metric.vectors": "corpus.vectors",
    "xmr.queries": "corpus.documents",
}


def former_name(name: str) -> str:
    """The name of a contract in fingerprints."""
    return FORMER_NAMES.get(name, name)


def same_kind(first: str, second: str) -> bool:
    """Whether artifacts of two names can be compared: the names are equal, or one is the other's former name."""
    return first == second or former_name(first) == second or first == former_name(second)


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """The dotted keys whose values differ between two nested mappings, sorted."""
    keys: list[str] = []
    for key in sorted(set(before) | set(after)):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            keys += changed_keys(old, new, prefix=f"{prefix}{key}.")
        elif old != new:
            keys.append(f"{prefix}{key}")
    return keys
