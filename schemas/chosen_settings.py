"""Tables of settings that were found or chosen, such as an analyzer's language, and of the reasons."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Table
from fingerpost.schemas.errors import CorruptArtifactError

SETTINGS = Table("settings", (f.SETTING_NAME, f.SETTING_VALUE), key=("name",), own_words=True)
CHOSEN = Table(
    "chosen",
    (
        f.Field("part", f.STRING, "what was chosen", nonempty=True),
        f.Field("value", f.STRING, "the value, as people read it", nonempty=True),
        f.Field("on", pa.bool_(), "whether the part takes part in answers"),
        f.Field("reason", f.STRING, "why, in a sentence", nonempty=True),
    ),
    key=("part",),
    own_words=True,
)


def settings_to_arrow(settings: Mapping[str, Any]) -> pa.Table:
    """The rows (name, value) of settings, in name order. ValueError for numbers that are not finite."""
    names = sorted(settings)
    values = [json.dumps(settings[name], sort_keys=True, allow_nan=False) for name in names]
    return pa.table({"name": pa.array(names, pa.string()), "value": pa.array(values, pa.string())})


def settings_from_arrow(table: pa.Table) -> dict[str, Any]:
    """The inverse of :func:`settings_to_arrow`; CorruptArtifactError for a value that is no JSON."""
    try:
        return {row["name"]: json.loads(row["value"]) for row in table.to_pylist()}
    except ValueError as error:
        raise CorruptArtifactError(f"settings: expected values as JSON, {error}; rebuild the artifact") from None


def chosen_to_arrow(chosen: Iterable[tuple[str, str, bool, str]]) -> pa.Table:
    """The rows (part, value, on, reason) of choices, in their order."""
    rows = list(chosen)
    types = (pa.string(), pa.string(), pa.bool_(), pa.string())
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
    return pa.table(columns, names=["part", "value", "on", "reason"])
