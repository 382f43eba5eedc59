"""The base of a refresh: the release of the last full training behind the live version of a product."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from fingerpost.flows.run.rewriting import rewriting
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store

#: The role of the base's release in a refreshed release.
BASE = "base"

#: The roles that members of a base must have.
Needed = Callable[[Mapping[str, Ref]], Iterable[str]]


class NoBaseError(Exception):
    """No usable base of a refresh, with the reason; everything is trained fully."""


@dataclass(frozen=True)
class Base:
    """The release of the last full training, and its artifacts by role."""

    release: Ref
    members: Mapping[str, Ref]


def base_behind(run: Run, product: str, title: str, *, needed: Needed, check: Callable[[Store, Base], None]) -> Base:
    """The last full training behind what is live of a product, by the name of its contract.

    check: raises where the base's artifacts are not what they were. NoBaseError if there is no usable base.
    """
    if rewriting.get() is not None:
        raise NoBaseError("an earlier version is rewritten without a forgotten key")
    pointer = Pointer(run.env.store, run.env.collection, product)
    live = pointer.live()
    if live is None:
        raise NoBaseError(f"no {title} of {run.env.collection} is live")
    try:
        base = _by_then(_named_by(pointer.store, live.artifact, needed), pointer, run.env.day, needed)
        check(pointer.store, base)
    except (CorruptArtifactError, ForeignArtifactError, MissingArtifactError) as problem:
        raise NoBaseError(f"the base of {live.ref} cannot be used: {problem}") from problem
    return base


def check_age(run: Run, base: Base, *, days: int) -> None:
    """NoBaseError for a base of a later day than the run's, or of more than ``days`` before it."""
    age = (date.fromisoformat(run.env.day) - date.fromisoformat(base.release.day)).days
    if not 0 <= age <= days:
        raise NoBaseError(f"base {base.release}: expected one of 0 to {days} days before {run.env.day}, found {age}")


def _by_then(base: Base, pointer: Pointer, day: str, needed: Needed) -> Base:
    """The base of the live version or, for an earlier day, the newest one behind an earlier version.

    So a day keeps the base that it was refreshed from when a later day trains fully.
    """
    if base.release.day > day:
        for move in reversed(pointer.line()[:-1]):
            with suppress(CorruptArtifactError, ForeignArtifactError, MissingArtifactError):
                earlier = _named_by(pointer.store, move.artifact, needed)
                if earlier.release.day <= day:
                    return earlier
    return base


def _named_by(store: Store, release: Ref, needed: Needed) -> Base:
    members = read_members(store, release)
    if BASE in members:
        release = members[BASE]
        members = read_members(store, release)
    missing = sorted(set(needed(members)) - set(members))
    if missing:
        raise MissingArtifactError(f"{release}: expected it to name {', '.join(missing)}, found none; train it again")
    return Base(release, members)
