"""The base of a refresh: the last full alignment behind the live one."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.domains.kg.steps import steps_of
from fingerpost.flows.domains.kg.training import wants_aligner
from fingerpost.flows.run.rewriting import rewriting
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import CorruptArtifactError, ForeignArtifactError, MissingArtifactError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.store import Store

#: The role of the base's release in a refreshed alignment.
BASE = "base"
#: The roles that a base must have, beside those of a right graph.
_NEEDED = (
    "left",
    "links",
    "left_vectors",
    "left_index",
    "structure",
    "candidates",
    "terms",
    "rivals",
    "labels",
    "baseline",
    "scorer",
    "scores",
    "calibration",
    "matches",
)


class NoBaseError(Exception):
    """No usable base of a refresh, with the reason; the alignment is made fully."""


@dataclass(frozen=True)
class Base:
    """The release of the last full alignment, and its artifacts by role."""

    release: Ref
    members: Mapping[str, Ref]

    def both(self, role: str) -> tuple[Ref, Ref]:
        """The artifacts of a role of both sides ("" for the graphs); within one graph, that of the only one twice."""
        names = (f"{side}_{role}" if role else side for side in ("left", "right"))
        left, right = (self.members.get(name) for name in names)
        assert left is not None  # one of those that a base must have
        return left, right or left


def base_of(run: Run, inputs: Inputs) -> Base:
    """The last full alignment behind the live one; NoBaseError if it is not usable as a base."""
    store, chosen = run.env.store, run.settings.kg.refresh
    if rewriting.get() is not None:
        raise NoBaseError("an earlier version is rewritten without a forgotten key")
    pointer = Pointer(store, run.env.collection, contracts.ALIGNMENT.name)
    live = pointer.live()
    if live is None:
        raise NoBaseError(f"no alignment of {run.env.collection} is live")
    try:
        base = _by_then(_named_by(store, live.artifact), pointer, run.env.day)
        _check_whole(store, base)
    except (CorruptArtifactError, ForeignArtifactError, MissingArtifactError) as problem:
        raise NoBaseError(f"the base of {live.ref} cannot be used: {problem}") from problem
    members = base.members
    if inputs.within != ("right" not in members):
        raise NoBaseError(f"base {base.release}: it is of {'two graphs' if inputs.within else 'one graph'}")
    if all(members[role].identity == ref.identity for role, ref in inputs.roles.items()):
        raise NoBaseError(f"graphs and links are those of the base {base.release}")
    age = (date.fromisoformat(run.env.day) - date.fromisoformat(base.release.day)).days
    if not 0 <= age <= chosen.base_days:
        raise NoBaseError(
            f"base {base.release}: expected one of 0 to {chosen.base_days} days before {run.env.day}, found {age}"
        )
    if why := _otherwise(run, inputs, base):
        raise NoBaseError(f"base {base.release} was made differently: {why}")
    return base


def _by_then(base: Base, pointer: Pointer, day: str) -> Base:
    """The base of the live alignment or, for an earlier day, the newest one behind an earlier version.

    So a day keeps the base that it was refreshed from when a later day is made fully.
    """
    if base.release.day > day:
        for move in reversed(pointer.line()[:-1]):
            with suppress(CorruptArtifactError, ForeignArtifactError, MissingArtifactError):
                earlier = _named_by(pointer.store, move.artifact)
                if earlier.release.day <= day:
                    return earlier
    return base


def _named_by(store: Store, release: Ref) -> Base:
    members = read_members(store, release)
    if BASE in members:
        release = members[BASE]
        members = read_members(store, release)
    needed = [*_NEEDED, *(role.replace("left", "right") for role in _NEEDED if role.startswith("left_"))]
    missing = sorted({role for role in needed if "right" in members or not role.startswith("right")} - set(members))
    if missing:
        raise MissingArtifactError(f"{release}: expected it to name {', '.join(missing)}, found none; align fully")
    return Base(release, members)


def _check_whole(store: Store, base: Base) -> None:
    """CorruptArtifactError or MissingArtifactError where a file of the base is missing or of another size.

    What is read of it is verified when it is read.
    """
    for role, ref in base.members.items():
        if not store.intact(store.manifest(ref)):
            raise CorruptArtifactError(
                f"artifact {ref}: expected its files as {role}, found one missing or of another size"
            )


def _otherwise(run: Run, inputs: Inputs, base: Base) -> str:
    """How a full alignment now would differ from the base's, human-readable; empty if it would not."""
    env, members = run.env, base.members
    wanted = wants_aligner(run, inputs)
    # A plan without the graphs does not know whether they have relations.
    known = all(env.store.has(graph) for graph in inputs.both)
    if known and wanted != ("aligner" in members):
        return f"{'an' if wanted else 'no'} aligner would be trained, the base has {'none' if wanted else 'one'}"
    differences = []
    for role, (stage, parameters) in steps_of(run.settings.kg, members).items():
        why = "forced" if stage.name in env.forced else stage.differs(env, members[role], **parameters)
        if why:
            differences.append(f"{stage.name}: {why}")
    return "; ".join(dict.fromkeys(differences))
