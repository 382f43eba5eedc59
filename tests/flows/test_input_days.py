"""Inputs that are read over several days: what counts, what is computed, and what late, missing and deleted rows do."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.daily import DailyDocuments, DailyEmbeddings, DailyInteractions
from fingerpost.schemas.inputs.forms import ROW_NUMBER
from fingerpost.schemas.inputs.interactions import InteractionFile
from fingerpost.schemas.inputs.stored_days import StoredDay, days_of
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.documents import ImportParams
from fingerpost.tasks.corpus.stages.documents import import_daily_documents
from fingerpost.tasks.environment import Environment
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.metric.stages.inputs import import_daily_embeddings
from fingerpost.tasks.stage import Stage
from fingerpost.tasks.xmr.stages.interactions import import_daily_interactions, import_interactions
from tests.support.daily_news import DAYS, News, of_day, ran
from tests.support.embedding_files import write
from tests.support.shop_rankers import request_for as shop
from tests.unit.metric.worlds import embeddings
from tests.unit.xmr.shop import write_shop

pytestmark = pytest.mark.usefixtures("plain_runs")


#: Two of the rows of day 2 are bad.
LIMITS = {"corpus.imports.quarantine_share": 0.2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> News:
    """Three days of twenty rows, each run; day 2 changes one row of day 1 and withdraws another."""
    news = News(tmp_path_factory.mktemp("made"))
    news.drop(DAYS[0])
    path = news.drop(
        DAYS[1], 20, {"id": f"{DAYS[0]}/3", "text": "corrected"}, {"id": f"{DAYS[0]}/4", "deleted": "true"}
    )
    path.write_text(path.read_text() + ",no id,,,\nx,title,text,kind,perhaps\n")
    news.drop(DAYS[2])
    for day in DAYS[:3]:
        news.run(day, **LIMITS)
    return news


@pytest.fixture
def news(made: News, tmp_path: Path) -> News:
    """The same in a folder of the test's own."""
    return made.copy(tmp_path / "own")


def test_days_add_to_each_other_and_only_the_new_one_is_imported(news: News) -> None:
    _, second, third = reversed(runs(news.store))
    assert ran(second)[:2] == [f"import_daily_documents {DAYS[1]}", "merge_daily_documents"]
    assert ran(third)[:2] == [f"import_daily_documents {DAYS[2]}", "merge_daily_documents"]
    found = news.documents(DAYS[1])
    assert (of_day(found, DAYS[0]), of_day(found, DAYS[1])) == (19, 20)
    assert found[f"{DAYS[0]}/3"] == "corrected"
    assert f"{DAYS[0]}/4" not in found
    assert [of_day(news.documents(DAYS[2]), day) for day in DAYS[:3]] == [19, 20, 20]
    news.drop(DAYS[3], 20, {"id": f"{DAYS[0]}/4", "text": "here again"})
    merge = next(stage for stage in news.plan(DAYS[3], **LIMITS).stages if stage.stage == "merge_daily_documents")
    assert merge.reason == f"new day {DAYS[3]}, no longer read: {DAYS[0]}"
    imports = [name for name in ran(news.run(DAYS[3], **LIMITS)) if name.startswith("import")]
    assert imports == [f"import_daily_documents {DAYS[3]}"]
    # Day 1 has left the window of three; what a later day said of its rows has not.
    found = news.documents(DAYS[3])
    assert [of_day(found, day) for day in DAYS[:4]] == [2, 20, 20, 20]
    assert found[f"{DAYS[0]}/4"] == "here again"
    assert not ran(news.run(DAYS[3], **LIMITS))
    assert [one.state for one in news.states(DAYS[:5], **LIMITS)] == ["fresh"] * 4 + ["missing"]


def test_quarantined_rows_are_counted_for_their_own_day(made: News) -> None:
    assert [one.quarantined for one in made.states(DAYS[:3], **LIMITS)] == [0, 2, 0]
    merged = next(stage for stage in runs(made.store)[0]["stages"] if stage["stage"] == "merge_daily_documents")
    assert merged["quality"]["quarantined"] == 2
    # Of three days of 20 rows, of two more that change day 1, and of the two bad ones.
    assert merged["quality"]["quarantine_share"] == round(2 / 64, 6)


def test_every_imported_day_is_an_input_of_the_merged_documents(made: News) -> None:
    days = days_of(made.store, Ref.parse(runs(made.store)[0]["refs"]["documents"]), "corpus.daily_documents")
    assert [(day, ref.day) for day, ref in days.items()] == [(day, day) for day in DAYS[:3]]


def test_a_snapshot_reads_its_own_day_alone(news: News) -> None:
    record = news.run(DAYS[1], **LIMITS, **{"input.days": "snapshot"})
    assert ran(record)[:2] == ["import_documents", "choose_analyzer"]
    assert of_day(news.documents(DAYS[1]), DAYS[0]) == 1
    assert "import_daily_documents" not in {stage["stage"] for stage in record["stages"]}
    assert any("the column deleted marks" in note for note in record["notes"])
    assert not any("deleted" in note for note in news.run(DAYS[0], **LIMITS, **{"input.days": "snapshot"})["notes"])


def test_a_late_or_changed_file_makes_the_days_after_it_stale_that_read_it(tmp_path: Path) -> None:
    news = News(tmp_path, days="window:2")
    for day in (DAYS[0], DAYS[2], DAYS[3], DAYS[4]):
        news.drop(day)
        news.run(day)
    news.drop(DAYS[1])
    found = news.states(DAYS[:5])
    assert [one.state for one in found] == ["fresh", "missing", "stale", "fresh", "fresh"]
    assert found[2].reason == f"late file of {DAYS[1]}"
    news.run(DAYS[1])  # its import is there now, and day 3 is as stale as before
    assert [(one.state, one.reason) for one in news.states([DAYS[2]])] == [("stale", f"late file of {DAYS[1]}")]
    news.drop(DAYS[3], seed=77)
    found = news.states(DAYS[3:5])
    assert [(one.state, one.reason) for one in found] == [("stale", f"changed file of {DAYS[3]}")] * 2


def test_a_day_without_a_file_is_noted_refused_or_read_from_the_store(tmp_path: Path) -> None:
    news = News(tmp_path, days="all")
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        news.drop(day)
    for day in DAYS[:2]:
        news.run(day)
    (tmp_path / f"news-{DAYS[1]}.csv").unlink()
    notes = " ".join(news.run(DAYS[3])["notes"])
    assert f"no file of {DAYS[2]}" in notes
    assert f"no file any more of {DAYS[1]}" in notes
    assert [of_day(news.documents(DAYS[3]), day) for day in DAYS[:4]] == [20, 20, 0, 20]
    with pytest.raises(InputError, match=DAYS[2]):
        news.run(DAYS[3], **{"input.missing_days": "refuse"})
    news.run(DAYS[3], **{"input.missing_days": "skip"})
    assert [of_day(news.documents(DAYS[3]), day) for day in DAYS[:4]] == [20, 0, 0, 20]
    # Its own day is never left out.
    with pytest.raises(InputError, match=f"news-{DAYS[4]}"):
        news.run(DAYS[4])
    # A day whose file is gone stays what it was.
    assert [one.state for one in news.states(DAYS[:2])] == ["fresh", "fresh"]


def test_the_days_before_the_first_one_are_not_missing(tmp_path: Path) -> None:
    news = News(tmp_path, days="window:30")
    news.drop(DAYS[3])
    assert not [note for note in news.run(DAYS[3])["notes"] if "file" in note]


def test_a_day_that_only_other_days_read_was_never_run(tmp_path: Path) -> None:
    news = News(tmp_path, days="all")
    for day in DAYS[:3]:
        news.drop(day)
    news.run(DAYS[1])
    found = [(one.state, one.reason) for one in news.states(DAYS[:3])]
    assert found == [("missing", "never run"), ("fresh", ""), ("missing", "never run")]


def test_days_are_those_of_one_file_with_all_their_rows(tmp_path: Path) -> None:
    """Several days give what their rows in one file would give, to the bit."""
    daily, whole = News(tmp_path, days="all"), News(tmp_path / "whole", days="snapshot")
    lines = [daily.drop(day).read_text().splitlines() for day in DAYS[:3]]
    whole.folder.mkdir()
    path = whole.folder / f"news-{DAYS[2]}.csv"
    path.write_text("\n".join([lines[0][0], *(line for file in lines for line in file[1:])]) + "\n")
    made = [
        {role: world.store.manifest(Ref.parse(ref)) for role, ref in world.run(DAYS[2])["refs"].items()}
        for world in (daily, whole)
    ]
    for role, manifest in made[0].items():
        assert [entry.sha256 for entry in manifest.files] == [entry.sha256 for entry in made[1][role].files], role


@pytest.mark.parametrize(
    ("source", "settings", "named"),
    [
        ("news.csv", {"input.days": "all"}, "input.days"),
        ("news.csv", {"xmr.input": "clicks.csv", "xmr.days": "window:2"}, "xmr.days"),
        ("news-{day}.csv", {"input.days": "window:0"}, "input.days"),
        ("news-{day}.csv", {"input.days": "weekly"}, "input.days"),
        ("news-{day}.csv", {"input.days": "all", "input.columns": {"id": ROW_NUMBER}}, "input.columns"),
        (
            "news.csv",
            {"metric.input": "faces-{day}.csv", "metric.days": "all", "metric.columns": {"id": ROW_NUMBER}},
            "metric.columns",
        ),
    ],
)
def test_days_that_cannot_be_read_are_refused(source: str, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        RunRequest(
            profile="tiny", input=source, columns=settings.get("input.columns", {}), day=DAYS[0], settings=settings
        ).resolve()


def test_one_setting_is_enough_for_inputs_with_and_without_days() -> None:
    """A catalogue that is one file, and clicks by day."""
    settings = {"input.days": "window:7", "xmr.input": "clicks-{day}.csv", "xmr.labels": "labels-{day}.csv"}
    found = RunRequest(profile="tiny", input="catalogue.csv", day=DAYS[0], settings=settings).resolve()
    assert (found.input.source, found.xmr.input) == ("catalogue.csv", "clicks-{day}.csv")
    assert found.xmr.labels == f"labels-{DAYS[0]}.csv"


def test_interactions_of_days_add_up_and_a_refresh_goes_on_from_them(tmp_path: Path) -> None:
    """Two days give the interactions of one file with both; the third only those of its window."""
    whole = write_shop(tmp_path, rows=300).read_text().splitlines()
    days = [whole[1:101], whole[101:201], whole[201:301]]
    for day, lines in zip(DAYS, days, strict=False):
        (tmp_path / f"clicks-{day}.csv").write_text("\n".join([whole[0], *lines]) + "\n")
    (tmp_path / "interactions.csv").write_text("\n".join([whole[0], *days[0], *days[1]]) + "\n")
    clicks = {"xmr.input": str(tmp_path / "clicks-{day}.csv"), "xmr.days": "window:2", "xmr.refresh.mode": "live"}

    def request(day: str, **settings: object) -> RunRequest:
        return shop(tmp_path, **settings).model_copy(update={"day": day})

    run_flow("train_ranker", request(DAYS[1], **clicks), quiet=True)
    store = Store(str(tmp_path / ".fingerpost"))
    record = runs(store, newest=1)[0]
    merged = store.manifest(Ref.parse(record["refs"]["ranker_interactions"]))
    assert ran(record)[:3] == [*(f"import_daily_interactions {day}" for day in DAYS[:2]), "merge_daily_interactions"]
    stages = {stage.name: stage for stage in plan_of("train_ranker", request(DAYS[2], **clicks)).stages}
    assert [name for name, stage in stages.items() if stage.runs][:2] == [
        f"import_daily_interactions ({DAYS[2]})",
        "merge_daily_interactions",
    ]
    assert stages["merge_daily_interactions"].reason == f"new day {DAYS[2]}, no longer read: {DAYS[0]}"
    assert any(name.startswith("refresh_rankers") for name in stages)
    assert not any(name.startswith("train_rankers") for name in stages)
    # What the merge makes is what one file would.
    env, asked = Environment(store, "shop", DAYS[3]), request(DAYS[3]).resolve()
    file = InteractionFile(asked.xmr.input, asked.xmr.labels)
    single = store.manifest(import_interactions.execute(env, file, params=asked.xmr.interactions))
    assert [entry.sha256 for entry in merged.files] == [entry.sha256 for entry in single.files]


def test_embeddings_of_days_add_up(tmp_path: Path) -> None:
    vectors, labels = embeddings(8, 240, 8, 0)
    ids = [f"face {row}" for row in range(240)]
    for day, rows in ((DAYS[0], slice(0, 120)), (DAYS[1], slice(120, 240))):
        names = [f"person {label}" for label in labels[rows]]
        write(tmp_path / f"faces-{day}.parquet", vectors[rows], ids[rows], names)
    settings = {"input.days": "all", "metric.target.share": 0.05, "metric.opis.draws": 5, "metric.gates.missed": "note"}
    request = RunRequest(
        profile="tiny",
        store=str(tmp_path / "store"),
        day=DAYS[1],
        input=str(tmp_path / "faces-{day}.parquet"),
        collection="faces",
        settings=settings,
    )
    run_flow("tune_thresholds", request, quiet=True)
    record = runs(Store(request.store), newest=1)[0]
    merged = next(stage for stage in record["stages"] if stage["stage"] == "merge_daily_embeddings")
    assert (merged["rows"]["embeddings"], merged["part"]) == (240, "embeddings")
    assert [one.state for one in Partitions("tune_thresholds", request).of([DAYS[1]])] == ["fresh"]
    with pytest.raises(SettingsError, match=r"metric\.kind"):
        plan_of("tune_thresholds", request.model_copy(update={"settings": {**settings, "metric.kind": "images"}}))


def test_vectors_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    for day, size in ((DAYS[0], 3), (DAYS[1], 4)):
        (tmp_path / f"news-{day}.csv").write_text(
            "id,vector\n" + "".join(f'{day}/{row},"{[row + 1.0] * size}"\n' for row in range(9))
        )
    news = News(tmp_path, days="all")
    with pytest.raises(InputError, match=f"3 numbers on {DAYS[0]}, 4 numbers on {DAYS[1]}"):
        news.run(DAYS[1])


@pytest.mark.parametrize(
    ("stage", "source", "text"),
    [
        (import_daily_documents, DailyDocuments, "id,text,deleted\na,x,\nb,y,\nc,,true\n,z,\n"),
        (import_daily_embeddings, DailyEmbeddings, 'id,label,vector,deleted\na,x,"[1,2]",\nb,,,true\n'),
        (import_daily_embeddings, DailyEmbeddings, "id,label,vector,deleted\nb,,,true\n"),
        (import_daily_interactions, DailyInteractions, "query,label,deleted\na,x,\nb,x,1\n"),
    ],
    ids=["documents", "embeddings", "deletions", "interactions"],
)
def test_a_day_whose_file_is_gone_is_imported_again_from_the_store(
    stage: Stage, source: Any, text: str, tmp_path: Path
) -> None:
    """For example by new code, or with another limit; forgotten keys are left out."""
    (tmp_path / "day.csv").write_text(text)
    store = Store(str(tmp_path / "store")).prepare()
    env = Environment(store, "rows", DAYS[0])
    first = stage.execute(env, source(str(tmp_path / "day.csv")), params=ImportParams(quarantine_share=0.5))
    again = StoredDay(store, first, stage.contract, Suppressed.of(["nobody"], b"salt"))
    assert stage.execute(env, again, params=ImportParams(quarantine_share=0.5)) == first
    second = stage.execute(env, again, params=ImportParams(quarantine_share=0.4))
    tables = [[store.open(ref, stage.contract).read(t.name) for t in stage.contract.tables] for ref in (first, second)]
    assert first != second
    assert all(one.equals(other) for one, other in zip(*tables, strict=True))
    without = StoredDay(store, first, stage.contract, Suppressed.of(["a", "b"], b"salt"))
    assert without.identity() != again.identity()
    assert {
        key for table in without.read().__dict__.values() if isinstance(table, pa.Table) for key in _ids(table)
    } <= {
        "c",
        "",
    }


def _ids(table: pa.Table) -> list[str]:
    ids: list[str] = table["id"].to_pylist()
    return ids
