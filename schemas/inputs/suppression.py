"""Suppression of rows whose keys are to be forgotten.

The keys themselves are not stored: only their keyed hashes and lengths.
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
    """The suppressed keys of one column, as pairs (HMAC-SHA256 in hexadecimal, length in bytes)."""

    salt: bytes
    entries: frozenset[tuple[str, int]]
    column: str = "id"

    @classmethod
    def of(cls, keys: Iterable[str], salt: bytes, *, column: str = "id") -> "Suppressed":
        """The suppression of known keys."""
        pairs = ((key, len(_bytes(key))) for key in keys)
        return cls(salt, frozenset((digest_of_key(salt, key, column=column), size) for key, size in pairs), column)

    def match(self, value: Any) -> set[str]:
        """The digests of suppressed keys in a cell of the key's column: an exact match of a text or integer.

        Other values match every key that they mention.
        """
        value = value.as_py() if isinstance(value, pa.Scalar) else value
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if value is None:
            return set()
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return self.mentioned(str(value))
        text = str(value).strip()
        digest = self._known(_bytes(text))
        return {digest} if digest else set()

    def mentioned(self, text: str) -> set[str]:
        """The digests of suppressed keys that occur in a text as complete words, for malformed lines."""
        data, digests = _bytes(text), set()
        for size in {size for _, size in self.entries}:
            for start in range(len(data) - size + 1):
                stop = start + size
                complete = not (_inside(data, start) or _inside(data, stop))
                if complete and (digest := self._known(data[start:stop])):
                    digests.add(digest)
        return digests

    def _known(self, data: bytes) -> str | None:
        if not any(size == len(data) for _, size in self.entries):
            return None
        digest = _digest(self.salt, data, self.column)
        return digest if (digest, len(data)) in self.entries else None


def digest_of_key(salt: bytes, key: str, *, column: str = "id") -> str:
    """HMAC-SHA256 (hexadecimal) of a key, which cannot be computed from it without the salt."""
    return _digest(salt, _bytes(key), column)


def without_rows(columns: "dict[str, pa.Array | Sequence[Any]]", dropped: set[int], count: int) -> "dict[str, Any]":
    """The columns of a batch without the dropped rows."""
    rest = [row for row in range(count) if row not in dropped]
    return {name: _chosen(values, rest) for name, values in columns.items()}


def _chosen(values: "pa.Array | Sequence[Any]", rows: list[int]) -> "pa.Array | Sequence[Any]":
    if isinstance(values, pa.Array):
        try:
            return values.take(pa.array(rows, pa.int64()))
        except pa.ArrowNotImplementedError:  # Arrow cannot choose rows of every type, such as views of texts
            return [values[row].as_py() for row in rows]
    return [values[row] for row in rows]


def _digest(salt: bytes, data: bytes, column: str) -> str:
    return hmac.new(salt, column.encode() + b"\0" + data, hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _inside(data: bytes, at: int) -> bool:
    """Whether a position is between two characters of a word."""
    return 0 < at < len(data) and bool(_WORD.match(data[at - 1 : at]) and _WORD.match(data[at : at + 1]))
