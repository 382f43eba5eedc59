"""The request of a run: the parameter of every flow, and the form in Prefect's UI."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.run.calendar import logical_day, today
from fingerpost.flows.run.catalog import stage_names
from fingerpost.flows.run.input_days import check_days, several_days
from fingerpost.flows.run.inputs import inputs_named, remembered_settings
from fingerpost.flows.run.profiles import (
    REMEMBERED,
    file_settings,
    in_force,
    load_settings,
    profile_names,
    read_profile,
    value_at,
    with_values,
)
from fingerpost.flows.run.section import SettingsError
from fingerpost.schemas.errors import UnsafeNameError
from fingerpost.schemas.inputs import days
from fingerpost.schemas.refs import checked_day
from fingerpost.schemas.store import find_store
from fingerpost.schemas.urls import has_credentials
from fingerpost.schemas.wording import shown

#: How far the clock of the process that starts a run may be behind the clock of the schedule.
CLOCK_ERROR = timedelta(minutes=5)
#: The placeholder for the day of the run in an input's path.
DAY = days.DAY

#: No name before an "@" after "://", nor a password, which may hold slashes.
_WITHOUT_CREDENTIALS = r"^(?!.*://([^/]*@|[^@]*:.*@))"

StageName = Annotated[str, Field(json_schema_extra=lambda schema: schema.update(enum=stage_names()))]


#: What a request asks of one run alone, as it is where a request stands for any run of its flow.
OF_ANY_RUN: Mapping[str, Any] = {"force": (), "wait": False, "dry_run": False}


class RunRequest(BaseModel):
    """What to run, over which input, for which day. Empty fields take the profile's value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    profile: str = Field(
        default="nightly",
        pattern=rf"^({'|'.join(profile_names())}|.+\.toml)$",
        description="quick, nightly, full, tiny, or a TOML file where the flow runs",
    )
    day: str = Field(
        default="",
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="calendar day YYYY-MM-DD of the run; empty is the day that it is scheduled for",
    )
    future: bool = Field(default=False, description="allow a day that has not begun yet in the profile's time zone")
    input: str = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file of documents; {day} in it stands for the day; empty is what the collection"
            " was run with before"
        ),
        json_schema_extra={"pattern": _WITHOUT_CREDENTIALS},
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="name of each column here to its name in the input"
    )
    collection: str = Field(default="", description="name that results are published under")
    force: tuple[StageName, ...] = Field(default=(), description="stages to rerun, with all that depends on them")
    store: str = Field(
        default="",
        description="folder or fsspec URL without credentials; empty is what FINGERPOST_STORE names",
        # For the server, which stores parameters permanently; the validator below is for everyone else.
        json_schema_extra={"pattern": _WITHOUT_CREDENTIALS},
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="settings by dotted key, for example ann.hnsw.max_neighbors"
    )
    accept_change: str = Field(
        default="",
        description=(
            "why a version that falls far behind the live one is published all the same; kept in the publication's"
            " record; empty keeps it back"
        ),
    )
    wait: bool = Field(
        default=False,
        description=(
            "wait for the input files of the day where they are late, as scheduled runs do with schedule.wait_for_input"
        ),
    )
    dry_run: bool = Field(default=False, description="show what would run and why, without running it")

    @field_validator("accept_change")
    @classmethod
    def _said(cls, value: str) -> str:
        if value and not value.strip():
            raise ValueError("expected a reason for the audit log")
        return " ".join(value.split())

    @field_validator("store", "input")
    @classmethod
    def _without_credentials(cls, value: str) -> str:
        if has_credentials(value):
            raise ValueError("expected a URL without credentials; give them in the environment of whoever runs it")
        return value

    @classmethod
    def of(cls, **fields: Any) -> "RunRequest":
        """A request from its fields; SettingsError in one line for an invalid one."""
        if "profile" in fields:
            # Checks the profile's name; the settings themselves are read once, when the request is resolved.
            read_profile(fields["profile"])
        try:
            return cls(**fields)
        except ValidationError as problem:
            raise invalid(problem, days=("day",)) from None

    def resolve(self, scheduled: datetime | None = None) -> Settings:
        """The settings in force, with store and day; ``scheduled`` is the run's scheduled start (aware, default now).

        SettingsError names an invalid key, or a day to come without ``future``: its version would stay live until then.
        """
        return self.dated(self.for_any_day(), scheduled)

    def dated(self, settings: Settings, scheduled: datetime | None = None) -> Settings:
        """The settings of any day with the day of the run in its paths, and its store."""
        zone = settings.run.timezone
        day = settings.day or logical_day(
            scheduled or datetime.now(UTC), timezone=zone, lag_days=settings.schedule.lag_days
        )
        if not self.future and day > (now := today(zone, clock_error=CLOCK_ERROR)):
            raise SettingsError(
                f"day: expected one up to today ({now} in {zone}), got {day}; correct it, or allow a day to come with"
                " --future (`future` in a request)"
            )
        paths = {path: value_at(settings, path) for path, mark in file_settings().items() if mark.dated}
        # Where the rows of several days are read, the placeholder stays.
        dated = {
            path: value if several_days(settings, ".".join(path)) else value.replace(DAY, day)
            for path, value in paths.items()
        }
        return with_values(settings, {**dated, ("day",): day, ("store",): settings.store or find_store()})

    def for_any_day(self) -> Settings:
        """The settings in force, with `DAY` still in the paths; SettingsError names an invalid key."""
        return self.with_origins()[0]

    def with_origins(self) -> tuple[Settings, dict[str, str]]:
        """The settings for any day, with what the collection remembers, and the origin of each that is no default."""
        settings, origins = load_settings(self.profile, overrides=self._overrides(), remembered=remembered_settings)
        check_days(settings)
        return settings, origins

    def naming(self, settings: Settings, origins: Mapping[str, str]) -> "RunRequest":
        """The request that names what the collection remembers, so that it reads the same later."""
        flat = in_force(settings)
        kept = {key: flat[key] for key, origin in origins.items() if origin == REMEMBERED}
        return self.model_copy(update={"settings": {**kept, **self.settings}}) if kept else self

    def for_day(self, day: str) -> "RunRequest":
        """The request for another day."""
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
        fields = {"day": self.day, "store": self.store, "force": self.force}
        return overrides | {key: value for key, value in fields.items() if value}


@dataclass(frozen=True)
class ResolvedRequest:
    """A request and the settings that it resolves to, read once.

    ``any_day``: the settings with `DAY` in the paths. ``named``: the settings of input files that the user named.
    """

    request: RunRequest
    settings: Settings
    any_day: Settings
    named: frozenset[str]

    @classmethod
    def of(cls, request: RunRequest, *, scheduled: datetime | None = None) -> "ResolvedRequest":
        """The request resolved for its scheduled moment (aware; default now), with day, store and inputs filled in."""
        any_day, origins = request.with_origins()
        settings = request.dated(any_day, scheduled)
        fixed = {"day": settings.day, "store": settings.store}
        if request.profile.endswith(".toml"):
            fixed["profile"] = str(Path(request.profile).absolute())
        settled = request.naming(any_day, origins).model_copy(update=fixed)
        return cls(settled, settings, any_day, inputs_named(origins))


def invalid(problem: ValidationError, *, days: tuple[str, ...]) -> SettingsError:
    """The error of a request's first invalid field, in one line. days: the fields that are calendar days."""
    first = problem.errors()[0]
    key, said, given = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, "), first.get("input")
    if key in days and isinstance(given, str):
        try:
            checked_day(given)
        except UnsafeNameError as wrong:
            return SettingsError(str(wrong))
    got = "one with them" if isinstance(given, str) and has_credentials(given) else shown(given)
    return SettingsError(f"{key}: {said}, got {got}; correct it" if key else said)


def collection_of(source: str) -> str:
    """The name of a collection from a file's name, without the day in it."""
    stem = Path(source.replace(DAY, "")).name.split(".")[0].lower()
    return "".join(c if c.isalnum() else "-" for c in stem).strip("-") or "documents"
