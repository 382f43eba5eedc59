"""The files that runs read, and those that contain a key that is to be forgotten.

Reads only; changes nothing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import FileUse
from fingerpost.flows.run.profiles import settings_read
from fingerpost.flows.run.request import DAY, OF_ANY_RUN, RunRequest
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.inputs.files import input_files
from fingerpost.schemas.inputs.images import files_by_class
from fingerpost.schemas.inputs.limits import largest, limited
from fingerpost.schemas.inputs.rewriting import count_rows
from fingerpost.schemas.inputs.sources import FileSource
from fingerpost.schemas.inputs.stored import scan
from fingerpost.schemas.inputs.suppression import Suppressed


@dataclass(frozen=True)
class InputFile:
    """An input file with the key, and its number of rows; ``problem`` is why it could not be searched.

    ``form`` is that of its rows (documents, interactions, labels, embeddings or images), or image for a single image.
    """

    path: str
    columns: dict[str, str]
    rows: int
    problem: str = ""
    form: str = "documents"


def texts_of(row: Mapping[str, Any], wanted: Suppressed, also: Iterable[str] = ()) -> list[str]:
    """The texts of a row without its key; of an interaction only if the key is its query, of an event also if it is the
    key of its user or session. also: further columns with texts of its key.
    """
    names = ["title", "name", "text", "signature", *also]
    whose = [name for name in ("query_id", "query", "user", "session") if name in row]
    if any(wanted.match(row[name], spelled="user" in row and name == "query") for name in whose):
        names.append("query")
    return [str(row[name]) for name in names if row.get(name) and not wanted.match(row[name])]


def inputs_with(records: list[dict[str, Any]], wanted: Suppressed, texts: list[str]) -> list[InputFile]:
    """The files that runs of the collections read and that contain the key, including those of days that never ran."""
    read_under = largest(settings_read(record["settings"]).input.limits for record in records)
    with limited(read_under):
        return _inputs_with(records, wanted, texts)


def _inputs_with(records: list[dict[str, Any]], wanted: Suppressed, texts: list[str]) -> list[InputFile]:
    found: dict[tuple[str, str], InputFile] = {}
    for use in input_sources(records):
        form, path, columns = use.form, use.path, dict(use.columns)
        try:
            if "image" in domains.form_of(form).names and (pictures := files_by_class(path)) is not None:
                named = [str(file) for key, file in pictures if wanted.match(key)]
                found |= {("image", file): InputFile(file, {}, 1, form="image") for file in named}
                continue
            if domains.form_of(form).rewriter:
                found |= _no_table(Path(path), form, wanted)
                continue
            files = input_files(path)
        except FingerpostError:
            continue  # it was deleted
        for file in files:
            one = _searched(file, form, columns, wanted, texts)
            if one.problem and columns and not (other := _searched(file, form, {}, wanted, texts)).problem:
                # A run that failed for its mapping read nothing; the file may have the key all the same.
                one = other
            if one.rows or (one.problem and wanted_in(file, wanted)):
                found[form, str(file.resolve())] = one
    readable = {file.path for file in found.values() if not file.problem}
    return [file for file in found.values() if not file.problem or file.path not in readable]


def _searched(file: Path, form: str, columns: dict[str, str], wanted: Suppressed, texts: list[str]) -> InputFile:
    """A file and how many of its rows have the key, or why it cannot be told; their texts are added to ``texts``."""
    known = domains.form_of(form)
    try:
        reading = scan(FileSource(str(file), tuple(sorted(columns.items()))), wanted, form=known, keep=True)
        rows = count_rows(file, columns, wanted, known)
    except FingerpostError as error:
        return InputFile(str(file), columns, 0, str(error), form)
    said = (text for row in reading.forgotten or () for text in texts_of(row, wanted, known.texts))
    texts += [text for text in dict.fromkeys(said) if text not in texts]
    return InputFile(str(file), columns, rows, form=form)


def _no_table(path: Path, form: str, wanted: Suppressed) -> dict[tuple[str, str], InputFile]:
    """An input that is no table, if it has the key; InputError where there is none."""
    rows = count_rows(path, {}, wanted, domains.form_of(form))
    return {(form, str(path.resolve())): InputFile(str(path), {}, rows, form=form)} if rows else {}


def wanted_in(file: Path, wanted: Suppressed) -> bool:
    """Whether the bytes of a file that cannot be read as rows contain the key."""
    try:
        return bool(wanted.mentioned(file.read_bytes().decode("utf-8", "backslashreplace")))
    except OSError:
        return False


def input_sources(records: Iterable[Mapping[str, Any]]) -> list[FileUse]:
    """The files that runs read; a path with a placeholder for the day matches every file of that form."""
    uses: dict[tuple[str, str], FileUse] = {}
    patterns = dict[str, None]()
    for record in records:
        for use in _read_by(settings_read(record["settings"]), record["flow"]):
            # A run over several days reads a path with a placeholder.
            paths = _matching(use.path) if DAY in use.path else [use.path]
            uses |= {(use.form, path): replace(use, path=path) for path in paths}
        request = {**(record.get("request") or {}), "day": "", **OF_ANY_RUN}
        patterns[json.dumps([record["flow"], request], sort_keys=True)] = None
    for flow, request in map(json.loads, patterns):
        try:
            settings = RunRequest.of(**request).for_any_day()
        except (FingerpostError, TypeError):
            continue  # for example its profile was deleted; the days that ran are known from their records
        for use in _read_by(settings, flow):
            for path in _matching(use.path):
                uses.setdefault((use.form, path), replace(use, path=path))
    return list(uses.values())


def _read_by(settings: Any, flow: str) -> list[FileUse]:
    return [use for uses in domains.files_read(settings, flow).values() for use in uses]


def _matching(pattern: str) -> list[str]:
    """The paths that a path with a placeholder for the day matches."""
    if DAY not in pattern:
        return []
    folder = Path(re.split(r"[{]", pattern, maxsplit=1)[0]).parent
    rest = pattern[len(str(folder)) :].lstrip("/") if str(folder) != "." else pattern
    return [str(path) for path in folder.glob(rest.replace(DAY, "????-??-??"))]
