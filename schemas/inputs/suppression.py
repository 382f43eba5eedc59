"""Suppression of rows whose keys are to be forgotten.

The keys themselves are not stored: only their keyed hashes and lengths.
"""

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

_WORD = re.compile(rb"[0-9A-Za-z_]")
#: In place of a column's name in the keyed hashes of texts that are compared by their spelling.
_SPELLED = "spelled"
#: The number of hexadecimal digits of a keyed hash that stand for a key in stored columns.
_HASHED_DIGITS = 32


@dataclass(frozen=True)
class Suppressed:
    """The suppressed keys of one column, as pairs (HMAC-SHA256 in hexadecimal, length in bytes).

    spelled: gives texts that are spelled differently but mean the same key one form, whose keyed hash is among the entries
    too; it counts in the columns that a form or a contract says. unsalted: the hashes without salt that stand for the keys
    in what is stored of the built-in samples.
    """

    salt: bytes = field(repr=False)  # what shows an object, such as a log, must not show it
    entries: frozenset[tuple[str, int]]
    column: str = "id"
    spelled: Callable[[str], str] | None = None
    unsalted: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, keys: Iterable[str], salt: bytes, *, column: str = "id", spelled: Callable[[str], str] | None = None
    ) -> "Suppressed":
        """The suppression of known keys."""
        known = list(keys)
        pairs = {(digest_of_key(salt, key, column=column), len(_bytes(key))) for key in known}
        for form in filter(None, map(spelled, known)) if spelled is not None else ():
            pairs.add((_digest(salt, _bytes(form), _SPELLED), len(_bytes(form))))
        return cls(salt, frozenset(pairs), column, spelled, frozenset(hashed_key(b"", key) for key in known))

    def match(self, value: Any, *, spelled: bool = False) -> set[str]:
        """The digests of suppressed keys in a cell of the key's column: an exact match of a text or integer, or the hash
        that stands for one; of a text that may be ``spelled`` in several ways, a match of any spelling.

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
        found = {self._known(_bytes(text)), self._hashed.get(text)}
        if spelled and self.spelled is not None:
            found.add(self._known(_bytes(self.spelled(text)), _SPELLED))
        return {digest for digest in found if digest}

    def mentioned(self, text: str) -> set[str]:
        """The digests of suppressed keys that occur in a text as complete words, for malformed lines."""
        data, digests = _bytes(text), set()
        for size in self._sizes:
            for start in range(len(data) - size + 1):
                stop = start + size
                complete = not (_inside(data, start) or _inside(data, stop))
                if complete and (digest := self._known(data[start:stop])):
                    digests.add(digest)
        return digests

    @property
    def hashes(self) -> list[str]:
        """The hashes that stand for the keys in columns of the store, sorted."""
        return sorted(self._hashed)

    @cached_property
    def _sizes(self) -> frozenset[int]:
        return frozenset(size for _, size in self.entries)

    @cached_property
    def _hashed(self) -> dict[str, str]:
        """The hashes that stand for the keys in stored columns, with the digests that they are of."""
        return {digest[:_HASHED_DIGITS]: digest for digest, _ in self.entries} | {cell: cell for cell in self.unsalted}

    def _known(self, data: bytes, column: str = "") -> str | None:
        if len(data) not in self._sizes:
            return None
        digest = _digest(self.salt, data, column or self.column)
        return digest if (digest, len(data)) in self.entries else None


def digest_of_key(salt: bytes, key: str, *, column: str = "id") -> str:
    """HMAC-SHA256 (hexadecimal) of a key, which cannot be computed from it without the salt."""
    return _digest(salt, _bytes(key), column)


def hashed_key(salt: bytes, key: str) -> str:
    """The keyed hash that stands for a key in columns of the store: 32 hexadecimal digits, of 128 bits."""
    return digest_of_key(salt, key)[:_HASHED_DIGITS]


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
    return hmac.digest(salt, column.encode() + b"\0" + data, "sha256").hex()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _inside(data: bytes, at: int) -> bool:
    """Whether a position is between two characters of a word."""
    return 0 < at < len(data) and bool(_WORD.match(data[at - 1 : at]) and _WORD.match(data[at : at + 1]))
