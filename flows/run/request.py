"""What one asks a flow for: the parameter of every flow, and the form that Prefect's UI shows."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flows.domains.settings import Settings
from flows.run.calendar import logical_day
from flows.run.catalog import stage_names
from flows.run.profiles import file_settings, load_settings, profile_names, read_profile, value_at, with_values
from flows.run.redaction import without_credentials
from flows.run.section import SettingsError
from schemas.store import find_store

#: Stands in an input's path for the day of the run.
DAY = "{day}"

StageName = Annotated[str, Field(json_schema_extra=lambda schema: schema.update(enum=stage_names()))]


class RunRequest(BaseModel):
    """What to run, over which input, for which day. What is left empty is the profile's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    profile: str = Field(
        default="nightly",
        pattern=rf"^({'|'.join(profile_names())}|.+\.toml)$",
        description="quick, nightly, full, tiny, or a TOML file where the flow runs",
    )
    day: str = Field(
        default="",
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="calendar day YYYY-MM-DD the run is for; empty is the day that it is scheduled for",
    )
    input: str = Field(
        default="", description="Parquet, CSV or JSON Lines file of documents; {day} in it stands for the day"
    )
    columns: dict[str, str] = Field(default_factory=dict, description="our column name to the input's")
    collection: str = Field(default="", description="name that results are published under")
    force: tuple[StageName, ...] = Field(default=(), description="stages to run again, with what follows from them")
    store: str = Field(
        default="",
        description="folder or fsspec URL without credentials; empty is what FINGERPOST_STORE names",
        # For the server, which would keep a parameter for good; the validator below is for everyone else.
        json_schema_extra={"pattern": r"^(?!.*://[^/]*@)"},
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="settings by dotted key, for example ann.hnsw.max_neighbors"
    )
    dry_run: bool = Field(default=False, description="say what would run and why, and run nothing")

    @field_validator("store")
    @classmethod
    def _without_credentials(cls, value: str) -> str:
        if without_credentials(value) != value:
            raise ValueError("expected a URL without credentials; give them in the environment of whoever runs it")
        return value

    @classmethod
    def of(cls, **given: Any) -> "RunRequest":
        """A request of what was given; SettingsError in one line where something cannot be used."""
        if "profile" in given:
            # Names what there is; the settings themselves are read once, when the request is resolved.
            read_profile(given["profile"])
        try:
            return cls(**given)
        except ValidationError as problem:
            first = problem.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            got = without_credentials(repr(first.get("input")))
            raise SettingsError(f"{key}: {first['msg']}, got {got}; correct it") from None

    def resolve(self, scheduled: datetime | None = None) -> Settings:
        """The settings in force, store and day included; ``scheduled`` is when the run was to start (aware, default now).

        Raises SettingsError naming the key that cannot be used.
        """
        settings = self.for_any_day()
        day = settings.day or logical_day(
            scheduled or datetime.now(ZoneInfo("UTC")),
            timezone=settings.run.timezone,
            lag_days=settings.schedule.lag_days,
        )
        paths = {path: value_at(settings, path) for path, mark in file_settings().items() if mark.dated}
        dated = {path: value.replace(DAY, day) for path, value in paths.items()}
        return with_values(settings, {**dated, ("day",): day, ("store",): settings.store or find_store()})

    def for_any_day(self) -> Settings:
        """The settings in force, with `DAY` still in the paths; SettingsError names the key that cannot be used."""
        return load_settings(self.profile, overrides=self._overrides())[0]

    def for_day(self, day: str) -> "RunRequest":
        """The same for another day."""
        return self.model_copy(update={"day": day})

    def _overrides(self) -> dict[str, Any]:
        overrides = dict(self.settings)
        if self.input:
            overrides |= {
                "input.source": self.input,
                "input.collection": self.collection or collection_of(self.input),
                "input.columns": self.columns,
            }
        elif self.columns:
            raise SettingsError(
                "columns: expected an input with them, found none; name the file whose columns are mapped"
            )
        if self.collection:
            overrides["input.collection"] = self.collection
        given = {"day": self.day, "store": self.store, "force": self.force}
        return overrides | {key: value for key, value in given.items() if value}


@dataclass(frozen=True)
class ResolvedRequest:
    """A request and the settings that it means, read once."""

    request: RunRequest
    settings: Settings

    @classmethod
    def of(cls, request: RunRequest, *, scheduled: datetime | None = None) -> "ResolvedRequest":
        """The request resolved for the moment at which it was scheduled (aware; default now), its day and store settled."""
        settings = request.resolve(scheduled)
        settled = request.model_copy(update={"day": settings.day, "store": settings.store})
        return cls(settled, settings)


def collection_of(source: str) -> str:
    """The name of a collection made of a file's name, without the day in it."""
    stem = Path(source.replace(DAY, "")).name.split(".")[0].lower()
    return "".join(c if c.isalnum() else "-" for c in stem).strip("-") or "documents"
