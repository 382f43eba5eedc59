"""Removal of entities from graphs that are no tables: the lines of N-Triples files and of folders in the layout of DBP15K.

All other lines stay byte for byte the same.
"""

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.files import check_regular, is_compressed, readable
from fingerpost.schemas.inputs.forms import Form
from fingerpost.schemas.inputs.graphs_rdf import says
from fingerpost.schemas.inputs.graphs_triples import SIDES
from fingerpost.schemas.inputs.rewriting import replace_content
from fingerpost.schemas.inputs.suppression import Suppressed

_HERE = "fingerpost.schemas.inputs.graph_rewriting"
N_TRIPLES = Form(("id",), needed=("id",), option="", rewriter=f"{_HERE}:n_triples_lines")
DBP15K = Form(("id",), needed=("id",), option="", rewriter=f"{_HERE}:dbp15k_lines")


def n_triples_lines(path: Path, suppressed: Suppressed, *, write: bool) -> int:
    """The number of lines that a suppressed entity, or a value that says its key, is in, and those that cannot be read and
    mention it; removed to ``write``.

    InputError if the file cannot be read or written.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a file in N-Triples, found none; check the path")
    return _without(path, lambda line: says(line, suppressed), write=write)


def dbp15k_lines(path: Path, suppressed: Suppressed, *, write: bool) -> int:
    """The number of lines about suppressed entities: their ids, triples and links; removed to ``write``.

    InputError if the folder has no ids, or a file of it cannot be read or written.
    """
    numbers: dict[int, set[str]] = {}
    for side in SIDES:
        lines = [_fields(line) for line in _lines(path / f"ent_ids_{side}")]
        numbers[side] = {fields[0] for fields in lines if len(fields) == 2 and suppressed.match(fields[1])}
    if not any(numbers.values()):
        return 0
    removed = 0
    for name, columns in _columns().items():
        file = path / name
        if file.is_file():

            def hit(line: str, columns: tuple[tuple[int, int], ...] = columns) -> bool:
                fields = _fields(line)
                return any(place < len(fields) and fields[place] in numbers[side] for place, side in columns)

            removed += _without(file, hit, write=write)
    return removed


def _columns() -> dict[str, tuple[tuple[int, int], ...]]:
    """The places of entities' numbers in each file, with their sides; the ids last, by which the others are found."""
    found: dict[str, tuple[tuple[int, int], ...]] = {f"triples_{side}": ((0, side), (2, side)) for side in SIDES}
    found |= dict.fromkeys(("ref_ent_ids", "sup_ent_ids"), ((0, SIDES[0]), (1, SIDES[1])))
    return found | {f"ent_ids_{side}": ((0, side),) for side in SIDES}


def _fields(line: str) -> list[str]:
    return [part.strip() for part in line.rstrip("\r\n").split("\t")]


def _without(file: Path, hit: Callable[[str], bool], *, write: bool) -> int:
    rest, removed = io.BytesIO(), 0
    for line in _lines(file):
        found = hit(line)
        removed += found
        if write and not found:
            rest.write(line.encode("utf-8", "surrogateescape"))
    if removed and write:
        replace_content(file.resolve(), rest.getvalue())
    return removed


def _lines(file: Path) -> Iterator[str]:
    """The lines of a file with their ends; what is not UTF-8 comes back as it was."""
    if not file.is_file():
        raise InputError(f"{file}: expected a file of a graph, found none; check the path")
    check_regular(file)
    with readable(file), gzip.open(file) if is_compressed(file) else open(file, "rb") as handle:
        for line in handle:
            yield line.decode("utf-8", "surrogateescape")
