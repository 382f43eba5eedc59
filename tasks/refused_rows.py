"""The quarantine of an input that a run refused for its bad rows, which no stage of its record has."""

import re
from collections.abc import Mapping
from typing import Any

from fingerpost.schemas.corpus import QUARANTINE
from fingerpost.schemas.refs import Ref

_REF = re.compile(re.escape(QUARANTINE.name) + r"/day=[0-9-]{10}/[0-9a-f]{16,64}")


def refused_rows(record: Mapping[str, Any]) -> Ref | None:
    """The quarantine that the error of a run's record names; None if it names none."""
    found = _REF.search(str(record.get("error", "")))
    return Ref.parse(found.group()) if found else None
