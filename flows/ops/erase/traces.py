"""Removal of artifacts whatever keeps them, and of traces of a forgotten key in records, hints and reports."""

import json
import re
from collections.abc import Mapping
from typing import Any

from fingerpost.flows.ops.erase.absence import Needles
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.evaluation_cache import FOLDER as EVALUATIONS
from fingerpost.schemas.manifests import STORE_FORMAT
from fingerpost.schemas.refs import digest_of
from fingerpost.schemas.remembered import FOLDER as REMEMBERED_INPUTS
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.refused_rows import refused_rows

FORGOTTEN = "[forgotten]"


def remove_artifacts(store: Store, condemned: list[str]) -> tuple[int, int]:
    """Removes artifacts, manifests first, then the files that no other manifest lists, all uncommitted state, and all
    cached evaluations, some of which may come from what is forgotten.

    Returns the number of removed artifacts and bytes. No other process may be at work in the store.
    """
    listed = store.files.listing()
    gone = [ref for ref in condemned if f"{ref}/manifest.json" in listed]
    for ref in gone:
        store.files.remove_file(f"{ref}/manifest.json")
    kept, unreadable = _listed_files(store)
    freed = 0
    for path, found in listed.items():
        data = _is_data(path) and path not in kept and "/".join(path.split("/")[:3]) not in unreadable
        if path.startswith((".work/", f"{EVALUATIONS}/")) or path.endswith(".tmp") or data:
            store.files.remove_file(path)
            store.files.prune(path.rpartition("/")[0])
            freed += found.size
    return len(gone), freed


def _listed_files(store: Store) -> tuple[set[str], set[str]]:
    """The manifests and the files that they list, and the artifacts whose manifest cannot be read."""
    kept, unreadable = set[str](), set[str]()
    for ref in store.refs():
        kept.add(f"{ref}/manifest.json")
        try:
            kept |= {entry.path for entry in store.manifest(ref).files}
        except FingerpostError:
            unreadable.add(str(ref))
    return kept, unreadable


def _is_data(path: str) -> bool:
    return "/day=" in path and not path.startswith(".")


def clean_records(store: Store, condemned: set[str], needles: Needles) -> None:
    """Removes hints to removed artifacts and reports of their runs; rewrites records with the forgotten texts.

    Remembered inputs whose path says one of them are removed too: a rewritten path would name no file.
    """
    stale = [record["id"] for record in runs(store, newest=1_000_000) if _concerned(record, condemned)]
    for path in store.files.listing():
        if path.startswith(".index/") and _hint(store, path) in condemned:
            store.files.remove_file(path)
            store.files.prune(path.rpartition("/")[0])
        elif path.startswith("reports/") and any(name in path for name in stale):
            store.files.remove_file(path)
        elif _is_data(path) or path.startswith(".forgotten/"):
            continue
        elif path.startswith(f"{REMEMBERED_INPUTS}/") and _says(store, path, needles):
            store.files.remove_file(path)
        elif path.endswith(".json"):
            _redact(store, path, needles, condemned)
        elif _shows_rows(store, path, condemned) or _says(store, path, needles):
            store.files.remove_file(path)
    _latest_report(store)


def _concerned(record: Mapping[str, Any], condemned: set[str]) -> bool:
    return str(refused_rows(record)) in condemned or any(stage["ref"] in condemned for stage in record["stages"])


def _hint(store: Store, path: str) -> str:
    try:
        return str(json.loads(store.files.read(path))["ref"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _says(store: Store, path: str, needles: Needles) -> bool:
    return needles.said_in(store.files.read(path))


def _shows_rows(store: Store, path: str, condemned: set[str]) -> bool:
    """Whether a file has the error of an input that was refused for rows which are removed."""
    return str(refused_rows({"error": store.files.read(path).decode("utf-8", "replace")})) in condemned


def _redact(store: Store, path: str, needles: Needles, condemned: set[str]) -> None:
    """Rewrites a record without the forgotten texts, with a new checksum."""
    content = store.files.read(path)
    try:
        body = json.loads(content)
        cleaned = _without(body, needles, condemned)
    except (ValueError, RecursionError):
        return  # it is searched undecoded
    if cleaned == body:
        return
    if isinstance(cleaned, dict) and cleaned.get("format") == STORE_FORMAT and "sha256" in cleaned:
        cleaned["sha256"] = digest_of({key: value for key, value in cleaned.items() if key != "sha256"})
    store.files.write(path, json.dumps(cleaned, indent=1).encode())


def _without(value: Any, needles: Needles, condemned: set[str], name: str = "") -> Any:
    if isinstance(value, dict):
        return {_text(key, needles, condemned): _without(item, needles, condemned, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, needles, condemned, name) for item in value]
    if isinstance(value, str):
        return FORGOTTEN if value == needles.key and name in {"id", "ids"} else _text(value, needles, condemned)
    return value


def _text(text: str, needles: Needles, condemned: set[str]) -> str:
    for needle in sorted(needles.distinct, key=len, reverse=True):
        for form in (needle, needle.lower()):
            text = text.replace(form, FORGOTTEN)
    for quoted in needles.quoted:
        text = text.replace(quoted, f" ({FORGOTTEN})")
    if str(refused_rows({"error": text})) in condemned:
        # What is quoted of the rows may be a part of a text, which nothing else would find.
        text = re.sub(r": row \d+.*?; fix the input", f": {FORGOTTEN}; fix the input", text, flags=re.DOTALL)
    return text


def _latest_report(store: Store) -> None:
    """Makes the newest run's report the latest one."""
    from fingerpost.flows.report.page import write

    newest = runs(store, newest=1)
    if newest and store.files.size("reports/latest.html") is not None:
        write(store, newest[0])
