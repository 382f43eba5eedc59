"""Reading a run's record and artifacts for a section whose parts may fail independently."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fingerpost.flows import domains
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.refs import Ref

T = TypeVar("T")


class Attempts:
    """Reads parts of a page; those that cannot be read are named in ``problems``, each once, and others are shown."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def __call__(self, read: Callable[[], T], otherwise: T) -> T:
        """The result of ``read``, or ``otherwise`` if it raises a FingerpostError."""
        try:
            return read()
        except FingerpostError as problem:
            self.note(str(problem))
            return otherwise

    def note(self, *problems: str) -> None:
        """Adds problems of other parts that are not named yet."""
        self.problems += [problem for problem in dict.fromkeys(problems) if problem not in self.problems]


def stage_of(record: Mapping[str, Any], artifact: str, *, part: str | None = None) -> dict[str, Any] | None:
    """The first stage of a run's record with an artifact of this contract, in ``part`` of the flow if one is given.

    None if there is none.
    """
    of_contract = (stage for stage in record["stages"] if Ref.parse(stage["ref"]).name == artifact)
    return next((stage for stage in of_contract if part in (None, stage.get("part", ""))), None)


def quality_of(record: Mapping[str, Any], artifact: str, *, part: str | None = None) -> dict[str, Any]:
    """The quality metrics of the first stage with an artifact of this contract; empty if there is none."""
    stage = stage_of(record, artifact, part=part)
    return dict(stage["quality"]) if stage else {}


def metrics_of(record: Mapping[str, Any], artifact: str, names: Mapping[str, str]) -> list[tuple[str, float]]:
    """Those of some quality metrics that the last stage with an artifact of this contract has, by their display names."""
    stages = [stage for stage in record["stages"] if Ref.parse(stage["ref"]).name == artifact]
    quality = stages[-1]["quality"] if stages else {}
    values = ((title, quality.get(name)) for name, title in names.items())
    return [(title, float(value)) for title, value in values if isinstance(value, int | float) and math.isfinite(value)]


def without_others(record: Mapping[str, Any], word: str) -> dict[str, Any]:
    """A run's record without stages that other domains than ``word`` run, as theirs, in parts named by their words."""
    others = {domain.word for domain in domains.DOMAINS} - {word}
    stages = [stage for stage in record["stages"] if re.split("[- ]", stage.get("part", ""))[0] not in others]
    return {**record, "stages": stages}
