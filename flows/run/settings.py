"""The sections of the settings that every run has: where it computes, what it reads, when it is scheduled, what is replayed."""

import os
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from flows.run.section import NamesFile, Section
from schemas.inputs import SAMPLE
from schemas.inputs.python_docs import DISTRIBUTIONS
from schemas.refs import checked_day, checked_name


class RunSettings(Section):
    """Where and how a run computes; nothing here changes a result."""

    workers: int = Field(
        default=0, ge=0, le=256, description="Dask worker processes; 0 runs everything in this process"
    )
    threads: int = Field(default=0, ge=0, le=256, description="threads of the graph build; 0 takes the number of cores")
    stale_on: str = Field(
        default="",
        pattern="^(versions)?$",
        description="'versions': what other library versions made is computed again",
    )
    timezone: str = Field(default="UTC", description="the time zone whose calendar gives the day")
    cluster: str = Field(
        default="",
        description=(
            "where Dask runs: empty for processes of this machine, an address such as tls://host:8786, or a cluster"
            " class such as dask_kubernetes.operator.KubeCluster"
        ),
    )
    cluster_options: dict[str, Any] = Field(default_factory=dict, description="what such a class is called with")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as problem:
            raise ValueError("expected a time zone such as Europe/Berlin") from problem
        return value


class InputSettings(Section):
    """What is read: the built-in sample, or a file of documents under a collection's name."""

    collection: str = Field(default=SAMPLE, description="the name that results are published under")
    source: Annotated[str, NamesFile((SAMPLE,))] = Field(
        default=SAMPLE,
        description="python-docs, or a Parquet, CSV or JSON Lines file (or folder of Parquet files)",
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="our column name to the file's, where they differ"
    )
    sample_queries: tuple[str, ...] = Field(
        default=(
            "return a sorted copy of an array",
            "read a csv file into a dataframe",
            "compute the inverse of a matrix",
            "shortest path in a graph",
        ),
        description="queries of the built-in sample whose answers the report shows",
    )
    vectors: str = Field(
        default="auto",
        pattern="^(auto|given|computed)$",
        description="auto computes vectors from texts where there are any, given takes those of the input",
    )
    distributions: tuple[str, ...] = Field(default=DISTRIBUTIONS, description="the packages of the built-in sample")

    @field_validator("collection")
    @classmethod
    def _safe(cls, value: str) -> str:
        return checked_name(value, what="collection")


class ScheduleSettings(Section):
    """When the flows run by themselves, and by when their day must be there."""

    lag_days: int = Field(
        default=0, ge=0, le=31, description="days from the day that a run is for to the day it is scheduled on"
    )
    deadline: str = Field(
        default="08:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="local time on the scheduled day after which a missing day is late",
    )
    catch_up: str = Field(
        default="latest",
        pattern="^(latest|all|skip)$",
        description="which of the days missed while the server was down are run: the latest, all up to the cap, none",
    )
    catch_up_cap: int = Field(default=7, ge=1, le=366, description="at most so many missed days, the newest")


class ReplaySettings(Section):
    """Real queries that a candidate answers compared with the live version before it replaces it."""

    queries: Annotated[str, NamesFile(dated=False)] = Field(
        default="", description="file of queries (query, and if there are any: id, grade); empty is off"
    )
    k: int = Field(default=10, ge=1, le=1000, description="answers compared for each query")
    overlap: float = Field(default=0.5, ge=0, le=1, description="minimum mean fraction of the live answers that stay")
    judged_drop: float = Field(default=0.02, ge=0, le=1, description="maximum fall of nDCG over judged answers")


class CommonSettings(Section):
    """What a run uses whatever its domains are; ``flows.domains.settings`` adds a section per domain."""

    profile: str = "quick"
    store: Annotated[str, NamesFile(dated=False)] = ""
    day: str = Field(default="", description="the calendar day the run is for; empty is today")
    force: tuple[str, ...] = Field(default=(), description="stages to run again, with what follows from them")
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
        """The threads of kernels whose results do not depend on them."""
        return self.run.threads or os.cpu_count() or 1
