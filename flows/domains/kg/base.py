"""The base of a refresh: the last full alignment behind the live one."""

from collections.abc import Mapping

from fingerpost.flows.domains.kg.inputs import Inputs
from fingerpost.flows.domains.kg.steps import steps_of
from fingerpost.flows.domains.kg.training import wants_aligner
from fingerpost.flows.run.bases import Base, NoBaseError, base_behind, check_age
from fingerpost.flows.run.runtime import Run
from fingerpost.schemas import kg as contracts
from fingerpost.schemas.errors import CorruptArtifactError
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

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


def of_base(base: Base, role: str) -> tuple[Ref, Ref]:
    """A base's artifacts of a role of both sides ("" for the graphs); within one graph, that of the only one twice."""
    names = (f"{side}_{role}" if role else side for side in ("left", "right"))
    left, right = (base.members.get(name) for name in names)
    assert left is not None  # one of those that a base must have
    return left, right or left


def base_of(run: Run, inputs: Inputs) -> Base:
    """The last full alignment behind the live one; NoBaseError if it is not usable as a base."""
    base = base_behind(run, contracts.ALIGNMENT.name, "alignment", needed=_needed, check=_check_whole)
    members = base.members
    if inputs.within != ("right" not in members):
        raise NoBaseError(f"base {base.release}: it is of {'two graphs' if inputs.within else 'one graph'}")
    if all(members[role].identity == ref.identity for role, ref in inputs.roles.items()):
        raise NoBaseError(f"graphs and links are those of the base {base.release}")
    check_age(run, base, days=run.settings.kg.refresh.base_days)
    if why := _otherwise(run, inputs, base):
        raise NoBaseError(f"base {base.release} was made differently: {why}")
    return base


def _needed(members: Mapping[str, Ref]) -> list[str]:
    """The roles that a base must have; those of the right side only where there are two graphs."""
    right = [role.replace("left", "right") for role in _NEEDED if role.startswith("left_")]
    return [*_NEEDED, *(right if "right" in members else ())]


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
