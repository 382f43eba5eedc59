"""Architectures as TOML: what an expert writes and edits.

task = "classification"
resolution = 28
inputs = 1
classes = 10
stem = 16
stem_stride = 2

[[stages]]
channels = 16
stride = 1
blocks = [
    { kind = "fused", kernel = 3, expansion = 4 },
]
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from fingerpost.tasks.nas.architecture import Architecture, Block, NetworkStage

_TYPES = {int: "a whole number", str: "a text", list: "a list"}
#: Fields that are written first, and those written where they are not the default.
_FIRST = ("task", "resolution", "inputs", "classes", "stem", "stem_stride")
_OPTIONAL = ("head", "output")


def architecture_toml(architecture: Architecture) -> str:
    """The TOML text of an architecture; ``parse_architecture`` gives the same one back."""
    lines = [_line(name, getattr(architecture, name)) for name in _FIRST]
    lines += [_line(name, getattr(architecture, name)) for name in _OPTIONAL if getattr(architecture, name)]
    for stage in architecture.stages:
        lines += ["", "[[stages]]", _line("channels", stage.channels), _line("stride", stage.stride), "blocks = ["]
        lines += [
            f'    {{ kind = "{block.kind}", kernel = {block.kernel}, expansion = {block.expansion} }},'
            for block in stage.blocks
        ]
        lines.append("]")
    return "\n".join(lines) + "\n"


def _line(name: str, value: int | str) -> str:
    return f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}"


def parse_architecture(text: str) -> Architecture:
    """The architecture of a TOML text; ValueError with the key for what is missing, unknown or of another type, and for an
    architecture that cannot be. head, output, task, and kernel and expansion of blocks may be left out."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"architecture: expected TOML, got text that is none ({problem}); correct it") from problem
    stages = _value(document, "stages", list, "")
    built = tuple(_stage(table, f"stages[{number}]") for number, table in enumerate(stages, start=1))
    return Architecture(**_checked(document, Architecture, "", {"stages": built}))


def _stage(table: object, place: str) -> NetworkStage:
    blocks = _value(_table(table, place), "blocks", list, place)
    built = tuple(
        Block(**_checked(_conv(block, at), Block, at, {}))
        for block, at in ((block, f"{place}.blocks[{number}]") for number, block in enumerate(blocks, start=1))
    )
    return NetworkStage(**_checked(_table(table, place), NetworkStage, place, {"blocks": built}))


def _conv(table: object, place: str) -> Mapping[str, Any]:
    """A block's table; a plain convolution has an expansion of 1 where none is given."""
    found = _table(table, place)
    return {"expansion": 1, **found} if found.get("kind") == "conv" else found


def _checked(
    table: Mapping[str, Any], form: type[Architecture | NetworkStage | Block], place: str, built: dict[str, Any]
) -> dict[str, Any]:
    """The fields of ``form`` from a table, each of its type, and none besides; those in ``built`` are made already."""
    names = [field.name for field in fields(form)]
    if unknown := sorted(set(table) - set(names)):
        raise ValueError(
            f"architecture: expected {', '.join(names)} in {place or 'the file'}, got {_key(place, unknown[0])}; correct it"
        )
    found = dict(built)
    for field in fields(form):
        if field.name not in built and (field.name in table or field.default is MISSING):
            kind = str if field.name in ("task", "kind") else int
            found[field.name] = _value(table, field.name, kind, place)
    return found


def _table(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"architecture: expected a table for {place}, got {value!r}; correct it")
    return value


def _value(table: Mapping[str, Any], name: str, kind: type, place: str) -> Any:
    key = _key(place, name)
    if name not in table:
        raise ValueError(f"architecture: expected {_TYPES[kind]} for {key}, got nothing; add it")
    value = table[name]
    # A boolean is a whole number to Python.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"architecture: expected {_TYPES[kind]} for {key}, got {value!r}; correct it")
    return value


def _key(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
