"""A nightly with a ranker, as an operator sees it: the plan, both products, and the stages that it has more than once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.ops.keep.gc import plan_collection
from fingerpost.flows.ops.watch.metrics import registry
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render
from fingerpost.flows.run import openlineage
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.lineage import ends_of, lineage_of
from fingerpost.flows.run.page import lineage_page, stage_rows
from fingerpost.flows.run.partitions import Partitions
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs, stages_by_name
from fingerpost.tasks.xmr.open import PRODUCT
from tests.support.day_worlds import schedule, states_everywhere
from tests.support.products import write_csv
from tests.unit.xmr.shop import write_shop

pytestmark = pytest.mark.usefixtures("plain_runs")

#: What a nightly of documents alone says.
SKIPPED = (
    "No ranker is trained: xmr.input names no interactions",
    "No completer is trained: autocomplete.input names no events",
    "Nothing is aligned: kg.left names no graph",
    "No threshold is tuned: metric.input names no embeddings",
    "No network is searched: nas.data names no images",
)


def request(folder: Path, **settings: object) -> RunRequest:
    """A nightly of documents and interactions, each from a file."""
    given = {
        "xmr.input": str(folder / "interactions.csv"),
        "xmr.labels": str(folder / "labels.csv"),
        "xmr.predicted": 10,
    }
    return RunRequest(
        profile="tiny",
        store=str(folder / "store"),
        day="2026-01-05",
        collection="shop",
        input=str(folder / "products.csv"),
        columns={"id": "sku", "title": "name", "text": "about", "kind": "group"},
        settings=given | settings,
    )


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """A nightly whose interactions have a bad row, and a day later another one with fewer of them."""
    folder = tmp_path_factory.mktemp("nights")
    write_shop(folder, rows=200)
    with (folder / "interactions.csv").open("a") as file:
        file.write("a query without label,,1\n")
    write_csv(folder / "products.csv", rows=120)
    run_flow("nightly", request(folder), quiet=True)
    rows = (folder / "interactions.csv").read_text().splitlines()
    (folder / "interactions.csv").write_text("\n".join(rows[:180]) + "\n")
    run_flow("nightly", request(folder).for_day("2026-01-06"), quiet=True)
    return folder


def test_the_profiles_train_the_samples_ranker_and_completer_align_its_graphs_and_say_where_there_is_none(
    tmp_path: Path,
) -> None:
    store, source = str(tmp_path / "store"), str(write_csv(tmp_path / "products.csv"))
    for profile in ("quick", "nightly", "full"):
        plan = plan_of("nightly", RunRequest(profile=profile, store=store))
        assembled = {"assemble_ranker", "assemble_completer", "assemble_alignment", "assemble_network"}
        assert assembled <= {stage.stage for stage in plan.stages}
        assert plan.notes == ()
        plan = plan_of("nightly", RunRequest(profile=profile, store=store, input=source))
        assert not [stage.ref for stage in plan.stages if stage.ref.startswith("xmr.")]
        ranker, completer, alignment, threshold, network = plan.notes
        assert ranker.startswith("No ranker is trained: xmr.input is python-docs-see-also, which requires the built-in")
        assert completer.startswith("No completer is trained: autocomplete.input is python-calls, which requires the")
        assert alignment.startswith("Nothing is aligned: kg.left is python-objects, which requires the built-in sample")
        assert threshold.startswith("No threshold is tuned: metric.input is python-docs-packages, which requires the")
        assert network.startswith("No network is searched: nas.data is digits, which requires the built-in sample")
    assert plan_of("nightly", RunRequest(profile="tiny", store=store)).notes == SKIPPED


def test_a_list_of_the_command_line_is_written_as_in_a_profile() -> None:
    given = {"xmr.ensemble.seeds": "[0, 1]", "input.distributions": '["toolz"]', "xmr.input": ""}
    settings = RunRequest(profile="quick", settings=given).resolve()
    assert settings.xmr.ensemble.seeds == (0, 1)
    assert settings.input.distributions == ("toolz",)
    assert settings.xmr.input == ""
    with pytest.raises(SettingsError, match=r"input.distributions.*expected a list of texts, got '\[toolz\]'"):
        RunRequest(profile="quick", settings={"input.distributions": "[toolz]"}).resolve()


def test_a_run_without_a_ranker_says_so_in_its_record_and_report(tmp_path: Path) -> None:
    write_csv(tmp_path / "products.csv", rows=120)
    asked = request(tmp_path, **{"xmr.input": "", "xmr.labels": ""})
    report = run_flow("nightly", asked, quiet=True)
    assert runs(Store(str(tmp_path / "store")))[0]["notes"] == list(SKIPPED)
    assert all(f"{note}." in Path(report).read_text() for note in SKIPPED)


def test_stages_that_a_run_has_more_than_once_are_told_apart(nights: Path) -> None:
    store = Store(str(nights / "store"))
    later, earlier = runs(store)
    names = list(stages_by_name(earlier))
    assert len(names) == len(earlier["stages"])
    assert {"count_terms", "count_ngrams (queries)", "count_ngrams (held-out)"} <= set(names)
    assert [row["stage"] for row in stage_rows(earlier)] == names
    plan = plan_of("nightly", request(nights).for_day("2026-01-07"))
    assert [stage.name for stage in plan.stages] == list(stages_by_name(later))
    assert plan.runs == []
    days = Partitions("nightly", request(nights)).of(["2026-01-05", "2026-01-06"])
    assert [day.state for day in days] == ["stale", "fresh"], "the interactions of the first day are others by now"
    assert "import_interactions, list_queries (queries), " in days[0].reason
    assert "import_documents" not in days[0].reason
    assert {store.manifest(ref).run.get("collection", "shop") for ref in store.refs()} == {"shop"}

    schedule(store, "nightly", "shop")
    for now in (datetime(2026, 1, 6, 12, tzinfo=UTC), datetime(2026, 1, 7, 12, tzinfo=UTC)):
        everywhere = states_everywhere("nightly", request(nights).model_copy(update={"day": ""}), now=now)
        assert list(everywhere.values())[:2] == ["stale", "fresh"]

    found = diff(store, find_version(store, earlier["id"]), find_version(store, later["id"]))
    states = {artifact.role: artifact.state for artifact in found.artifacts}
    assert states["count_terms"] == "same"
    assert states["count_ngrams (queries)"] == "changed"
    assert [cause.artifact for cause in found.causes] == ["xmr.interactions"]

    events = list(openlineage.events(store, later))
    jobs = [event["job"]["name"] for event in events if event["eventType"] == "COMPLETE"]
    assert len(jobs) == len(set(jobs))
    assert {"nightly.count_terms", "nightly.count_ngrams (queries)"} <= set(jobs)
    assert [made["name"].split("/")[-1] for made in events[-1]["outputs"]] == ["ann.index", "xmr.ranker"]


def test_figures_of_documents_are_not_those_of_queries(nights: Path) -> None:
    found = registry(Store(str(nights / "store")))

    def value(name: str, **labels: str) -> float | None:
        return found.get_sample_value(name, {"collection": "shop", **labels})

    assert value("fingerpost_quality", artifact="corpus.documents", figure="documents") == 120
    queries = value("fingerpost_quality", artifact="xmr.queries (queries)", figure="queries")
    assert queries is not None
    assert 100 < queries < 200
    assert value("fingerpost_quarantine_ratio", input="documents") == 0
    assert value("fingerpost_quarantine_ratio", input="interactions") == 0, "the newest run's, without the bad row"
    assert value("fingerpost_recall_ratio", artifact="xmr.ranker", k="10") is not None
    assert value("fingerpost_live_generation", product="xmr.ranker") == 2
    for name in ("count_terms", "count_ngrams (queries)", "train_rankers"):
        assert value("fingerpost_stage_duration_seconds", stage=name) is not None


def test_two_rankers_are_compared_part_by_part(nights: Path) -> None:
    store = Store(str(nights / "store"))
    sides = [find_version(store, text, collection="shop", product=PRODUCT) for text in ("live~1", "live")]
    found = diff(store, *sides)
    assert found.kind == "ranker"
    assert [cause.artifact for cause in found.causes] == ["xmr.interactions"]
    (taken,) = (artifact for artifact in found.artifacts if artifact.role == "interactions")
    assert [change.about for change in taken.data] == ["queries", "labels"]
    assert taken.data[0].figures["removed"] == taken.data[0].figures["before"] - taken.data[0].figures["after"] > 0
    assert "quarantine_share" in {change.key for change in found.gates}, "the bad row is gone"
    assert find_version(store, "2026-01-05", collection="shop", product=PRODUCT).ref == sides[0].ref


def test_report_and_lineage_show_both_products(nights: Path) -> None:
    store = Store(str(nights / "store"))
    later, earlier = runs(store)
    contents = gather(store, later)
    assert [(found.title, found.is_published) for found in contents.live] == [("index", True), ("ranker", True)]
    assert [found.is_published for found in gather(store, earlier).live] == [False, False], "moved since"
    page = render(store, earlier)
    assert "no label" in page
    assert "count_ngrams (queries)" in page
    ends = ends_of(later)
    assert [ref.name for ref in ends] == ["ann.index", "xmr.ranker"]
    pages = [lineage_page(lineage_of(store, ref, later)) for ref in ends]
    assert "interactions.csv" in pages[1]
    assert "products.csv" not in pages[1]
    assert "products.csv" in pages[0]


def test_collection_of_garbage_keeps_what_the_live_ranker_needs(nights: Path) -> None:
    store = Store(str(nights / "store"))
    live = Pointer(store, "shop", PRODUCT).required().artifact
    later = datetime.now(UTC) + timedelta(days=3)
    gone = set(plan_collection(store, keep_days=0, keep_rollbacks=0, now=later).artifacts)
    assert Pointer(store, "shop", PRODUCT).line()[0].ref in gone
    needed = {node.key for node in lineage_of(store, live).nodes if node.day}
    assert not gone & needed


def test_a_nightly_with_interactions_publishes_both_products(nights: Path) -> None:
    """The last one here, since it runs once more."""
    store = Store(str(nights / "store"))
    for record, compared in zip(runs(store), (6, 0), strict=True):
        assert [move["ref"].split("/")[0] for move in record["publications"]] == ["ann.index", "xmr.ranker"]
        against_live = [gate for gate in record["gates"] if "_against_live" in gate["gate"]]
        assert (len(record["gates"]) - len(against_live), len(against_live)) == (9, compared)
        assert record["refs"]["features"] != record["refs"]["ranker_features"]
    asked = request(nights).for_day("2026-01-06")
    run_flow("nightly", asked, quiet=True)
    assert not [stage for stage in runs(store, newest=1)[0]["stages"] if stage["computed"]]
    changed = asked.model_copy(update={"settings": asked.settings | {"corpus.features.max_terms": 50}})
    would = {stage.stage: stage.reason for stage in plan_of("nightly", changed).stages if stage.runs}
    assert would["weigh_documents"] == "parameters changed (params.max_terms)"
    assert "train_rankers" not in would
