"""Records: small JSON files of a store, checked before they are used, so that a damaged one harms nothing else.

A record without the form or a key that its reader needs is a CorruptArtifactError that names the file. Where the rest
works without it, the reader leaves it out and names it in a warning, once per process.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.refs import Ref, checked_day
from fingerpost.schemas.wording import cut

T = TypeVar("T")

#: A shape: a type or several, a mapping from keys to shapes (keys that end in "?" may be missing), a list with the
#: shape of its items, `Each`, `Maybe`, or a function that raises for a value that does not fit.
Shape = Any
NUMBER = (int, float)
#: What a function of a shape raises for a value that does not fit.
_REFUSALS = (FingerpostError, ValueError, TypeError, AttributeError, OverflowError)
#: How deeply a record may be nested; none of ours has a tenth of it.
_DEPTH = 100
#: The longest value that a message quotes.
_QUOTED = 60
_RECORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.json")

_log = logging.getLogger("fingerpost.store")
_named: set[str] = set()


@dataclass(frozen=True)
class Each:
    """A mapping from any text to values of one shape."""

    shape: Shape


@dataclass(frozen=True)
class Maybe:
    """A value of a shape, or null."""

    shape: Shape


class MissingKeyError(CorruptArtifactError, KeyError):
    """A record lacks a key that its reader needs."""

    __str__ = Exception.__str__


class Record(dict[str, Any]):
    """An object of a record; a key that it lacks is a MissingKeyError that names the record."""

    where, advice = "record", "restore that file"

    def __missing__(self, key: str) -> Any:
        raise MissingKeyError(f"{self.where}: expected the key {key}, found {_keys(self)}; {self.advice}")


def parsed(data: bytes, *, where: str, advice: str) -> Any:
    """The value of JSON, its objects as `Record`; ValueError or RecursionError for other bytes."""

    def named(pairs: dict[str, Any]) -> Record:
        made = Record(pairs)
        made.where, made.advice = where, advice
        return made

    return json.loads(data, object_hook=named)


def built(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass from the values of a record, without keys that it does not have."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in values.items() if key in known})


def moment(value: Any) -> datetime:
    """The time of an ISO text with a zone; ValueError for another value."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found


def reference(value: Any) -> Ref:
    """The reference that a text spells; TypeError or UnsafeNameError for another value."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return Ref.parse(value)


def calendar_day(value: Any) -> str:
    """The calendar day; UnsafeNameError for another value."""
    return checked_day(value)


def count(value: Any) -> int:
    """The whole number from 0; ValueError for another value."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("no count")
    return value


def positive(value: Any) -> int:
    """The whole number from 1; ValueError for another value."""
    if count(value) < 1:
        raise ValueError("no positive number")
    return int(value)


def timestamp(value: Any) -> float:
    """The seconds since 1970 of a moment in the years that a calendar has; ValueError for another value."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 253_000_000_000:
        raise ValueError("no moment")
    return float(value)


_WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
    moment: "a time with a zone",
    reference: "a reference",
    calendar_day: "a day YYYY-MM-DD",
    count: "a count",
    positive: "a positive number",
    timestamp: "seconds since 1970",
}


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value is of a shape."""
    if isinstance(shape, type):
        return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    if isinstance(shape, tuple):
        return any(fits(value, kind) for kind in shape)
    if isinstance(shape, Maybe):
        return value is None or fits(value, shape.shape)
    if isinstance(shape, Each):
        return isinstance(value, dict) and all(fits(item, shape.shape) for item in value.values())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return False
        for key, inner in shape.items():
            name = key.rstrip("?")
            if name in value:
                if not fits(value[name], inner):
                    return False
            elif name == key:
                return False
        return True
    try:
        shape(value)
    except _REFUSALS:
        return False
    return True


def mismatch(value: Any, shape: Shape, at: str = "") -> str:
    """Where and how a value differs from a shape, as "expected ..., found ..."; empty if it does not."""
    if fits(value, shape):
        return ""
    if isinstance(shape, type | tuple):
        kinds = shape if isinstance(shape, tuple) else (shape,)
        return _differs(at, " or ".join(_WORDS[kind] for kind in kinds), value)
    if isinstance(shape, Maybe):
        return mismatch(value, shape.shape, at)
    if isinstance(shape, Each):
        return _first(value, dict, at, lambda: ((key, item, shape.shape) for key, item in value.items()))
    if isinstance(shape, list):
        return _first(value, list, at, lambda: ((place, item, shape[0]) for place, item in enumerate(value)))
    if isinstance(shape, Mapping):
        if isinstance(value, dict) and (lacking := [key for key in shape if key[-1] != "?" and key not in value]):
            return f"expected the key {_path(at, lacking[0])}, found {_keys(value)}"
        known = [(key.rstrip("?"), item) for key, item in shape.items()]
        return _first(value, dict, at, lambda: ((key, value[key], item) for key, item in known if key in value))
    return _differs(at, _WORDS.get(shape, "another value"), value)


def _first(value: Any, kind: type, at: str, items: Callable[[], Any]) -> str:
    if not isinstance(value, kind):
        return _differs(at, _WORDS[kind], value)
    found = (mismatch(item, shape, _path(at, key)) for key, item, shape in items())
    return next((text for text in found if text), "")


def _keys(value: Mapping[str, Any]) -> str:
    return cut(", ".join(sorted(map(str, value))) or "none", _QUOTED)


def _path(at: str, key: object) -> str:
    return f"{at}.{key}" if at else str(key)


def _differs(at: str, expected: str, value: Any) -> str:
    place = f" as {at}" if at else ""
    return f"expected {expected}{place}, found {cut(_shown(value), _QUOTED)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return _WORDS[dict if isinstance(value, dict) else list]
    return json.dumps(value, default=str)


def decoded(data: bytes, shape: Shape, *, where: str, advice: str) -> Any:
    """The value of a record of this shape; CorruptArtifactError that begins with ``where`` and ends in ``advice``."""
    try:
        value = parsed(data, where=where, advice=advice)
    except (ValueError, RecursionError) as problem:
        raise CorruptArtifactError(
            f"{where}: expected JSON, found {len(data)} bytes that do not parse as such; {advice}"
        ) from problem
    checked(value, shape, where=where, advice=advice)
    return value


def checked(value: Any, shape: Shape, *, where: str, advice: str) -> None:
    """CorruptArtifactError, as of `decoded`, for a value of another shape or one that is nested very deeply."""
    if nested_deeply(value):
        raise CorruptArtifactError(f"{where}: expected at most {_DEPTH} levels of nesting, found more; {advice}")
    if differs := mismatch(value, shape):
        raise CorruptArtifactError(f"{where}: {differs}; {advice}")


def nested_deeply(value: Any) -> bool:
    """Whether a value is nested more deeply than any of ours."""
    level = [value]
    for _ in range(_DEPTH):
        level = [item for outer in level for item in _items(outer) if isinstance(item, (dict, list))]
        if not level:
            return False
    return True


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def is_record(name: str) -> bool:
    """Whether a file name can be one of ours: letters, digits, ``_``, ``-`` and ``.``, and the ending ``.json``."""
    return _RECORD.fullmatch(name) is not None


def leave_out(problem: object) -> None:
    """Names what is left out, in a warning, the first time in a process."""
    text = " ".join(str(problem).split())
    if text not in _named:
        _named.add(text)
        _log.warning("left out: %s", text)
