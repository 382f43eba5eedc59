"""What a change of a setting makes a run compute again: the plan of a run as it is, beside that with another value."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.explanations import Meaning, changed_values
from fingerpost.flows.run.flow_names import NIGHTLY
from fingerpost.flows.run.plan import Plan
from fingerpost.flows.run.request import RunRequest
from fingerpost.schemas.errors import FingerpostError, UsageError


@dataclass(frozen=True)
class Effect:
    """Stages by full name that another value changes.

    stages: those that the value itself is a parameter of, or that run for it or no more; after: those that depend on
    these. changed: the value that was tried, None if there is none to try.
    """

    stages: tuple[str, ...]
    after: tuple[str, ...]
    changed: Any = None


def effect_of(meaning: Meaning, value: Any, request: RunRequest, *, flow: str = NIGHTLY) -> Effect:
    """The stages that a flow would compute again with another value of a setting.

    FingerpostError where no plan can be made, for example without an input.
    """
    before = plan_of(flow, request)
    for other in changed_values(meaning, value):
        try:
            after = plan_of(flow, request.model_copy(update={"settings": {**request.settings, meaning.key: other}}))
        except UsageError:
            continue
        return _difference(before, after, other)
    return Effect((), ())


def _difference(before: Plan, after: Plan, changed: Any) -> Effect:
    old, new = ({stage.name: stage for stage in plan.stages} for plan in (before, after))
    moved = [name for name in new if name not in old or old[name].ref != new[name].ref]
    moved_refs = {new[name].ref for name in moved}
    direct = [name for name in moved if not moved_refs & set(new[name].inputs.values())]
    gone = [name for name in old if name not in new]
    rest = [name for name in moved if name not in direct]
    return Effect(tuple(direct + gone), tuple(rest), changed)


def readers(key: str) -> list[str]:
    """The commands that read a setting."""
    section = key.partition(".")[0]
    words = {domain.word for domain in domains.DOMAINS}
    flows = [
        domain.flow_name
        for domain in domains.DOMAINS
        if section not in words or section in {one.word for one in domains.with_needs(domain)}
    ]
    found = [f"run {flow}" for flow in (NIGHTLY, *flows)] + ["partitions", "backfill", "config"]
    found += ["deploy", "freshness"] if section == "schedule" else []
    found += ["promote"] if ".gates." in key or section == "replay" else []
    found += ["replay"] if section == "replay" else []
    return [*found, *_own_commands(section)]


def _own_commands(word: str) -> Iterator[str]:
    """The commands of a domain that read settings: those with the option for a profile."""
    for domain in domains.DOMAINS:
        for command in domain.commands if domain.word == word else ():
            function = named(command)
            marks = getattr(get_type_hints(function, include_extras=True).get("profile"), "__metadata__", ())
            if any("-p" in mark.param_decls for mark in marks):
                name = function.__name__.replace("_", "-")
                yield f"{domain.word} {name}" if domain.command_group else name


def effect_or_refusal(meaning: Meaning, value: Any, request: RunRequest) -> tuple[Effect | None, str]:
    """The effect of a change, or why it is not known."""
    try:
        return effect_of(meaning, value, request), ""
    except FingerpostError as problem:
        return None, " ".join(str(problem).split())
