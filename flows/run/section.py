"""Sections of the settings, and marks on fields that say what a value names."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from schemas.errors import FingerpostError


class SettingsError(FingerpostError):
    """A key or value that no run can use."""


class Section(BaseModel):
    """A part of the settings: no other keys, and nothing changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class NamesFile:
    """A mark: the value is a path or URL, relative to the folder of the profile that has it; ``{day}`` in it stands for the
    day of the run where ``dated``. ``builtin`` are values that name no file.
    """

    builtin: tuple[str, ...] = ()
    dated: bool = True
