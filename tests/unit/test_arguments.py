"""Words of a command line that begin with a dash, and explanations of settings."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from fingerpost.flows.commands.arguments import with_ids_last
from fingerpost.flows.run.explanations import (
    changed_values,
    documented_fields,
    meaning_of,
    meanings,
    near_keys,
    sections,
)
from fingerpost.flows.run.plan import Plan
from fingerpost.flows.run.profiles import in_force, load_settings
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.setting_effects import effect_of, readers
from fingerpost.schemas.errors import UsageError
from fingerpost.tasks.ledger import PlannedStage

OPTIONS = {"--like": 1, "-k": 1, "--between": 2, "--json": 0, "-y": 0}


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["-7"], ["--", "-7"]),
        (["-7", "-y"], ["-y", "--", "-7"]),
        (["-7", "-k", "-3", "--json"], ["-k", "-3", "--json", "--", "-7"]),
        (["a", "-7", "b"], ["--", "a", "-7", "b"]),
        (["--between", "-1", "-2", "-7"], ["--between", "-1", "-2", "--", "-7"]),
        (["-yk", "5", "-7"], ["-yk", "5", "--", "-7"]),
        (["-k5", "-7"], ["-k5", "--", "-7"]),
        # Values of options are no ids, and what is after -- is as it stands.
        (["--like", "-7"], ["--like", "-7"]),
        (["-k", "-7", "text"], ["-k", "-7", "text"]),
        (["--", "-7", "-y"], ["--", "-7", "-y"]),
        (["--like=x", "-x"], ["--like=x", "-x"]),
    ],
)
def test_ids_may_begin_with_a_dash_and_a_digit(words: list[str], read: list[str]) -> None:
    assert with_ids_last(words, OPTIONS) == read


def test_every_setting_and_section_is_explained() -> None:
    settings, _ = load_settings("quick")
    assert list(meanings()) == list(in_force(settings))
    assert [key for key, one in meanings().items() if not one.what or not one.kind] == []
    assert [key for key, what in sections().items() if not what] == []
    # A text that ends so was cut in two.
    assert [key for key, one in meanings().items() if one.what.endswith(",")] == []


def test_what_is_allowed_is_what_the_settings_check() -> None:
    assert meaning_of("ann.hnsw.max_neighbors").allowed == "2 to 1024"
    assert meaning_of("replay.k").allowed == "at least 1, at most 1000"
    assert meaning_of("input.missing_days").allowed == "stored, skip, refuse"
    assert meaning_of("ann.hnsw.metric").allowed == "l2, ip, cosine"
    assert meaning_of("ann.judged.queries").names_file
    for key, value in (("ann.hnsw.max_neighbors", 1), ("replay.k", 0), ("input.missing_days", "x")):
        with pytest.raises(SettingsError, match=f"^{key} .*expected .*--explain {key}"):
            load_settings("quick", overrides={key: value})


#: Words of the library that checks settings, of patterns, and of a type where the value is of that type.
_FOREIGN = re.compile(r"Input should|String should|instance of|Value error|\\d|\^|expected text, got '")


def _answer(key: str, value: Any) -> str:
    """What a value of a setting is answered with; empty if it is allowed."""
    try:
        load_settings("quick", overrides={key: value})
    except UsageError as refused:
        return str(refused)
    return ""


def test_a_wrong_value_is_answered_in_the_words_of_the_settings() -> None:
    answers = {key: _answer(key, 3) for key in sections()}
    assert all(" (from command line): expected a section of settings (" in said for said in answers.values()), answers
    answers |= {key: _answer(key, [["x"]]) for key, one in meanings().items() if one.kind.startswith("list")}
    answers |= {key: _answer(key, {"a": 1}) for key, one in meanings().items() if one.kind.startswith("table")}
    texts = [key for key, one in meanings().items() if one.kind == "text" and not one.names_file]
    answers |= {key: _answer(key, "?") for key in texts}
    assert [said for said in answers.values() if _FOREIGN.search(said)] == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "run.timezone",
            "Mars",
            "run.timezone (from command line): expected a time zone such as Europe/Berlin, got 'Mars'",
        ),
        (
            "schedule.deadline",
            "8 am",
            "schedule.deadline (from command line): expected text (such as 08:00), got '8 am'",
        ),
        (
            "ann.hnsw",
            3,
            "ann.hnsw (from command line): expected a section of settings (ef_construction, max_neighbors, ",
        ),
        (
            "ann.evaluation.ef",
            [16, "x"],
            "ann.evaluation.ef (from command line): expected a list of whole numbers, got 'x'",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(key: str, value: Any, said: str) -> None:
    assert _answer(key, value).startswith(said)


def test_nearest_keys_of_a_wrong_one() -> None:
    assert near_keys("ann.hnsw.max_neighbor").startswith("; near: ann.hnsw.max_neighbors")
    assert "ann.hnsw.max_neighbors" in near_keys("ann.max_neighbors")
    assert near_keys("qqqq") == ""
    with pytest.raises(SettingsError, match=r"near: replay\.overlap"):
        meaning_of("replay.overlaps")
    with pytest.raises(SettingsError, match=r"expected a known key.*near: ann\.hnsw\.ef_construction"):
        load_settings("quick", overrides={"ann.hnsw.ef_constructions": 3})


@dataclass(frozen=True)
class Outer:
    """What it is.

    left, right: ends of a range, of 0: none. mode: how it is done: fast or
        slow. ValueError for others.

    Something else: not a field.
    """

    left: int = 0
    right: int = 0
    mode: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True)
class Inner(Outer):
    """More of it. extra: one more."""

    extra: int = 0


def test_fields_are_read_from_docstrings() -> None:
    ends = "ends of a range, of 0: none"
    assert documented_fields(Inner) == {
        "extra": "one more",
        "left": ends,
        "right": ends,
        "mode": "how it is done: fast or slow",
    }


def test_effect_is_the_difference_of_two_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan_of(flow: str, request: Any) -> Plan:
        neighbors = int(request.settings.get("ann.hnsw.max_neighbors", 16))
        if neighbors == 17:
            raise SettingsError("17: expected another, got it; choose one")
        graph, alone = f"ann.graph/{neighbors}", "corpus.documents/1"
        stages = [("documents", alone, {}), ("build", graph, {"x": alone}), ("search", f"s/{neighbors}", {"x": graph})]
        return Plan(flow, "c", "d", tuple(PlannedStage(n, ref, True, "", inputs=inputs) for n, ref, inputs in stages))

    class Request:
        def __init__(self, settings: dict[str, Any] | None = None) -> None:
            self.settings = settings or {}

        def model_copy(self, update: dict[str, Any]) -> Any:
            return Request(update["settings"])

    monkeypatch.setattr("fingerpost.flows.run.setting_effects.plan_of", plan_of)
    effect = effect_of(meaning_of("ann.hnsw.max_neighbors"), 16, Request())  # type: ignore[arg-type]
    assert (effect.stages, effect.after, effect.changed) == (("build",), ("search",), 15)
    assert effect_of(meaning_of("ann.graph.file"), "", Request()).changed is None  # type: ignore[arg-type]


def test_changed_values_are_others() -> None:
    for key in ("ann.hnsw.metric", "run.workers", "replay.overlap", "ann.parts.neighbors", "ann.evaluation.ef"):
        one = meaning_of(key)
        others = list(changed_values(one, one.default))
        assert others
        assert one.default not in others


def test_commands_that_read_a_setting() -> None:
    assert {"run nightly", "run align_graphs", "align"} <= set(readers("kg.name"))
    assert "promote" in readers("ann.gates.documents")
    assert "promote" not in readers("ann.hnsw.seed")
    assert "replay" in readers("replay.k")
    assert "deploy" in readers("schedule.cron")
    assert "run train_ranker" not in readers("kg.name")
    assert "tune" not in readers("ann.hnsw.seed")
