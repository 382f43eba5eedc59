"""The sections of the settings that every run has: execution, input, schedule and replay."""

import os
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from fingerpost.flows.run.section import NamesFile, Section
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.inputs.limits import Limits
from fingerpost.schemas.inputs.python_docs import DISTRIBUTIONS
from fingerpost.schemas.refs import checked_day, checked_name


class RunSettings(Section):
    """Where and how a run computes; nothing here changes a result."""

    workers: int = Field(
        default=0, ge=0, le=256, description="number of Dask worker processes; 0 runs everything in this process"
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="number of threads of the graph build; 0 is the number of cores"
    )
    stale_on: str = Field(
        default="",
        pattern="^(versions)?$",
        description="'versions': artifacts of other library versions are recomputed",
    )
    timezone: str = Field(default="UTC", description="time zone whose calendar gives the day of a run")
    cluster: str = Field(
        default="",
        description=(
            "Dask cluster: empty for processes of this machine, an address such as tls://host:8786, or a cluster"
            " class such as dask_kubernetes.operator.KubeCluster"
        ),
    )
    cluster_options: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the cluster class that run.cluster names"
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as problem:
            raise ValueError("expected a time zone such as Europe/Berlin") from problem
        return value


#: Which days of an input a run reads.
DAYS_PATTERN = r"^(snapshot|all|window:[1-9]\d{0,3})$"
DAYS_EXAMPLES = ["snapshot", "all", "window:30"]


class InputSettings(Section):
    """The input: the built-in sample, or a file of documents, under a collection's name."""

    collection: str = Field(default=SAMPLE, description="the name that results are published under")
    source: Annotated[str, NamesFile((SAMPLE,), days="input.days")] = Field(
        default="",
        description=(
            "Parquet, CSV or JSON Lines file (or a Parquet folder), or python-docs (the built-in sample); empty is the"
            " sample in its own collection, and in any other the input that the collection remembers"
        ),
    )
    days: str = Field(
        default="snapshot",
        pattern=DAYS_PATTERN,
        examples=DAYS_EXAMPLES,
        description=(
            "which days of inputs with {day} in their path a run reads: snapshot, its own alone; window:N, the last N"
            " days; all, every day up to its own. The newest row of an id counts; true in a column deleted removes it"
        ),
    )
    missing_days: str = Field(
        default="stored",
        pattern="^(stored|skip|refuse)$",
        description=(
            "a day without a file among those that are read: stored takes its import from the store, if there is one,"
            " and skips it otherwise; skip leaves it out; refuse fails unless its import is in the store"
        ),
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="name of each column here to its name in the file, where they differ"
    )
    sample_queries: tuple[str, ...] = Field(
        default=(
            "return a sorted copy of an array",
            "read a csv file into a dataframe",
            "compute the inverse of a matrix",
            "shortest path in a graph",
        ),
        description="sample queries of the built-in sample, whose answers the report shows",
    )
    vectors: str = Field(
        default="auto",
        pattern="^(auto|given|computed)$",
        description=(
            "auto uses the vectors of the input where every row has one, and computes them from texts otherwise; given"
            " and computed decide. Text queries use the texts, if there are any, in each case"
        ),
    )
    distributions: tuple[str, ...] = Field(
        default=DISTRIBUTIONS, description="packages whose documentation is the built-in sample"
    )
    limits: Limits = Field(
        default=Limits(), description="bounds of the lines, columns and unpacked bytes of all input files"
    )

    @model_validator(mode="before")
    @classmethod
    def _own_sample(cls, values: Any) -> Any:
        """The built-in sample is the input of its own collection, and of no other one that does not name it."""
        if isinstance(values, dict) and not values.get("source") and values.get("collection", SAMPLE) == SAMPLE:
            return {**values, "source": SAMPLE}
        return values

    @field_validator("collection")
    @classmethod
    def _safe(cls, value: str) -> str:
        return checked_name(value, what="collection")


class ScheduleSettings(Section):
    """When the nightly is scheduled, how its runs get their day, its deadline, and the catch-up of missed runs."""

    cron: str = Field(
        default="",
        pattern=r"^(\S+( \S+){4})?$",
        examples=["30 2 * * *"],
        description=(
            "when `deploy` schedules the nightly, in run.timezone, for example 30 2 * * *; empty is the deployments"
            " file's (0 3 * * *)"
        ),
    )
    lag_days: int = Field(
        default=0, ge=0, le=31, description="number of days from the day of a run to the day it is scheduled on"
    )
    deadline: str = Field(
        default="08:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        examples=["08:00"],
        description="local time on the scheduled day after which a missing day is late",
    )
    wait_for_input: bool = Field(
        default=False,
        description="whether scheduled runs wait for the input files of their day where these are late, instead of failing",
    )
    wait_interval: int = Field(
        default=300,
        ge=5,
        le=3600,
        description="seconds between two looks at late input files; files that have not changed for so long are complete",
    )
    wait_until: str = Field(
        default="",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
        examples=["09:30"],
        description=(
            "local time on the scheduled day at which a run stops waiting for its input and fails; empty is"
            " schedule.deadline"
        ),
    )
    wait_marker: Annotated[str, NamesFile()] = Field(
        default="",
        description=(
            "file whose existence says that the input files are complete, with {day} for the day; empty: they are when"
            " they have not changed for schedule.wait_interval"
        ),
    )
    catch_up: str = Field(
        default="latest",
        pattern="^(latest|all|skip)$",
        description="which days missed while the server was down are run: latest, all (up to the cap), skip (none)",
    )
    catch_up_cap: int = Field(
        default=7, ge=1, le=366, description="maximum number of missed days that are run, newest first"
    )


class ReplaySettings(Section):
    """Replay of real queries: a candidate's answers are compared with the live version's before it replaces it."""

    queries: Annotated[str, NamesFile(dated=False)] = Field(
        default="",
        description="file of queries (query; for judged queries also id and grade); empty disables the replay",
    )
    k: int = Field(default=10, ge=1, le=1000, description="number of answers compared per query")
    overlap: float = Field(
        default=0.5, ge=0, le=1, description="minimum mean fraction of the live answers that the candidate gives too"
    )
    judged_drop: float = Field(default=0.02, ge=0, le=1, description="maximum fall of mean nDCG over judged queries")


class CommonSettings(Section):
    """The settings that do not depend on domains; ``fingerpost.flows.domains.settings`` adds a section per domain."""

    profile: str = Field(default="quick", description="name of the profile that the settings were read from")
    store: Annotated[str, NamesFile(dated=False)] = Field(
        default="",
        description=(
            "folder or fsspec URL of the store, without credentials; empty is what FINGERPOST_STORE names, or the nearest"
            " .fingerpost in this or a parent folder"
        ),
    )
    day: str = Field(default="", description="calendar day YYYY-MM-DD of the run; empty is today")
    force: tuple[str, ...] = Field(default=(), description="stages to rerun, with all that depends on them")
    run: RunSettings = RunSettings()
    input: InputSettings = InputSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    replay: ReplaySettings = ReplaySettings()

    @field_validator("day")
    @classmethod
    def _calendar(cls, value: str) -> str:
        return checked_day(value) if value else value

    @property
    def threads(self) -> int:
        """The number of threads of kernels whose results do not depend on it."""
        return self.run.threads or os.cpu_count() or 1
