"""Gates that compare a candidate with the live version."""

from collections.abc import Callable
from dataclasses import dataclass

from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.figures import significant
from fingerpost.schemas.publish import Gate


@dataclass(frozen=True)
class Comparison(Gate):
    """A value of a candidate beside the live version's, and the bound that follows from that.

    kind: "at_least", "at_most" or "exactly". ``unmeasured`` is why one of the two has no value; such a comparison passes, and says so.
    """

    live: float = 0.0
    unmeasured: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value satisfies the bound, or there is nothing to compare."""
        if self.unmeasured:
            return True
        return self.value == self.bound if self.kind == "exactly" else super().holds

    def __str__(self) -> str:
        if self.unmeasured:
            return f"{self.name} unmeasured: {self.unmeasured}"
        value, live, bound = (significant(number) for number in (self.value, self.live, self.bound))
        return f"{self.name} {value}, live {live} ({self.kind.replace('_', ' ')} {bound})"


def fallen(name: str, live: float | None, value: float | None, most: float) -> Comparison:
    """That a value falls by at most the fraction ``most`` of the live one; None where a version has no such value."""
    if live is None or value is None:
        return unmeasured(name, f"{'the live version' if live is None else 'the new version'} has no such figure")
    return Comparison(name, value, live * (1 - most), live=live)


def attempted(name: str, compare: Callable[[], Comparison]) -> Comparison:
    """A comparison, or why it could not be made: an artifact of the live version may be gone, damaged or of before."""
    try:
        return compare()
    except (FingerpostError, KeyError) as problem:
        said = str(problem) if isinstance(problem, FingerpostError) else f"a version lacks {problem}"
        return unmeasured(name, " ".join(said.split()))


def unmeasured(name: str, why: str) -> Comparison:
    """A comparison that could not be made."""
    return Comparison(name, 0.0, 0.0, unmeasured=why)
