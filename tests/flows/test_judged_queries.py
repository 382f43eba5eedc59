"""Judged queries through a run: imported, judged by, shown, remembered, compared and forgotten."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.report.contents import gather
from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.inputs import check_named, domains_read
from fingerpost.flows.run.page import quality_rows, summary
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import check_inputs, run_flow
from fingerpost.schemas import ann
from fingerpost.schemas.errors import GateError, InputError
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.schemas.remembered import remembered_inputs
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.judged import METRICS
from fingerpost.tasks.ledger import runs
from tests.support.products import write_csv

pytestmark = pytest.mark.usefixtures("plain_runs")

COLUMNS = {"id": "sku", "title": "name", "text": "about", "kind": "group"}
FEW: dict[str, Any] = {"ann.retrieval.items.queries": 10, "ann.evaluation.queries": 20, "corpus.svd.rank": 16}
DAYS = ("2026-01-05", "2026-01-06")
#: A query that nobody else has.
SAID, WORD = "zwetschgenknoedel for the cat of a friend", "zwetschgenknoedel"
QUERIES = {
    f"q{number}": f"{word} number {number}"
    for number, word in enumerate(["cat", "dog", "hammer", "saw", "bread", "rice"])
}


def write_judged(folder: Path) -> None:
    """Queries that name a product by its number, with that as the relevant document, and one of one's own."""
    queries = {**QUERIES, "own": SAID}
    lines = [json.dumps({"id": key, "query": text}) for key, text in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    rows = [f"{key},p{place},{grade}" for place, key in enumerate(queries) for grade in (2,)]
    rows += ["q0,p77,0", "q1,p78,1", "q1,gone,1"]
    (folder / "judged.csv").write_text("\n".join(["query_id,document_id,grade", *rows]) + "\n")


def request(folder: Path, day: str, **settings: Any) -> RunRequest:
    """A run over what the collection remembers, but on the first day."""
    first: dict[str, Any] = {}
    if day == DAYS[0]:
        first = {"input": str(folder / "products.csv"), "columns": COLUMNS}
        settings |= {
            "ann.judged.queries": str(folder / "queries.jsonl"),
            "ann.judged.judgements": str(folder / "judged.csv"),
            "ann.judged.imports.quarantine_share": 0.3,
        }
    else:
        settings |= {"ann.judged.imports.quarantine_share": 0.3}
    return RunRequest(
        profile="tiny", store=str(folder / "store"), day=day, collection="shop", settings={**FEW, **settings}, **first
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """Two days of a collection with judged queries, which the second day remembers."""
    folder = tmp_path_factory.mktemp("judged")
    write_csv(folder / "products.csv", rows=120)
    write_judged(folder)
    for day in DAYS:
        run_flow("nightly", request(folder, day), quiet=True)
    return folder


@pytest.fixture
def shop(world: Path, tmp_path: Path) -> Path:
    """The same in a folder of the test's own, which the records of the runs name."""
    folder = tmp_path / "own"
    shutil.copytree(world, folder)
    for record in [*folder.glob("store/.runs/*.json"), *folder.glob("store/.partitions/**/*.json")]:
        record.write_text(record.read_text().replace(str(world), str(folder)))
    return folder


def store_of(folder: Path) -> Store:
    return Store(str(folder / "store"))


def live(folder: Path) -> Ref:
    return Pointer(store_of(folder), "shop", "ann.index").required().artifact


def judgement(folder: Path) -> dict[tuple[str, str], float]:
    store = store_of(folder)
    rows = store.open(read_members(store, live(folder))["judgement"], ann.JUDGEMENT).read("figures").to_pylist()
    return {(row["method"], row["metric"]): row["value"] for row in rows if row["setting"] == "judged"}


def test_answers_are_judged_and_the_index_has_the_figures(world: Path) -> None:
    found = judgement(world)
    assert {method for method, _ in found} == {"fused", "lexical", "dense", "bm25"}
    for method in ("fused", "bm25"):
        for metric in METRICS:
            low, value, high = (found[method, f"{metric}{end}"] for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1
    quality = store_of(world).manifest(live(world)).quality
    assert quality["judged_ndcg_at_10"] == found["fused", "ndcg_at_10"]
    judged = read_members(store_of(world), live(world))["judged"]
    counts = store_of(world).manifest(judged).quality
    assert (counts["queries"], counts["judgements"], counts["quarantined"]) == (7, 9, 1)
    assert counts["tuning"] + counts["judging"] == 7
    assert found["fused", "queries"] == counts["judging"]


def test_the_second_day_remembers_the_files_and_makes_nothing_again(world: Path) -> None:
    entry = remembered_inputs(store_of(world), "shop")["ann.judged.queries"]
    assert entry.values == {
        "ann.judged.queries": str(world / "queries.jsonl"),
        "ann.judged.judgements": str(world / "judged.csv"),
    }
    assert entry.day == DAYS[1]
    newest = runs(store_of(world), newest=1)[0]
    assert newest["day"] == DAYS[1]
    stages = {stage["stage"]: stage["computed"] for stage in newest["stages"]}
    assert (stages["import_judged"], stages["judge_search"]) == (False, False)
    plan = plan_of("nightly", request(world, "2026-01-07"))
    assert {"import_judged", "judge_search"} <= {stage.name for stage in plan.stages}


def test_report_and_page_show_the_judged_queries(world: Path) -> None:
    record = runs(store_of(world), newest=1)[0]
    page, contents = render(store_of(world), record), gather(store_of(world), record)
    assert "<h2>Judged queries</h2>" in page
    ndcg = judgement(world)["fused", "ndcg_at_10"]
    assert f"{ndcg:.3f} <span" in page
    assert "plain BM25" in page
    assert not [problem for section in contents.sections for problem in getattr(section.contents, "problems", ())]
    figures = {row["figure"]: row["value"] for row in quality_rows(record) if row["stage"] == "judge_search"}
    assert figures["judged_ndcg_at_10"] == ndcg
    assert "judged queries: 1 rows were quarantined" in summary(record, contents, ())


def test_other_judgements_make_another_version_that_diff_compares(shop: Path) -> None:
    before = live(shop)
    (shop / "judged.csv").write_text((shop / "judged.csv").read_text() + "q2,p99,1\n")
    settings = {"ann.judged.queries": str(shop / "queries.jsonl"), "ann.judged.judgements": str(shop / "judged.csv")}
    run_flow("build_ann_index", request(shop, "2026-01-07", **settings), quiet=True)
    after = live(shop)
    assert after != before
    newest = runs(store_of(shop), newest=1)[0]
    assert "build_graph" not in {stage["stage"] for stage in newest["stages"] if stage["computed"]}
    gates = [gate["gate"] for gate in newest["gates"] if gate["gate"].startswith("judged_ndcg_at_10_against_live")]
    assert len(gates) == 1
    found = diff(store_of(shop), *(find_version(store_of(shop), str(ref)) for ref in (before, after)))
    changed = {change.about: change for artifact in found.artifacts for change in artifact.data}
    assert changed["judged answers"].figures["queries judged alike"] >= 1
    strict = {**settings, "ann.gates.judged_ndcg_at_10": 1.0}
    if judgement(shop)["fused", "ndcg_at_10"] < 1:
        (shop / "judged.csv").write_text((shop / "judged.csv").read_text() + "q2,p98,1\n")
        with pytest.raises(GateError, match="judged_ndcg_at_10 0"):
            run_flow("build_ann_index", request(shop, "2026-01-08", **strict), quiet=True)


@pytest.mark.parametrize("gone", [False, True], ids=["from its files", "from the store"])
def test_a_forgotten_query_is_nowhere_any_more(shop: Path, gone: bool) -> None:
    store, before = store_of(shop), live(shop)
    if gone:
        (shop / "queries.jsonl").unlink()
        (shop / "judged.csv").unlink()
    kept = {role: ref for role, ref in read_members(store, before).items() if role in ("documents", "graph", "vectors")}
    touched = erasing.listing(store, SAID, "shop")
    assert {ref.split("/")[0] for ref in touched.holders} == {"ann.judged"}
    assert [plan.stored for plan in touched.reruns] == [["ann"] if gone else []] * len(touched.reruns)
    assert not any(plan.left for plan in touched.reruns)
    outcome = erasing.forget(store, SAID, "shop")
    assert outcome.clean, outcome.proof["findings"]
    after = live(shop)
    assert after != before
    assert WORD not in "".join(
        str(store.open(Ref.parse(str(ref)), ann.JUDGED).read("queries").to_pylist()) for ref in store.refs("ann.judged")
    )
    judged = store.manifest(read_members(store, after)["judged"]).quality
    assert (judged["queries"], judged["judgements"]) == (6, 8)
    if not gone:
        assert WORD not in (shop / "queries.jsonl").read_text()
    assert gone or {role: ref for role, ref in read_members(store, after).items() if role in kept} == kept


def test_a_document_that_is_to_be_forgotten_is_found_among_the_judgements(world: Path) -> None:
    touched = erasing.listing(store_of(world), "p1", "shop")
    assert {(Path(file.path).name, file.form, file.rows) for file in touched.inputs} == {
        ("products.csv", "documents", 1),
        ("judged.csv", "judgements", 1),
    }
    assert {"ann.judged", "ann.judgement"} <= {ref.split("/")[0] for ref in touched.condemned}


def test_a_forgotten_document_may_share_its_words_with_a_query(tmp_path: Path) -> None:
    write_csv(tmp_path / "products.csv", rows=60)
    with (tmp_path / "products.csv").open("a") as file:
        file.write(f"x1,Nothing else 60,A {WORD} that halves documents.,food\n")
    write_judged(tmp_path)
    run_flow("build_ann_index", request(tmp_path, DAYS[0]), quiet=True)
    outcome = erasing.forget(store_of(tmp_path), "x1", "shop")
    assert outcome.clean, outcome.proof["findings"]
    assert WORD in (tmp_path / "queries.jsonl").read_text(), "the query is somebody else's"


def test_what_is_read_by_which_flow(tmp_path: Path) -> None:
    write_judged(tmp_path)
    write_csv(tmp_path / "products.csv", rows=20)
    settings = request(tmp_path, DAYS[0]).resolve()
    for flow in ("nightly", "build_ann_index"):
        assert [domain.word for domain in domains_read(settings, flow)][:2] == ["corpus", "ann"]
        check_inputs(settings, flow)
    assert [domain.word for domain in domains_read(settings, "featurize_corpus")] == ["corpus"]
    (tmp_path / "judged.csv").write_text("query_id,page\n")
    with pytest.raises(InputError, match="expected a column 'document_id'"):
        check_inputs(settings, "nightly")
    check_inputs(settings, "featurize_corpus")
    alone = request(tmp_path, DAYS[0], **{"ann.judged.queries": ""}).model_copy(
        update={"settings": {**FEW, "ann.judged.judgements": str(tmp_path / "judged.csv")}}
    )
    with pytest.raises(
        SettingsError, match=r"ann.judged.queries: expected the file of queries that .*judged.csv judges"
    ):
        check_named(alone.resolve(), "nightly")
