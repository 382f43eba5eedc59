"""How an index is searched: in which form its vectors are compared, and with what help.

A plan says what a search does, not how wide it is: the width belongs to the recall that is wanted
(:mod:`fingerpost.tasks.ann.certificate`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

#: plain: float32 vectors and graph alone. fast: for speed, at most 2.2 times that memory. compact: at most 0.6 times.
Profile = Literal["plain", "fast", "compact"]
#: none: float32. integers: whole numbers of 8 bits, without loss. bits8, bits4: scalar codes after a random rotation.
Codes = Literal["none", "integers", "bits8", "bits4"]


@dataclass(frozen=True)
class SearchPlan:
    """How an index is searched.

    profile: what the plan is for. codes: the form of the vectors that candidates are found by. finger: whether FINGER's
    estimates order them, which it makes of float32 vectors alone. reordered: whether rows that are neighbours lie side by
    side in memory. ValueError for values that do not exist or do not go together.
    """

    profile: Profile = "plain"
    codes: Codes = "none"
    finger: bool = False
    reordered: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("profile", self.profile, get_args(Profile)),
            ("codes", self.codes, get_args(Codes)),
        ):
            if value not in known:
                raise ValueError(f"plan {name}: expected one of {', '.join(known)}, got {value!r}; choose one of them")
        if self.profile == "plain" and (self.codes != "none" or self.finger or self.reordered):
            raise ValueError(
                f"plan: expected no codes, FINGER or other order under profile plain, got {self.name}; choose fast or"
                " compact"
            )
        if self.finger and (self.codes != "none" or self.reordered):
            raise ValueError(f"plan: expected no codes and no other order with FINGER, got {self.name}; choose either")
        if self.profile == "compact" and self.codes == "none":
            raise ValueError(
                "plan codes: expected integers, bits8 or bits4 under profile compact, got none; choose one"
            )

    @property
    def name(self) -> str:
        """A short name for tables and legends, such as ``"fast integers"`` or ``"plain"``; no two plans share it."""
        parts: list[str] = [self.profile]
        if self.codes != "none":
            parts.append(self.codes)
        if self.finger:
            parts.append("finger")
        if self.reordered:
            parts.append("reordered")
        return " ".join(parts)

    @property
    def parts(self) -> int:
        """How many things it adds to plain search; of equally fast plans, the one with the fewest is the best."""
        return (self.codes != "none") + self.finger + self.reordered

    def settings(self) -> dict[str, Any]:
        """The fields by name, as they are stored; :meth:`of` is the inverse."""
        return asdict(self)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The plan of stored settings, of which others may be beside; ValueError for values that do not exist."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known})


#: Plain search, which every certificate is compared with.
PLAIN = SearchPlan()


def plans_to_try(
    profile: Profile, *, codes: tuple[Codes, ...], finger: bool, reordered: bool
) -> tuple[SearchPlan, ...]:
    """The plans of a profile that the available parts allow, the simplest first, after plain search.

    codes: the codes that were fitted. finger: whether FINGER's tables were made. reordered: whether the order is tried.
    """
    if profile == "plain":
        return (PLAIN,)
    kinds: tuple[Codes, ...] = tuple(kind for kind in codes if kind != "none")
    if profile == "fast":
        kinds = ("none", *kinds)
    found = [
        SearchPlan(profile, kind, finger=screened, reordered=order)
        for kind in kinds
        for screened in ((False, True) if finger and kind == "none" else (False,))
        for order in ((False, True) if reordered and not screened else (False,))
    ]
    return (PLAIN, *sorted(dict.fromkeys(found), key=lambda plan: plan.parts))
