"""What each setting means, and which values it may have, as `config --explain` says it.

Sections that are pydantic models describe their fields; the parameters of algorithms are dataclasses whose docstrings do,
in the form ``name: what it is.`` Bounds that a dataclass checks itself are read from the errors that it raises.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from difflib import get_close_matches
from functools import lru_cache
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from fingerpost.flows import domains
from fingerpost.flows.domains import settings as _settings  # noqa: F401 - tests replace the class in it
from fingerpost.flows.run.section import NamesFile, SettingsError
from fingerpost.schemas.wording import shown

#: Values that few parameters allow, whose errors say what is allowed.
_PROBES: dict[type, tuple[Any, ...]] = {
    int: (-(10**12), 10**12),
    float: (-1e12, 1e12, float("nan")),
    str: ("?",),
    tuple: ((),),
}
_EXPECTED = re.compile(r"expected (.+?)(?:,? got |;|$)", re.DOTALL)
_NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
#: What a text looks like whose form is given by examples.
_SUCH_AS = "such as "
_ALTERNATIVES = re.compile(r"\^\(?((?:[\w:-]+\|)*[\w:-]+)\)?(\?)?\$")


@dataclass(frozen=True)
class Meaning:
    """A setting: its dotted key, what it is, its type, what is allowed, and its default; names_file: it is a path."""

    key: str
    what: str
    kind: str
    allowed: str
    default: Any
    section: str
    names_file: bool = False

    @property
    def values(self) -> str:
        """Its type and what is allowed, for an error."""
        article = "" if self.kind.startswith(("true", "text")) else "a "
        return f"{article}{self.kind}{f' ({self.allowed})' if self.allowed else ''}"

    @property
    def complete(self) -> bool:
        """Whether there is something to read about it."""
        return bool(self.what and self.kind)


def meanings() -> dict[str, Meaning]:
    """Every setting by dotted key, in the order of the sections."""
    return _meanings(domains.settings.Settings)


@lru_cache(maxsize=4)
def _meanings(settings: type[BaseModel]) -> dict[str, Meaning]:
    return {found.key: found for found in _walked(settings(), "")}


def sections() -> dict[str, str]:
    """What each section is about, by dotted key."""
    return dict(_sections(domains.settings.Settings(), ""))


def meaning_of(key: str) -> Meaning:
    """The meaning of a setting; SettingsError names the nearest keys if there is none of that name."""
    known = meanings()
    if key in known:
        return known[key]
    raise SettingsError(
        f"{key}: expected a setting, got none of this name{near_keys(key)}; `fingerpost config` lists all"
    )


def near_keys(key: str, among: Iterable[str] | None = None) -> str:
    """The keys that are spelled nearly like one, or end as it does, for an error; empty if there are none."""
    known = [*(meanings() if among is None else among)]
    last = key.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    spelled = get_close_matches(key, known, n=3, cutoff=0.6)
    words = {one.rpartition(".")[2]: None for one in known}
    alike = [
        one for word in get_close_matches(last, words, n=2, cutoff=0.75) for one in known if one.endswith(f".{word}")
    ]
    near = list(dict.fromkeys([*spelled[:1], *same[:3], *spelled[1:], *alike[:2]]))[:3]
    return f"; near: {', '.join(near)}" if near else ""


def _sections(section: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for name, _ in _typed(section):
        value = getattr(section, name)
        if is_section(value):
            yield f"{prefix}{name}", _first_sentence(type(value))
            yield from _sections(value, f"{prefix}{name}.")


def is_section(value: Any) -> bool:
    """Whether a value of the settings is a section of further ones."""
    return isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type))


def _typed(section: Any) -> list[tuple[str, Any]]:
    if isinstance(section, BaseModel):
        return [(name, entry.annotation) for name, entry in type(section).model_fields.items()]
    hints = get_type_hints(type(section))
    return [(entry.name, hints[entry.name]) for entry in dataclass_fields(section)]


def _walked(section: Any, prefix: str) -> Iterator[Meaning]:
    documented = {} if isinstance(section, BaseModel) else documented_fields(type(section))
    for name, kind in _typed(section):
        value, key = getattr(section, name), f"{prefix}{name}"
        if is_section(value):
            yield from _walked(value, f"{key}.")
            continue
        entry = type(section).model_fields[name] if isinstance(section, BaseModel) else None
        marks = tuple(entry.metadata) if entry else ()
        examples = tuple(entry.examples or ()) if entry else ()
        what = (entry.description or "") if entry else documented.get(name, "")
        bounds = _declared(marks, examples) if entry else _raised(section, name, kind)
        yield Meaning(
            key,
            what,
            _kind(kind),
            "; ".join(part for part in (_choices(kind), *bounds) if part),
            value,
            _first_sentence(type(section)),
            any(isinstance(mark, NamesFile) for mark in marks),
        )


def documented_fields(section: type) -> dict[str, str]:
    """What the docstrings of a dataclass and of those that it is derived from say of each field."""
    names = [entry.name for entry in dataclass_fields(section)]
    found: dict[str, str] = {}
    for one in section.__mro__:
        for name, what in _documented(cleandoc(vars(one).get("__doc__") or ""), names):
            found.setdefault(name, what)
    return found


def _documented(text: str, names: list[str]) -> Iterator[tuple[str, str]]:
    one = "|".join(re.escape(name) for name in names)
    head = re.compile(rf"(?:(?<=[.;:] )|(?<=[.;:]\n)|^\s*)((?:{one})(?:, (?:{one}))*):\s", re.MULTILINE)
    for block in re.split(r"\n\s*\n", text):
        heads = list(head.finditer(block))
        for found, after in zip(heads, [*heads[1:], None], strict=False):
            what = block[found.end() : after.start() if after else len(block)]
            what = re.split(r"\b[A-Z]\w*Error (?:for|names|if)\b", what)[0]
            for name in found[1].split(", "):
                yield name, " ".join(what.split()).strip(" ;.")


def _first_sentence(section: type) -> str:
    text = " ".join((vars(section).get("__doc__") or "").split())
    return re.split(r"(?<=[.;:]) ", text)[0].rstrip(".;:")


def _members(kind: Any) -> list[Any]:
    """The types of a union, or the type alone."""
    return list(get_args(kind)) if get_origin(kind) in (Union, UnionType) else [kind]


def _kind(kind: Any) -> str:
    said = [_kind_of(one) for one in _members(kind)]
    return " or ".join(dict.fromkeys(said))


def _kind_of(kind: Any) -> str:
    origin, given = get_origin(kind), get_args(kind)
    if kind is NoneType:
        return "none"
    if origin is Literal:
        return "text" if all(isinstance(one, str) for one in given) else "choice"
    if origin is tuple:
        inner = dict.fromkeys(_kind_of(one) for one in given if one is not Ellipsis)
        return f"list of {' and '.join(f'{one}s' if not one.endswith('s') else one for one in inner)}"
    if origin is not None and issubclass(origin, Mapping):
        return "table of keys and values"
    return _NAMES.get(kind, getattr(kind, "__name__", str(kind)))


def _choices(kind: Any) -> str:
    for one in [*_members(kind), *(inner for member in _members(kind) for inner in get_args(member))]:
        if get_origin(one) is Literal:
            return ", ".join(str(value) for value in get_args(one))
    return ""


def _declared(marks: tuple[Any, ...], examples: tuple[Any, ...]) -> Iterator[str]:
    """The bounds of a field of a model; examples: values in the form of its pattern."""
    yield ", ".join(
        f"{words} {getattr(mark, name):g}"
        for name, words in _BOUNDS.items()
        for mark in marks
        if getattr(mark, name, None) is not None
    )
    for pattern in (mark.pattern for mark in marks if getattr(mark, "pattern", None)):
        choice = _ALTERNATIVES.fullmatch(pattern)
        listed = ", ".join(choice[1].split("|")) if choice else f"{_SUCH_AS}{', '.join(examples) or pattern}"
        yield f"{listed}{', or empty' if re.match(pattern, '') else ''}"


def _raised(section: Any, name: str, kind: Any) -> Iterator[str]:
    """What a dataclass says is allowed of a field when it is given something else."""
    said: dict[str, None] = {}
    for one in _members(kind):
        for probe in _PROBES.get(get_origin(one) or one, ()):
            try:
                replace(section, **{name: probe})
            except ValueError as problem:
                if found := _EXPECTED.search(str(problem)):
                    said.setdefault(" ".join(found[1].split()))
            except (TypeError, OverflowError, ArithmeticError, LookupError):
                continue
    yield "; ".join(said)


def changed_values(meaning: Meaning, value: Any) -> Iterator[Any]:
    """Other values that a setting may have, the nearest first; some of them may be out of its range."""
    yield from (other for other in _near(meaning, value) if other != value)


def _near(meaning: Meaning, value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 2 * value, value // 2)
    elif isinstance(value, float):
        yield from (value * 0.9, value * 1.1, value + 0.5, value / 2 + 0.05)
    elif isinstance(value, tuple):
        yield from (value[:-1], value[1:])
    elif value is None:
        yield from (1, 0.5, 8)
    elif isinstance(value, str) and not meaning.names_file:
        yield from (
            one for one in meaning.allowed.removeprefix(_SUCH_AS).removesuffix(", or empty").split(", ") if one != value
        )


def default_text(value: Any) -> str:
    """A value as it is written in a profile."""
    if value is None or value is MISSING:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(default_text(one) for one in value)}]"
    with suppress(TypeError):
        return shown(value, 200) if isinstance(value, str) else str(value)
    return str(value)
