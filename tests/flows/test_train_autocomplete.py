"""Completers day by day: what is published and refused, what changes between days, and what is nowhere in clear."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from fingerpost.flows.domains.autocomplete.sources import skipped
from fingerpost.flows.ops.backfill.progress import begin, run_to_end
from fingerpost.flows.ops.backfill.record import BackfillRequest
from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import GateError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.autocomplete.open import PRODUCT, LiveCompleter, live
from fingerpost.tasks.ledger import partition, runs
from tests.support.commands import fingerpost_here
from tests.support.query_logs import ADDRESS, DAYS, GONE, KEYS, LONE, NEW, PATHS, Log, clear, write_log
from tests.support.report_pages import Page

pytestmark = pytest.mark.usefixtures("plain_runs")

FLOW = "train_autocomplete"
#: Queries without any before them, and the number of their users; one of a single user.
POPULAR = {"weather": 9, "maps": 7, "weather radar": 5, "東京 天気": 3, "webcam of my house": 1}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Log:
    """A nightly of each of three daily snapshots."""
    found = write_log(tmp_path_factory.mktemp("log"))
    for day in DAYS:
        run_flow("nightly", found.nightly(day), quiet=True)
    return found


@pytest.fixture(scope="module")
def completer(log: Log) -> LiveCompleter:
    """What is live after the third day."""
    return live("shop", store=log.store.url)


def shown(completer: LiveCompleter, previous: list[str], prefix: str, k: int = 10) -> list[str]:
    return [suggestion.query for suggestion in completer.complete(previous, prefix, k=k)]


def test_a_nightly_publishes_a_completer_that_knows_what_came_before(log: Log, completer: LiveCompleter) -> None:
    move = Pointer(log.store, "shop", PRODUCT).required()
    assert {gate["name"] for gate in move.gates} >= {
        "completer_suggestions",
        "completer_least_users",
        "quarantine_share",
        "completer_tested",
        "completer_mrr_over_popularity",
        "suggestions_against_live",
        "completer_mrr_against_live",
    }
    for path in PATHS:
        for before, after in pairwise(path):
            assert shown(completer, [before], "", k=1) == [after]
    assert shown(completer, ["hiking boots"], "w")[0] == "waterproof hiking boots"
    assert all(name.startswith("t") for name in shown(completer, [], "T"))
    quality = log.store.manifest(move.artifact).quality
    assert quality["mrr"] > quality["popularity_mrr"] > 0
    assert quality["least_users"] >= 2
    assert quality["trained"] == quality["sessions"]
    record = runs(log.store, newest=1)[0]
    (evaluated,) = (stage for stage in record["stages"] if stage["stage"] == "evaluate_completer")
    times = evaluated["measured"]["completer"]
    assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"]
    report = Page((log.folder / "store" / "reports" / f"{record['id']}.html").read_text())
    assert "ms p50" in report.text("completing")
    assert len(report.text("completing")) > 500


def test_what_one_user_asked_and_what_looks_like_an_address_is_never_suggested(completer: LiveCompleter) -> None:
    everything = {name for path in (*PATHS, NEW) for name in path}
    assert shown(completer, [], LONE[:4]) == []
    assert shown(completer, [], ADDRESS[:4]) == []
    assert {name.lower() for name in shown(completer, [LONE], "", k=1000)} <= everything
    assert {name.lower() for name in shown(completer, [], "", k=1000)} == everything


def test_no_key_of_a_user_or_session_is_in_any_byte_of_a_store(log: Log) -> None:
    """Nor in a report, a log or the quarantine; a text of one user is in the events and what is cut of them alone."""
    assert [*clear(log.folder / "store", KEYS)] == []
    lone = {path.split("/")[0] for _, path in clear(log.folder / "store", [LONE])}
    assert lone == {"autocomplete.events", "autocomplete.sessions"}
    # The search finds what is there.
    assert [*clear(log.folder / "store", ["waterproof hiking boots"])]


def test_the_diff_of_two_days_names_suggestions_that_appeared_and_vanished(log: Log) -> None:
    first, second, third = (find_version(log.store, f"live~{back}", product=PRODUCT) for back in (2, 1, 0))
    for sides, word, names in (((first, second), "appeared", NEW), ((second, third), "vanished", GONE)):
        found = diff(log.store, *sides)
        (change,) = (
            change
            for artifact in found.artifacts
            if artifact.role == "final_suggestions"
            for change in artifact.data
            if change.about == "suggestions"
        )
        assert change.figures[word] == len(names)
        (line,) = (example for example in change.examples if example.startswith(word))
        assert all(name in line.lower() for name in names)
    where = ("--product", PRODUCT, "--store", log.store.url, "--collection", "shop")
    said = fingerpost_here("diff", "live~1", "live", *where, cwd=log.folder)
    assert GONE[0] in said.stdout.lower(), said.stderr


def test_a_backfill_over_the_days_makes_the_same_completers(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("store"))
    again = Log(tmp_path)
    request = BackfillRequest.of(
        flow=FLOW, first_day=DAYS[0], last_day=DAYS[-1], run=again.request().model_copy(update={"day": ""})
    )
    found, chosen = begin(request)
    assert [one.state for one in chosen] == ["missing"] * 3
    run_to_end(found, lambda end, course: None)
    assert [one.state for one in Partitions(FLOW, again.request()).of(DAYS)] == ["fresh"] * 3
    # Another store has another salt, and other hashes of users; what is made of them is the same.
    for role in ("events", "final_suggestions"):
        refs = [
            [Ref.parse(partition(one.store, flow, "shop", day)["refs"][f"completer_{role}"]) for day in DAYS]
            for one, flow in ((log, "nightly"), (again, FLOW))
        ]
        assert refs[0] == refs[1]
        files = [[one.store.manifest(ref).files for ref in part] for one, part in zip((log, again), refs, strict=True)]
        assert (files[0] == files[1]) == (role != "events")
    live_refs = [Pointer(one.store, "shop", PRODUCT).required().ref for one in (log, again)]
    assert live_refs[0] == live_refs[1]


def test_what_did_not_change_is_reused_and_a_change_says_why(log: Log) -> None:
    run_flow("nightly", log.nightly(DAYS[-1]), quiet=True)
    assert not [stage for stage in runs(log.store, newest=1)[0]["stages"] if stage["computed"]]
    plan = plan_of("nightly", log.nightly(DAYS[-1], **{"autocomplete.suggestions.min_users": 3}))
    reasons = {stage.stage: stage.reason for stage in plan.stages if stage.runs}
    assert reasons["select_suggestions"] == "parameters changed (params.min_users)"
    assert not {"import_events", "cut_sessions"} & set(reasons)


def test_a_suggestion_of_one_user_is_refused_whatever_the_minimum_is(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("store"))
    one = Log(tmp_path)
    alone = {"autocomplete.suggestions.min_users": 1, "autocomplete.final": "training"}
    with pytest.raises(GateError, match="completer_least_users 1 "):
        run_flow(FLOW, one.request(**alone), quiet=True)
    assert Pointer(one.store, "shop", PRODUCT).live() is None


def test_a_nightly_without_events_says_so(log: Log) -> None:
    settings = log.nightly(**{"autocomplete.input": ""}).resolve()
    assert skipped(settings) == "No completer is trained: autocomplete.input names no events"
    settings = log.nightly(**{"autocomplete.input": "python-calls"}).resolve()
    assert skipped(settings).startswith("No completer is trained: autocomplete.input is python-calls, which requires")


def test_a_log_of_single_queries_is_completed_by_popularity(tmp_path: Path) -> None:
    rows = [f"{query} {user},2026-03-01T10:00:00Z,{query}" for query, most in POPULAR.items() for user in range(most)]
    (tmp_path / "single.csv").write_text("\n".join(["user,time,query", *rows]) + "\n")
    asked = Log(tmp_path).request(**{"autocomplete.sessions.minimum_length": 1})
    run_flow(FLOW, asked.model_copy(update={"input": str(tmp_path / "single.csv")}), quiet=True)
    store = Log(tmp_path).store
    (record,) = runs(store)
    assert "train_rankers" not in {stage["stage"] for stage in record["stages"]}
    assert any("is not measured" in note for note in record["notes"])
    completer = live("shop", store=store.url)
    assert shown(completer, [], "") == ["weather", "maps", "weather radar", "東京 天気"]
    assert shown(completer, ["maps"], "We") == ["weather", "weather radar"]
    assert shown(completer, [], "東") == ["東京 天気"]
