"""Indexes over several days: what keeps their days, names them, compares them and forgets in them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fingerpost.flows.domains.ann.why import why
from fingerpost.flows.ops.compare.causes import causes
from fingerpost.flows.ops.compare.changes import data_changes
from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.ops.keep.gc import collect
from fingerpost.flows.ops.watch.metrics import registry
from fingerpost.flows.report.page import render
from fingerpost.flows.run.lineage import as_tree, lineage_of
from fingerpost.flows.run.openlineage import events
from fingerpost.schemas.errors import InputError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.tasks.ann.open import PRODUCT, live
from fingerpost.tasks.ledger import runs
from tests.support.daily_news import DAYS, News, of_day, ran

pytestmark = pytest.mark.usefixtures("plain_runs")

KEY = "customer-letter-77"
WORDS = ("Quixelbrandt", "mirabolanthe", "zwetschgenknoedel")
LETTER = {"id": KEY, "title": f"Letter of {WORDS[0]}", "text": f"{WORDS[1]} wants money.\n\nSincerely, {WORDS[2]}."}
SETTINGS = {
    "ann.gates.recall_at_10": 0.3,
    "corpus.svd.rank": 8,
    "ann.retrieval.items.queries": 3,
    "ann.evaluation.queries": 10,
}


class Index(News):
    """News whose last two days are in an index."""

    def request(self, **settings: object):  # type: ignore[no-untyped-def]
        return super().request(**{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Index:
    """Three days; a letter is in the second one, a row without an id in the last two."""
    index = Index(tmp_path_factory.mktemp("days"), days="window:2", flow="build_ann_index")
    for day in DAYS[:3]:
        index.drop(day, 30, *([LETTER] if day == DAYS[1] else []), *([{"text": "no id"}] if day >= DAYS[1] else []))
        index.run(day)
    return index


@pytest.fixture
def index(made: Index, tmp_path: Path) -> Index:
    """The same in a folder of the test's own, which the records of the runs name."""
    copied = made.copy(tmp_path / "own")
    for record in [*copied.folder.glob("store/.runs/*.json"), *copied.folder.glob("store/.partitions/**/*.json")]:
        record.write_text(record.read_text().replace(str(made.folder), str(copied.folder)))
    return Index(copied.folder, copied.days, copied.flow)


def imports(index: Index) -> list[str]:
    return [ref.day for ref in index.store.refs("corpus.daily_documents")]


def collected(index: Index) -> None:
    """The store after a collection of garbage that keeps what is live alone."""
    collect(index.store, keep_days=0, keep_rollbacks=0, now=datetime.now(UTC) + timedelta(days=100))


def test_days_that_a_live_window_needs_are_kept_and_read_when_their_files_are_gone(index: Index) -> None:
    collected(index)
    assert imports(index) == DAYS[1:3]
    for day in DAYS[:3]:
        (index.folder / f"news-{day}.csv").unlink()
    index.drop(DAYS[3], 30)
    record = index.run(DAYS[3])
    assert [name for name in ran(record) if name.startswith("import")] == [f"import_daily_documents {DAYS[3]}"]
    assert [of_day(index.documents(DAYS[3]), day) for day in DAYS[1:4]] == [0, 30, 30]
    assert live("news", store=index.store.url).ref.day == DAYS[3]


def test_a_day_whose_inputs_are_gone_is_not_made_again_with_less(index: Index) -> None:
    collected(index)
    (index.folder / f"news-{DAYS[0]}.csv").unlink()
    found = index.states(DAYS[:3])
    assert [one.state for one in found] == ["fresh", "fresh", "fresh"]
    assert f"neither file nor import of {DAYS[0]}" in found[1].reason
    with pytest.raises(InputError, match=f"neither file nor import of {DAYS[0]}"):
        index.run(DAYS[1])
    skipping = index.plan(DAYS[1], **{"input.missing_days": "skip"})
    assert [stage.part for stage in skipping.stages if stage.stage == "import_daily_documents"] == [DAYS[1]]


def test_lineage_names_the_file_of_each_day(made: Index) -> None:
    record = runs(made.store, newest=1)[0]
    tree = as_tree(lineage_of(made.store, Pointer(made.store, "news", PRODUCT).required().artifact, record))
    assert [day for day in DAYS if f"news-{day}.csv" in tree] == DAYS[1:3]
    read = {given["name"].rpartition("/")[2] for event in events(made.store, record) for given in event["inputs"]}
    assert {name for name in read if name.endswith(".csv")} == {f"news-{day}.csv" for day in DAYS[1:3]}


def test_the_difference_of_two_windows_is_in_the_days_that_came_and_went(made: Index) -> None:
    before, after = (move.artifact for move in Pointer(made.store, "news", PRODUCT).line()[-2:])
    moved = {f"corpus.daily_documents ({day})" for day in (DAYS[0], DAYS[2])}
    found = causes(made.store, before, after)
    assert {cause.artifact for cause in found} == moved
    assert {kind for cause in found for kind in cause.kinds} == {"data"}
    answered = why(made.store, before, after, "sort order array", k=5, method="auto")
    assert {cause.artifact for cause in answered.causes} == moved
    documents = [Ref.parse(record["refs"]["documents"]) for record in runs(made.store, newest=2)]
    (change,) = data_changes(made.store, documents[1], documents[0])
    assert (change.figures["added"], change.figures["removed"]) == (30, 30)


def test_metrics_have_no_series_of_each_day(made: Index) -> None:
    names = {
        sample.labels["stage"]
        for metric in registry(made.store).collect()
        for sample in metric.samples
        if "stage" in sample.labels
    }
    assert "import_daily_documents" in names
    assert not [name for name in names if "2026" in name]


def test_the_report_names_the_day_of_a_quarantine(made: Index) -> None:
    page = render(made.store, runs(made.store, newest=1)[0])
    assert all(f"Documents of {day}" in page for day in DAYS[1:3])


@pytest.mark.parametrize("gone", [False, True], ids=["file", "stored"])
def test_a_document_is_forgotten_in_every_day_that_reads_its_file(gone: bool, index: Index) -> None:
    store, pointer = index.store, Pointer(index.store, "news", PRODUCT)
    before = pointer.line()
    if gone:
        (index.folder / f"news-{DAYS[1]}.csv").unlink()
    touched = erasing.listing(store, KEY, "news")
    assert touched.days == DAYS[1:3]
    assert [plan.stored for plan in touched.reruns] == [["corpus"] if gone else []] * 2
    assert [file.rows for file in touched.inputs] == ([] if gone else [1])
    outcome = erasing.forget(store, KEY, "news")
    assert outcome.clean
    assert outcome.proof["versions_lost"] == 0
    found = [path for path in index.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not found
    after = pointer.line()
    assert [move.ref == old.ref for move, old in zip(after, before, strict=True)] == [True, False, False]
    assert [of_day(index.documents(DAYS[2]), day) for day in DAYS[1:3]] == [30, 30]
    assert {one.state for one in index.states(DAYS[:3])} == {"fresh"}
    assert not index.plan(DAYS[2]).runs
