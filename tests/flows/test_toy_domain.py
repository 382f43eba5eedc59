"""A domain written in a test runs, is gated, published, shown, compared, backfilled, found late and forgotten: no shared file
names it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fingerpost.flows import domains
from fingerpost.flows.cli import application
from fingerpost.flows.ops.backfill.progress import begin, check, progress_of, run_to_end
from fingerpost.flows.ops.backfill.record import BackfillRequest
from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.ops.erase.forget import forget
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render
from fingerpost.flows.run.catalog import stages
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.freshness import Deadline, freshness
from fingerpost.flows.run.lineage import ends_of, lineage_of
from fingerpost.flows.run.openlineage import events
from fingerpost.flows.run.page import plots, summary
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.profiles import in_force
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import GateError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import partitions, runs
from tests.toy import TOY
from tests.toy.open import live
from tests.toy.settings import Settings

pytestmark = pytest.mark.usefixtures("toy")

DAYS = ("2026-01-05", "2026-01-06")
KEY, MEANING = "zymurgy", "the chemistry of fermentation processes"
GLOSSARY = "toy.glossary"


@pytest.fixture(scope="module")
def toy() -> Iterator[None]:
    """The toy domain among the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domains, "DOMAINS", (*domains.DOMAINS, TOY))
        patch.setattr(domains.settings, "Settings", Settings)
        yield


def write_words(folder: Path, day: str, words: dict[str, str]) -> None:
    lines = ["id,text", *(f"{key},{text}" for key, text in words.items())]
    (folder / f"words-{day}.csv").write_text("\n".join(lines) + "\n")


def request(folder: Path, day: str = "", **settings: Any) -> RunRequest:
    """The toy's words alone: the documents of the nightly are the same file."""
    return RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day=day,
        input=str(folder / "documents.csv"),
        collection="words",
        settings={"toy.input": str(folder / "words-{day}.csv"), "ann.gates.recall_at_10": 0.1, **settings},
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, drawn_runs: None, toy: None) -> Path:
    """Two nightlies."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "documents.csv").write_text(
        "id,text\n" + "".join(f"d{n},document {n} about topic {n % 5}\n" for n in range(40))
    )
    write_words(folder, DAYS[0], {"apple": "a fruit", KEY: MEANING})
    write_words(folder, DAYS[1], {"apple": "a round fruit", "pear": "another fruit", KEY: MEANING})
    for day in DAYS:
        run_flow("nightly", request(folder, day), quiet=True)
    return folder


def record_of(folder: Path, day: str) -> dict[str, Any]:
    records = runs(Store(str(folder / "store")), newest=9)
    return next(record for record in records if (record["flow"], record["day"]) == ("nightly", day))


def test_it_runs_in_the_nightly_is_gated_and_published(world: Path) -> None:
    store, record = Store(str(world / "store")), record_of(world, DAYS[1])
    assert [stage["stage"] for stage in record["stages"]][-3:] == ["import_words", "measure_words", "release_glossary"]
    assert {"gate": "glossary_words 3 (at_least 1)".replace("_least", " least"), "holds": True} in record["gates"]
    assert Pointer(store, "words", GLOSSARY).required().ref == record["refs"]["toy_glossary"]
    assert live("words", store=store.url) == {"apple": 13, "pear": 13, KEY: len(MEANING)}


def test_its_settings_stages_and_gates_are_known(world: Path) -> None:
    assert {"import_words", "measure_words", "release_glossary"} <= set(stages())
    assert in_force(request(world, DAYS[0]).resolve())["toy.gates.words"] == 1
    with pytest.raises(SettingsError, match=r"toy\.gates\.words"):
        request(world, DAYS[0], **{"toy.gates.words": 0}).resolve()
    plan = plan_of("build_glossary", request(world, DAYS[0]).model_copy(update={"force": ("measure_words",)}))
    assert [stage.stage for stage in plan.runs] == ["measure_words", "release_glossary"]
    with pytest.raises(GateError, match="glossary_words"):
        run_flow("build_glossary", request(world, DAYS[1], **{"toy.gates.words": 9}), quiet=True)


def test_it_is_compared_with_what_is_live(world: Path) -> None:
    recorded = [gate["gate"] for gate in record_of(world, DAYS[1])["gates"] if "against_live" in gate["gate"]]
    assert "words_against_live 3, live 2 (at least 1)" in recorded
    write_words(world, "2026-01-07", {"fig": "a fruit"})
    with pytest.raises(GateError, match=r"words_against_live 1, live 3 \(at least 1\.5\).*stays live"):
        run_flow("build_glossary", request(world, "2026-01-07"), quiet=True)


def test_it_is_skipped_with_its_reason_where_it_has_no_input(world: Path) -> None:
    plan = plan_of("nightly", request(world, DAYS[0], **{"toy.input": ""}))
    assert "No glossary is built: toy.input names no words" in plan.notes
    assert "import_words" not in {stage.stage for stage in plan.stages}


def test_it_is_on_the_report_the_page_of_the_run_and_in_the_lineage(world: Path) -> None:
    store, record = Store(str(world / "store")), record_of(world, DAYS[1])
    page = render(store, record)
    assert "Glossary of 3 words" in page
    contents = gather(store, record)
    drawn = plots(contents)
    assert "Lengths of meanings" in {title for title, _ in drawn}
    assert "Lengths of meanings" in summary(record, contents, drawn)
    ends = {ref.name: ref for ref in ends_of(record)}
    titles = {node.title for node in lineage_of(store, ends[GLOSSARY], record).nodes}
    assert {"toy.words", "toy.lengths", f"words-{DAYS[1]}.csv"} <= titles
    last = list(events(store, record))[-1]
    assert any(GLOSSARY in output["name"] for output in last["outputs"])
    assert any(f"words-{DAYS[1]}.csv" in source["name"] for source in last["inputs"])


def test_two_days_of_it_are_compared(world: Path) -> None:
    store = Store(str(world / "store"))
    sides = [find_version(store, day, collection="words", product=GLOSSARY) for day in DAYS]
    found = diff(store, *sides)
    assert found.kind == "glossary"
    words = next(artifact for artifact in found.artifacts if artifact.role == "words")
    assert {"added": 1, "removed": 0, "changed": 1}.items() <= words.data[0].figures.items()
    assert any(change.key == "glossary_words" for change in found.gates)


def test_two_days_of_it_answer_queries(world: Path, tmp_path: Path) -> None:
    store, between = Store(str(world / "store")), ("--between", *DAYS, "--collection", "words", "--product", GLOSSARY)
    (tmp_path / "queries.csv").write_text("query,id\napple,apple\n")
    asked = ("--queries", str(tmp_path / "queries.csv"), "--candidate", DAYS[1], *between[3:])
    found = json.loads(command("replay", *asked, "--json", store=store))
    assert found["candidate"].startswith(f"{GLOSSARY}/day={DAYS[1]}")
    assert [query["candidate"] for query in found["queries"]] == [["apple", "pear"]]
    moves = {move["id"]: move for move in json.loads(command("why", "apple", *between, "--json", store=store))["moves"]}
    assert (moves["pear"]["before"], moves["pear"]["after"], moves["pear"]["because"]) == (0, 2, "the word is new")
    assert "the word is new" in command("why", "apple", *between, store=store)


def command(*arguments: str, store: Store) -> str:
    """What a command prints."""
    done = CliRunner().invoke(application(), [*arguments, "--store", store.url], env={"COLUMNS": "200"})
    assert done.exit_code == 0, repr(done.exception)
    return done.stdout


def test_its_days_have_states_and_are_backfilled(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("PREFECT_API_URL", "FINGERPOST_STACK_HOME"):
        monkeypatch.delenv(key, raising=False)
    write_words(world, "2026-01-04", {"plum": "a stone fruit"})
    days = Partitions("build_glossary", request(world))
    backfill, chosen = begin(
        BackfillRequest.of(flow="build_glossary", first_day="2026-01-04", last_day="2026-01-04", run=request(world))
    )
    assert [partition.day for partition in chosen] == ["2026-01-04"]
    run_to_end(backfill, lambda end, course: None)
    check(backfill, progress_of(backfill))
    assert [partition.state for partition in days.of(["2026-01-04"])] == ["fresh"]


def test_a_day_of_it_that_is_missing_is_late(world: Path) -> None:
    store = Store(str(world / "store"))
    records = partitions(store, "nightly", "words")
    now = datetime(2026, 1, 7, 9, tzinfo=UTC)
    found = freshness("nightly", "words", Deadline(), records, now=now)
    assert [late.day for late in found.late] == ["2026-01-07"]


def test_its_command_answers(world: Path) -> None:
    outcome = CliRunner().invoke(
        application(), ["define", "pear", "--collection", "words", "--store", str(world / "store")]
    )
    assert outcome.stdout == "13\n"


def test_z_a_word_is_forgotten_with_a_proof(world: Path) -> None:
    store = Store(str(world / "store"))
    outcome = forget(store, KEY, "words")
    assert outcome.clean
    assert outcome.proof["days_made_again"] == list(DAYS)
    assert KEY not in live("words", store=store.url)
    assert live("words", store=store.url)["pear"] == 13
    assert KEY not in (world / f"words-{DAYS[0]}.csv").read_text()
