"""What does not belong in a store: files that others put between its own. They are never read or removed, only named."""

import re

from fingerpost.schemas.errors import UnsafeNameError
from fingerpost.schemas.evaluation_cache import PATH as EVALUATIONS
from fingerpost.schemas.pins import FOLDER as PINS
from fingerpost.schemas.pins import pinned_by
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.refs import checked_day
from fingerpost.schemas.remembered import FOLDER as INPUTS
from fingerpost.schemas.store import Store

_NAME, _DAY, _HASH = r"[a-z0-9][a-z0-9_.-]*", r"\d{4}-\d\d-\d\d", r"[0-9a-f]{16,64}"
#: The folders of records, which are few and small, with the form of the paths in each.
_RECORDS = {
    ".published": rf"{_NAME}/{_NAME}/\d{{8}}\.json",
    INPUTS: rf"{_NAME}\.json",
    PINS: rf"{_NAME}-{_DAY}-{_HASH}\.json",
    ".running": rf"{_NAME}\.json",
    ".collecting": rf"{_NAME}\.json",
    ".runs": r"[A-Za-z0-9][A-Za-z0-9_.-]*\.json",
    ".partitions": rf"{_NAME}/{_NAME}/{_DAY}\.json",
    ".states": rf"{_NAME}/{_NAME}\.json",
    ".schedules": rf"{_NAME}/{_NAME}\.json",
    ".waiting": rf"{_NAME}/{_NAME}/{_DAY}\.json",
    ".backfills": (
        rf"{_NAME}/(request|control|crashes)\.json|{_NAME}/claims-\d+/{_DAY}\.json"
        rf"|{_NAME}/(workers|leading)/{_NAME}\.json"
    ),
}
#: The form of all other paths.
_OTHERS = "|".join(
    (
        r"store\.json",
        rf"{_NAME}/day={_DAY}/{_HASH}/(manifest\.json|{_NAME}-\d{{5,}}-[0-9a-f]{{12}}\.(parquet|arrow))",
        rf"\.index/{_NAME}/{_NAME}(/{_HASH})?\.json",
        rf"\.accepted/\w+/{_HASH}\.json",
        rf"\.work/({_NAME}-{_DAY}-{_HASH}/(shard-\d{{5}}\.json|checkpoint(\.\d{{5}})?-\d{{12}}-[0-9a-f]{{16}})|doctor-.*)",
        rf"\.alerts/{_NAME}\.(json|sent|attempt-\d{{6}})",
        r"\.forgotten/.*\.json",
        r"\.claims/.*|\.probe/.*",
        EVALUATIONS.pattern,
        r"reports/[A-Za-z0-9_.-]*\.html",
        r"exports/.*",
    )
)
_UNFINISHED = re.compile(r".*\.[0-9a-f]{32}\.tmp")


def strangers(store: Store, *, everywhere: bool = False) -> list[str]:
    """The paths of the files that do not belong: among the records, or ``everywhere`` (lists all of the store)."""
    forms = re.compile("|".join([rf"{re.escape(folder)}/({form})" for folder, form in _RECORDS.items()] + [_OTHERS]))
    listings = [store.files.listing()] if everywhere else [store.files.listing(folder) for folder in _RECORDS]
    paths = [path for listing in listings for path in listing]
    found = {path for path in paths if not _UNFINISHED.fullmatch(path) and not (forms.fullmatch(path) and _dated(path))}
    for collection, product in products(store):
        found |= set(Pointer(store, collection, product).strangers())
    return sorted(found)


def _dated(path: str) -> bool:
    """Whether every day in a path is one of the calendar."""
    try:
        for day in re.findall(_DAY, path):
            checked_day(day)
    except UnsafeNameError:
        return False
    return not path.startswith(f"{PINS}/") or pinned_by(path.rsplit("/", 1)[-1]) is not None
