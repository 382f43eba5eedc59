"""The causes of a difference: stages whose own parameters, code or input data differ, first causes first.

Imports no Prefect.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fingerpost.flows import domains
from fingerpost.schemas.figures import significant
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.refs import Ref, changed_keys, same_kind
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs


@dataclass(frozen=True)
class Change:
    """A dotted key and its two values, None for a missing one; ``difference`` is set for numbers."""

    key: str
    before: Any
    after: Any
    difference: float | None = None


@dataclass(frozen=True)
class Cause:
    """The differences in how an artifact was made, without those of its inputs."""

    artifact: str
    stage: str
    parameters: list[Change] = field(default_factory=list)
    code: list[Change] = field(default_factory=list)
    data: list[Change] = field(default_factory=list)
    other: list[Change] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """The kinds of the cause: data, parameters, code, other."""
        return [kind for kind in ("data", "parameters", "code", "other") if getattr(self, kind)]

    def __str__(self) -> str:
        where = f"{self.stage} ({self.artifact})" if self.stage else self.artifact
        parts = []
        if self.data:
            parts.append(f"input data of {where}")
        if self.parameters:
            some = ", ".join(f"{c.key} {shown(c.before)} → {shown(c.after)}" for c in self.parameters[:4])
            parts.append(f"parameters of {where}: {some}{_more(self.parameters)}")
        if self.code:
            parts.append(f"code of {where}")
        parts += [f"{c.key} of {where}: {shown(c.before)} → {shown(c.after)}" for c in self.other]
        return "; ".join(parts)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The dotted keys that differ between two nested mappings, sorted."""
    return [Change(key, *pair, difference_of(*pair)) for key, pair in _pairs(before, after).items()]


def difference_of(before: Any, after: Any) -> float | None:
    """The difference ``after - before`` of two numbers."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, after))
    return round(float(after) - float(before), 9) if numbers else None


def shown(value: Any) -> str:
    """A value as text for a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return significant(value, 6)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:79]}…"


def lineage(store: Store, ref: Ref) -> dict[str, tuple[Ref, Manifest]]:
    """An artifact and everything that it was made from, by name, inputs first.

    A second artifact of the same name has its role in the key, and from the third on a number; an imported day of an
    input that is read over several has its day.
    """
    found: dict[str, tuple[Ref, Manifest]] = {}
    days = domains.day_artifacts()

    def visit(here: Ref, role: str) -> None:
        # An artifact carried over to a later day is made from the earlier day's artifacts, which are the same.
        if any(known.identity == here.identity for known, _ in found.values()):
            return
        manifest = store.manifest(here)
        for name, given in sorted(manifest.identity["inputs"].items()):
            if "ref" in given:
                visit(Ref.parse(given["ref"]), name)
        name, number = f"{here.name} ({here.day})" if here.name in days else here.name, 1
        while name in found:
            name, number = f"{here.name} ({role}{f' {number}' if number > 1 else ''})", number + 1
        found[name] = here, manifest

    visit(ref, ref.name)
    return found


def causes(store: Store, before: Ref, after: Ref) -> list[Cause]:
    """Every artifact in the lineage of two versions that differs by itself, in the order in which they were made."""
    left, right = lineage(store, before), lineage(store, after)
    left = {_named_now(name, left[name][0], right): made for name, made in left.items()}
    stages = stage_names(store)
    order = [*right, *(name for name in left if name not in right)]
    found = (
        cause_of(
            name,
            left[name][1] if name in left else None,
            right[name][1] if name in right else None,
            stage_of(stages, (right if name in right else left)[name][0]),
        )
        for name in order
    )
    return [cause for cause in found if cause.kinds]


def _named_now(name: str, ref: Ref, others: Mapping[str, tuple[Ref, Manifest]]) -> str:
    """The key of an artifact in another lineage, in which its contract may have another name."""
    if name in others:
        return name
    role = name.removeprefix(ref.name)
    renamed = (other.name + role for other, _ in others.values() if same_kind(other.name, ref.name))
    return next((other for other in renamed if other in others), name)


def cause_of(name: str, before: Manifest | None, after: Manifest | None, stage: str = "") -> Cause:
    """The differences in how one artifact was made."""
    if before is None or after is None:
        here = Change("presence", "there" if before else None, "there" if after else None)
        of_day = name.partition(" (")[0] in domains.day_artifacts()
        return Cause(name, stage, data=[here]) if of_day else Cause(name, stage, other=[here])
    old, new = before.identity, after.identity
    code = [Change("code", old["code"], new["code"])] if old["code"] != new["code"] else []
    data = [Change(key, *pair) for key, pair in _pairs(_sources(old), _sources(new)).items()]
    other = changes({"contract": old["contract"]}, {"contract": new["contract"]})
    parameters = changes(old["parameters"], new["parameters"])
    same = old["input_identities"] == new["input_identities"] and not (code or data or other or parameters)
    if same and before.digest != after.digest:
        other = [Change("content", before.digest[:12], after.digest[:12])]
    return Cause(name, stage, parameters, code, data, other)


def stage_names(store: Store) -> dict[str, str]:
    """The stage of each kind of artifact, and of each artifact (by identity), by the records of the newest runs."""
    found: dict[str, str] = {}
    for made in (made for record in reversed(runs(store, newest=30)) for made in record["stages"]):
        ref = Ref.parse(made["ref"])
        found |= {ref.name: made["stage"], ref.identity: made["stage"]}
    return found


def stage_of(stages: Mapping[str, str], ref: Ref) -> str:
    """The stage that makes an artifact, by :func:`stage_names`; empty if none of the newest runs did."""
    return stages.get(ref.identity, stages.get(ref.name, ""))


def _sources(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given["source"] for name, given in identity["inputs"].items() if "source" in given}


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (_at(before, key), _at(after, key)) for key in changed_keys(before, after)}


def _at(tree: Any, dotted: str) -> Any:
    """The value at a dotted key; keys may contain dots themselves."""
    if not isinstance(tree, Mapping):
        return None
    if dotted in tree:
        return tree[dotted]
    for key in tree:
        if dotted.startswith(f"{key}.") and (found := _at(tree[key], dotted[len(key) + 1 :])) is not None:
            return found
    return None


def _more(items: list[Change]) -> str:
    return f" and {len(items) - 4} more" if len(items) > 4 else ""
