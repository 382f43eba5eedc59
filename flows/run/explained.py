"""The explanation of one setting, or of a section, as `config --explain` prints it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fingerpost.flows.run.console import table_of, wide_console
from fingerpost.flows.run.explanations import Meaning, default_text, meaning_of, meanings, near_keys, sections
from fingerpost.flows.run.plain_text import echo, echo_json, visible
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError

#: The most stages that are named of those that depend on others.
_NAMED = 8
_PATH = ": a path, relative to the folder of its profile"


def explain(
    key: str, request: RunRequest, values: Mapping[str, Any], origins: Mapping[str, str], *, as_json: bool
) -> None:
    """Prints what a setting means; of a section, its settings. SettingsError names the nearest keys for another key."""
    if key in sections() or not key:
        _explain_section(key, values, origins, as_json=as_json)
    elif key in meanings():
        _explain_setting(meaning_of(key), request, values[key], origins.get(key, "default"), as_json=as_json)
    else:
        known = [*meanings(), *sections()]
        raise SettingsError(
            f"{key}: expected a setting or a section, got neither{near_keys(key, known)}; `fingerpost config` lists all"
        )


def _explain_section(key: str, values: Mapping[str, Any], origins: Mapping[str, str], *, as_json: bool) -> None:
    inside = [one for name, one in meanings().items() if name.startswith(f"{key}." if key else "")]
    if as_json:
        echo_json([_plain(one, values[one.key], origins.get(one.key, "default")) for one in inside], default=str)
    else:
        show_section(f"{key}: {sections()[key]}" if key else "", inside, values)


def show_section(heading: str, inside: Sequence[Meaning], values: Mapping[str, Any]) -> None:
    """Prints the settings of a section with their values."""
    table = table_of(visible(heading), "setting", "in force", "what")
    for one in inside:
        table.add_row(one.key, default_text(values[one.key]), one.what)
    wide_console().print(table)


def show_setting(meaning: Meaning, value: Any, origin: str, read_by: Sequence[str]) -> None:
    """Prints what a setting means."""
    console = wide_console()
    console.tell((f"{meaning.key} = {default_text(value)}", "bold"))
    echo(meaning.what)
    table = table_of("", "", "")
    table.show_header = False
    table.add_row("type", f"{meaning.kind}{_PATH if meaning.names_file else ''}")
    table.add_row("allowed", meaning.allowed or "any")
    table.add_row("default", default_text(meaning.default))
    table.add_row("in force", f"{default_text(value)} ({origin})")
    table.add_row("section", f"{meaning.key.rpartition('.')[0] or 'all'}: {meaning.section}")
    table.add_row("read by", ", ".join(f"fingerpost {one}" for one in read_by))
    console.print(table)


def _explain_setting(meaning: Meaning, request: RunRequest, value: Any, origin: str, *, as_json: bool) -> None:
    from fingerpost.flows.run.setting_effects import effect_or_refusal, readers

    read_by = readers(meaning.key)
    if not as_json:
        show_setting(meaning, value, origin, read_by)
    effect, why_not = effect_or_refusal(meaning, value, request)
    if as_json:
        known = {} if effect is None else {"stages": effect.stages, "after": effect.after, "tried": effect.changed}
        echo_json(
            _plain(meaning, value, origin) | {"read_by": read_by, "recomputed": known, "not_planned": why_not},
            default=str,
        )
        return
    if effect is None:
        echo(f"recomputed by a change: not known, since no run can be planned here: {why_not}")
    elif effect.changed is None:
        echo("recomputed by a change: what reads the file, if it is another one" if meaning.names_file else _ANY)
    elif not effect.stages and not effect.after:
        echo(
            f"recomputed by a change: nothing that a nightly of this collection computes (with {default_text(effect.changed)})"
        )
    else:
        rest = len(effect.after) - _NAMED
        after = ", ".join([*effect.after[:_NAMED], *([f"{rest} more"] if rest > 0 else [])])
        then = f", and then {after}" if after else ""
        echo(f"recomputed by a change (to {default_text(effect.changed)}): {', '.join(effect.stages)}{then}")


#: What is said of a setting whose values are for the user to make up.
_ANY = "recomputed by a change: `fingerpost run nightly --set … --dry-run` shows it for your value"


def _plain(meaning: Meaning, value: Any, origin: str) -> dict[str, Any]:
    return {
        "key": meaning.key,
        "what": meaning.what,
        "type": meaning.kind,
        "allowed": meaning.allowed,
        "default": meaning.default,
        "value": value,
        "from": origin,
    }
