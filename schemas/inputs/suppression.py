"""Which rows of an input are left out because what they are about is to be forgotten.

The keys themselves are not known here: only their keyed hashes and lengths.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_WORD = re.compile(rb"[0-9A-Za-z_]")


@dataclass(frozen=True)
class Suppressed:
    """The keys of one column that are left out, as pairs (HMAC-SHA256 in hexadecimal, length in bytes)."""

    salt: bytes
    entries: frozenset[tuple[str, int]]
    column: str = "id"

    @classmethod
    def of(cls, keys: Iterable[str], salt: bytes, *, column: str = "id") -> "Suppressed":
        """Those of known keys."""
        pairs = ((key, len(_bytes(key))) for key in keys)
        return cls(salt, frozenset((digest_of_key(salt, key, column=column), size) for key, size in pairs), column)

    def match(self, value: Any) -> set[str]:
        """The digests that a cell of the key's column stands for; of what is no text or whole number, all that it holds."""
        value = value.as_py() if isinstance(value, pa.Scalar) else value
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if value is None:
            return set()
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return self.mentioned(str(value))
        text = str(value).strip()
        found = self._known(_bytes(text))
        return {found} if found else set()

    def mentioned(self, text: str) -> set[str]:
        """The digests of keys that a text holds as whole words, for lines that are no rows."""
        data, found = _bytes(text), set()
        for size in {size for _, size in self.entries}:
            for start in range(len(data) - size + 1):
                stop = start + size
                whole = not (_inside(data, start) or _inside(data, stop))
                if whole and (digest := self._known(data[start:stop])):
                    found.add(digest)
        return found

    def _known(self, data: bytes) -> str | None:
        if not any(size == len(data) for _, size in self.entries):
            return None
        digest = _digest(self.salt, data, self.column)
        return digest if (digest, len(data)) in self.entries else None


def digest_of_key(salt: bytes, key: str, *, column: str = "id") -> str:
    """HMAC-SHA256 (hexadecimal) of a key, which cannot be told from it without the salt."""
    return _digest(salt, _bytes(key), column)


def without_rows(columns: "dict[str, pa.Array | Sequence[Any]]", dropped: set[int], count: int) -> "dict[str, Any]":
    """The columns of a batch without some of its rows."""
    kept = [row for row in range(count) if row not in dropped]
    return {
        name: values.take(pa.array(kept, pa.int64())) if isinstance(values, pa.Array) else [values[row] for row in kept]
        for name, values in columns.items()
    }


def _digest(salt: bytes, data: bytes, column: str) -> str:
    return hmac.new(salt, column.encode() + b"\0" + data, hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _inside(data: bytes, place: int) -> bool:
    """Whether a place lies between two characters of one word."""
    return 0 < place < len(data) and bool(_WORD.match(data[place - 1 : place]) and _WORD.match(data[place : place + 1]))
