"""The files that runs read, and which of them hold a key that is to be forgotten.

Looks only; changes nothing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.domains.inputs import interaction_files
from flows.domains.metric.inputs import embedding_columns
from flows.domains.metric.settings import MetricSettings
from flows.run.request import DAY, RunRequest
from flows.run.settings import InputSettings, Settings, XmrSettings
from schemas.errors import FingerpostError
from schemas.inputs import SAMPLE
from schemas.inputs.files import input_files
from schemas.inputs.forgotten import FORMS, scan
from schemas.inputs.images import files_by_class
from schemas.inputs.interaction_rows import split_mapping
from schemas.inputs.rewriting import count_rows
from schemas.inputs.sources import FileSource
from schemas.inputs.suppression import Suppressed


@dataclass(frozen=True)
class InputFile:
    """A file of an input that holds the key, in how many rows; ``problem`` is why it could not be looked through.

    ``form`` is what its rows are: documents, interactions, labels, embeddings or images; or image: it is one as a whole.
    """

    path: str
    columns: dict[str, str]
    rows: int
    problem: str = ""
    form: str = "documents"


def texts_of(row: Mapping[str, Any], wanted: Suppressed) -> list[str]:
    """What a row says in words, besides its key; of an interaction only where the query is what is wanted."""
    names = ["title", "name", "text", "signature"]
    if any(wanted.match(row.get(name)) for name in ("query_id", "query")):
        names.append("query")
    return [str(row[name]) for name in names if row.get(name) and not wanted.match(row[name])]


def inputs_with(records: list[dict[str, Any]], wanted: Suppressed, texts: list[str]) -> list[InputFile]:
    """The files that the runs of the collections read and that hold the key, days that never ran included."""
    found: dict[tuple[str, str], InputFile] = {}
    for form, path, columns in input_sources(records):
        try:
            if form == "images" and (pictures := files_by_class(path)) is not None:
                named = [str(file) for key, file in pictures if wanted.match(key)]
                found |= {("image", file): InputFile(file, {}, 1, form="image") for file in named}
                continue
            files = input_files(path)
        except FingerpostError:
            continue  # it is gone
        for file in files:
            try:
                source = FileSource(str(file), tuple(sorted(columns.items())))
                reading = scan(source, wanted, form=FORMS[form], keep=True)
                rows, problem = count_rows(file, columns, wanted, FORMS[form]), ""
                texts += [t for row in reading.forgotten or () for t in texts_of(row, wanted) if t not in texts]
            except FingerpostError as error:
                rows, problem = 0, str(error)
            if rows or (problem and wanted_in(file, wanted)):
                found[form, str(file.resolve())] = InputFile(str(file), columns, rows, problem, form)
    return list(found.values())


def wanted_in(file: Path, wanted: Suppressed) -> bool:
    """Whether the bytes of a file that cannot be read as rows mention the key."""
    try:
        return bool(wanted.mentioned(file.read_bytes().decode("utf-8", "backslashreplace")))
    except OSError:
        return False


def input_sources(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, dict[str, str]]]:
    """What rows are, the paths that runs read them from, and the mapping of their columns; a path with a day in it gives
    every file that fits it.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    patterns = dict[str, None]()
    for record in records:
        for form, path, columns in _files_of(_paths_in(record["settings"]), record["flow"]):
            found[form, path] = columns
        request = {**(record.get("request") or {}), "day": "", "force": (), "dry_run": False}
        patterns[json.dumps([record["flow"], request], sort_keys=True)] = None
    for flow, request in map(json.loads, patterns):
        try:
            settings = RunRequest.of(**request).for_any_day()
        except (FingerpostError, TypeError):
            continue  # its profile is gone, for example; the days that ran are known from their records
        for form, pattern, columns in _files_of(settings, flow):
            for path in _matching(pattern):
                found.setdefault((form, path), columns)
    return [(form, path, columns) for (form, path), columns in found.items()]


def _paths_in(settings: Mapping[str, Any]) -> Settings:
    """The settings of a record that say where inputs are, whatever became of its others."""

    def known(section: str, *names: str) -> dict[str, Any]:
        return {name: settings[f"{section}.{name}"] for name in names if f"{section}.{name}" in settings}

    # A threshold's without the checks of its other settings, which are not looked at.
    metric = MetricSettings.model_construct(**known("metric", "input", "columns", "kind"))
    return Settings(
        input=InputSettings(source=settings["input.source"], columns=settings["input.columns"]),
        xmr=XmrSettings(**known("xmr", "input", "labels", "negatives", "columns")),
    ).model_copy(update={"metric": metric})


def _files_of(settings: Settings, flow: str) -> list[tuple[str, str, dict[str, str]]]:
    """What a flow reads from files: the form of the rows, the path and the mapping of the columns."""
    files, source = interaction_files(settings, flow), settings.input.source
    embedded = embedding_columns(settings, flow)
    found = []
    if source != SAMPLE and source not in {files.path if files else "", embedded[0] if embedded else ""}:
        found.append(("documents", source, dict(settings.input.columns)))
    if files is not None:
        of_rows, of_labels = split_mapping(files.columns, labelled=bool(files.labels))
        found.append(("interactions", files.path, of_rows))
        if files.labels:
            found.append(("labels", files.labels, of_labels))
        if files.negatives:
            found.append(("negatives", files.negatives, {}))
    if embedded is not None:
        form = "images" if settings.metric.kind == "images" else "embeddings"
        found.append((form, embedded[0], dict(embedded[1])))
    return found


def _matching(pattern: str) -> list[str]:
    """The paths that a path with a day in it stands for."""
    if DAY not in pattern:
        return []
    folder = Path(re.split(r"[{]", pattern, maxsplit=1)[0]).parent
    rest = pattern[len(str(folder)) :].lstrip("/") if str(folder) != "." else pattern
    return [str(path) for path in folder.glob(rest.replace(DAY, "????-??-??"))]
