"""Sections of the settings, and marks on fields that say what a value names."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from fingerpost.schemas.errors import UsageError


class SettingsError(UsageError):
    """An invalid key or value of the settings."""


class Section(BaseModel):
    """A section of the settings: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class NamesFile:
    """A mark: the value is a path, relative to the folder of its profile; of the store also a URL.

    Where ``dated``, ``{day}`` in it stands for the day of the run. ``builtin`` are values that name no file. ``days`` is
    the dotted setting that says which days of it a run reads; without it, the run's own.
    """

    builtin: tuple[str, ...] = ()
    dated: bool = True
    days: str = ""
