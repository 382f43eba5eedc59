"""Rankers through Prefect's test harness: from a file of interactions to names on the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow.csv import ConvertOptions, read_csv
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.domains.xmr.sources import skipped
from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError, GateError
from fingerpost.schemas.inputs.rankings import SCHEMA as RANKED
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.xmr.open import PRODUCT, live
from tests.support.commands import fingerpost, refused
from tests.support.report_pages import Page
from tests.support.shop_rankers import request_for
from tests.unit.xmr.shop import write_shop

pytestmark = pytest.mark.usefixtures("plain_runs")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Path:
    """A folder with a store in which a shop's ranker is live."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    run_flow("train_ranker", request_for(folder), quiet=True)
    return folder


def test_interactions_become_a_live_ranker(shop: Path) -> None:
    store = Store(str(shop / ".fingerpost"))
    move = Pointer(store, "shop", PRODUCT).required()
    assert {gate["name"] for gate in move.gates} == {
        "ranker_labels",
        "quarantine_share",
        "ranker_tested",
        "ranker_recall_at_10",
        "ranker_ndcg_at_10_over_frequent",
    }
    best = live("shop", store=store.url).rank("a large red hammer", k=3)
    assert (best[0].id, best[0].name) == ("hammer-red", "red hammer")
    quality = store.manifest(move.artifact).quality
    assert quality["precision_at_1"] > 0.8
    record = runs(store, newest=1)[0]
    assert record["refs"]["ranker"] == move.ref
    assert record["publications"][0]["ref"] == move.ref
    assert {stage["stage"] for stage in record["stages"]} >= {"import_interactions", "train_rankers", "assemble_ranker"}


def test_what_did_not_change_is_reused_and_a_change_says_why(shop: Path) -> None:
    store = Store(str(shop / ".fingerpost"))
    run_flow("train_ranker", request_for(shop), quiet=True)
    assert not [stage for stage in runs(store, newest=1)[0]["stages"] if stage["computed"]]

    plan = plan_of("train_ranker", request_for(shop, **{"xmr.training.solver.cost_positive": 2.0}))
    would = {stage.stage: stage.reason for stage in plan.stages if stage.runs}
    assert list(would) == [
        "train_rankers",
        "predict_labels",
        "calibrate_scores",
        "evaluate_ranker",
        "pack_ranker",
        "assemble_ranker",
    ]
    assert would["train_rankers"] == "parameters changed (params.solver.cost_positive)"

    plan = plan_of("train_ranker", request_for(shop, **{"xmr.interactions.seed": 1}))
    reasons = [stage.reason for stage in plan.stages if stage.stage == "count_ngrams"]
    assert reasons == ["input changed (documents)"] * 2


def test_the_setting_within_a_limit_is_published_and_shown(shop: Path) -> None:
    store = Store(str(shop / ".fingerpost"))
    swept = {
        "xmr.sweep.megabytes": 0.02,
        "xmr.sweep.thresholds": [0.1, 0.5, 0.9],
        "xmr.sweep.beams": [2, 5],
        "xmr.sweep.timed": 5,
    }
    asked = request_for(shop, **swept)
    planned = [stage.stage for stage in plan_of("train_ranker", asked).stages if stage.runs]
    assert planned[:3] == ["sweep_ranker", "prune_rankers", "predict_labels"]
    run_flow("train_ranker", asked, quiet=True)
    quality = live("shop", store=store.url).manifest.quality
    assert quality["bytes"] <= 20_000
    record = runs(store, newest=1)[0]
    assert {"ranker_sweep", "ranker_pruned", "ranker_model"} <= set(record["refs"])
    text = Page(render(store, record)).text("sweep")
    assert f"with beam {quality['beam']}: the best within at most 0.02 MB" in text
    run_flow("train_ranker", request_for(shop), quiet=True)
    assert live("shop", store=store.url).manifest.quality["bytes"] > 20_000


def test_rankers_of_several_seeds_are_published_as_one(shop: Path) -> None:
    store = Store(str(shop / ".fingerpost"))
    asked = request_for(shop, **{"xmr.ensemble.seeds": [0, 1], "xmr.ensemble.combination": "rank"})
    planned = [stage.stage for stage in plan_of("train_ranker", asked).stages if stage.runs]
    assert planned == [
        "cluster_labels",
        "train_rankers",
        "predict_labels",
        "combine_predictions",
        "calibrate_scores",
        "evaluate_ranker",
        "pack_ranker",
        "assemble_ranker",
    ]
    run_flow("train_ranker", asked, quiet=True)
    ranker = live("shop", store=store.url)
    assert (ranker.manifest.quality["members"], ranker.manifest.quality["combination"]) == (2, "rank")
    assert ranker.rank("a large red hammer", 1)[0].id == "hammer-red"
    record = runs(store, newest=1)[0]
    assert {"ranker_tree_1", "ranker_model_1", "ranker_predictions_2"} <= set(record["refs"])
    assert "member 2" in Page(render(store, record)).text("ranking")
    run_flow("train_ranker", asked, quiet=True)
    assert not [stage for stage in runs(store, newest=1)[0]["stages"] if stage["computed"]]
    run_flow("train_ranker", request_for(shop), quiet=True)
    with pytest.raises(SettingsError, match=r"expected rank, sigmoid or softmax for scores below 0 \(noop\)"):
        request_for(shop, **{"xmr.ensemble.seeds": [0, 1], "xmr.beam.post_processor": "noop"}).resolve()


def test_a_missed_gate_keeps_the_ranker_that_is_live(shop: Path) -> None:
    store = Store(str(shop / ".fingerpost"))
    before = Pointer(store, "shop", PRODUCT).required()
    with pytest.raises(GateError, match=r"shop/xmr.ranker: .*ranker_labels 96 \(at least 97\)"):
        run_flow("train_ranker", request_for(shop, **{"xmr.gates.labels": 97, "xmr.predicted": 21}), quiet=True)
    assert Pointer(store, "shop", PRODUCT).required() == before


def test_a_text_is_ranked_from_a_shell_without_prefect_dask_or_torch(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = fingerpost("rank", "large red hammer", "-k", "2", "--json", cwd=shop)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answers"][0]["name"] == "red hammer"
    assert len(found["answers"]) == 2
    monkeypatch.chdir(shop)
    shown = CliRunner().invoke(app, ["rank", "large red hammer"]).output
    assert all(part in shown for part in ("hammer-red", "red hammer", found["ranker"], "probability"))
    head, first = shown.splitlines()[1:3]
    assert head.split() == ["id", "name", "probability", "score"]
    best = found["answers"][0]
    assert first.split() == [
        "1",
        best["id"],
        *best["name"].split(),
        f"{best['probability']:.2f}",
        f"{best['score']:.3g}",
    ]
    assert "none of its words is known" in CliRunner().invoke(app, ["rank", "qqqq"]).output
    script = (
        "import sys\nfrom fingerpost.flows.domains.xmr.rank import rank\nrank(text='red hammer', source=None,"
        " output=None, k=2,"
        " as_json=True, collection=None, store=None)\nassert not {'prefect', 'distributed', 'dask', 'torch', 'sklearn',"
        " 'matplotlib'} & set(sys.modules), 'not needed'"
    )
    silent = subprocess.run([sys.executable, "-c", script], cwd=shop, capture_output=True, text=True, check=False)
    assert silent.returncode == 0, silent.stderr


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of a written file, by column."""
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pylist()
    if file.suffix == ".csv":
        as_written = ConvertOptions(column_types=RANKED, strings_can_be_null=True)
        return read_csv(file, convert_options=as_written).to_pylist()
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_the_queries_of_a_file_are_ranked_to_a_file(shop: Path, tmp_path: Path, kind: str) -> None:
    texts = ["large red hammer", "qqqq", "green sofa"]
    keys = ("q1", "0017", "")
    rows_of_file = ["id,query", *(f"{key},{text}" for key, text in zip(keys, texts, strict=True))]
    (tmp_path / "queries.csv").write_text("\n".join(rows_of_file) + "\n")
    output = tmp_path / f"ranked.{kind}"
    store = str(shop / ".fingerpost")
    given = ["rank", "--input", str(tmp_path / "queries.csv"), "--output", str(output), "-k", "3", "--store", store]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    rows = rows_of(output)
    ranker = live("shop", store=store)
    expected = [
        (key, text, place, answer.id, answer.name, pytest.approx(answer.score), pytest.approx(answer.probability))
        for key, text in (("q1", texts[0]), (None, texts[2]))
        for place, answer in enumerate(ranker.rank(text, 3), start=1)
    ]
    # A query without an answer stays, with its id.
    expected[3:3] = [("0017", "qqqq", None, None, None, None, None)]
    assert [tuple(row.values()) for row in rows] == expected
    assert list(rows[0]) == ["query_id", "query", "rank", "id", "name", "score", "probability"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["queries.csv", output.name])


def test_none_is_an_answer_of_a_ranker(shop: Path) -> None:
    ranker = live("shop", store=str(shop / ".fingerpost"))
    assert ranker.rank("red hammer", 0) == ranker.rank("qqqq") == ranker.rank("") == []
    assert ranker.rank_many([]) == []
    assert ranker.rank_many(["red hammer", ""], 0) == [[], []]
    with pytest.raises(FingerpostError, match="k: expected a number of answers of at least 0, got -1"):
        ranker.rank("red hammer", -1)
    shown = CliRunner().invoke(app, ["rank", "red hammer", "-k", "0", "--store", str(shop / ".fingerpost")])
    assert (shown.exit_code, shown.exception) == (0, None)
    assert "no answer" in shown.output


def test_mistakes_of_rank_are_one_line(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("text\nred hammer\n")
    store = ("--store", str(shop / ".fingerpost"))

    def said(*arguments: str) -> str:
        return refused(*arguments, cwd=tmp_path)

    assert "expected a text or --input FILE" in said("rank", *store)
    assert "expected --input and --output together" in said("rank", "-i", "queries.csv", *store)
    given = ("rank", "-i", "queries.csv", "-o")
    assert "ends in .parquet, .jsonl or .csv" in said(*given, "out.tsv", *store)
    assert "query" in said(*given, "out.jsonl", *store)
    assert [file.name for file in tmp_path.iterdir()] == ["queries.csv"]
    gone = ("run", "train_ranker", "--profile", "tiny", "--set", "xmr.input=gone.csv")
    assert "gone.csv: expected" in said(*gone)
    wrong = (*gone[:-1], "xmr.training.beam.beam=0")
    assert "xmr.training.beam.beam (from command line): expected at least 1, got 0" in said(*wrong)


def test_an_earlier_ranker_can_be_promoted_and_rolled_back(shop: Path) -> None:
    store = Store(str(shop / ".fingerpost"))
    first = Pointer(store, "shop", PRODUCT).required()
    run_flow("train_ranker", request_for(shop, **{"xmr.beam.beam": 5}), quiet=True)
    second = Pointer(store, "shop", PRODUCT).required()
    assert second.ref != first.ref
    given = ["promote", first.ref, "--profile", "tiny", "--store", store.url]
    assert "shop/xmr.ranker" in CliRunner().invoke(app, given).output
    assert Pointer(store, "shop", PRODUCT).required().ref == first.ref
    back = ["rollback", "--product", "xmr.ranker", "--store", store.url, "--collection", "shop"]
    assert "is live again" in CliRunner().invoke(app, back).output
    assert Pointer(store, "shop", PRODUCT).required().ref == second.ref


def test_a_ranker_of_a_file_of_its_own_is_trained_by_name(tmp_path: Path) -> None:
    lines = ["words;item".replace(";", ",")]
    lines += [f"cheap {kind} {number},{kind}" for number in range(40) for kind in ("hammer", "sofa", "bread")]
    (tmp_path / "clicks.csv").write_text("\n".join(lines) + "\n")
    request = RunRequest(
        profile="tiny",
        store=str(tmp_path / "store"),
        input=str(tmp_path / "clicks.csv"),
        columns={"query": "words", "label": "item"},
        settings={"xmr.predicted": 3},
    )
    run_flow("train_ranker", request, quiet=True)
    assert live(store=str(tmp_path / "store")).rank("a hammer", 1)[0].id == "hammer"
    assert live("clicks", store=str(tmp_path / "store")).manifest.quality["labels"] == 3


def test_interactions_of_the_sample_go_with_the_sample_alone(tmp_path: Path) -> None:
    def wanted(**given: object) -> bool:
        return not skipped(RunRequest(profile="tiny", **given).resolve())  # type: ignore[arg-type]

    assert not wanted()
    assert wanted(settings={"xmr.input": "python-docs-names"})
    assert not wanted(settings={"xmr.input": "python-docs-names"}, input=str(tmp_path / "shop.csv"))
    assert wanted(settings={"xmr.input": "clicks-{day}.csv"}, input=str(tmp_path / "shop.csv"))
    dated = RunRequest(profile="tiny", day="2026-01-05", settings={"xmr.input": "clicks-{day}.csv"}).resolve()
    assert dated.xmr.input == "clicks-2026-01-05.csv"


def test_first_sentences_of_the_sample_lead_to_their_objects(tmp_path: Path) -> None:
    settings = {"xmr.input": "python-docs-names", "xmr.predicted": 20, "input.distributions": ["typing_extensions"]}
    settings |= {
        "ann.gates.sample_documents": 1,
        "xmr.interactions.calibration_share": 0.0,
        "ann.hnsw.max_neighbors": 4,
    }
    request = RunRequest(profile="tiny", store=str(tmp_path), day="2026-01-05", settings=settings)
    run_flow("train_ranker", request, quiet=True)
    ranker = live(store=str(tmp_path))
    found = ranker.rank("create a new generic type variable for parameters", 5)
    assert {answer.probability for answer in found} == {None}
    assert any("Param" in answer.name or "TypeVar" in answer.name for answer in found)
    stages = {stage["stage"]: stage for stage in runs(Store(str(tmp_path)), newest=1)[0]["stages"]}
    assert stages["import_interactions"]["inputs"] == {"source": stages["extract_documentation"]["ref"]}
    from fingerpost.schemas.inputs.interactions import FirstSentenceSource

    direct = FirstSentenceSource(("typing_extensions",)).read()
    assert ranker.labels == (direct.labels["id"].to_pylist(), direct.labels["name"].to_pylist())
