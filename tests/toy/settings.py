"""The section ``toy`` of the settings, and settings that have it."""

from typing import Annotated

from pydantic import Field

from fingerpost.flows.domains.settings import Settings as OwnSettings
from fingerpost.flows.run.section import NamesFile, Section


class GlossaryGates(Section):
    """What a glossary must reach before it becomes live."""

    words: int = Field(default=1, ge=1, description="minimum number of words")
    fall: float = Field(default=0.5, ge=0, le=1, description="maximum fall of the number of words, as a fraction")


class ToySettings(Section):
    """From words to a glossary."""

    input: Annotated[str, NamesFile()] = Field(default="", description="file of words (id, text)")
    gates: GlossaryGates = GlossaryGates()


class Settings(OwnSettings):
    """Everything that a run uses, with the toy's section."""

    toy: ToySettings = ToySettings()
