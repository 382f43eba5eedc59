"""What a first plan expects of stages that were never computed, where that is from, and what it refuses as a run would."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.domains.ann import costs as ann_costs
from fingerpost.flows.domains.kg.settings import neural_installed
from fingerpost.flows.run import cost_laws, dry_run, expectations
from fingerpost.flows.run.dry_run import checked_plan, plan_of, show_plan
from fingerpost.flows.run.expectations import SAMPLE_SOURCES, Expectations, Inputs, basis_text
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.store import Store
from fingerpost.tasks import room
from fingerpost.tasks.ann.build_cost import BuildMemoryError
from fingerpost.tasks.ledger import Estimate, save_run
from fingerpost.tasks.room import DiskSpaceError
from tests.support.graph_files import GRAPHS, ROWS, table
from tests.support.products import request_for, write_csv

pytestmark = pytest.mark.usefixtures("plain_runs", "reference_machine")


@pytest.fixture
def reference_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine at which the laws were measured, so that no test depends on this one."""
    for module in (cost_laws, ann_costs, expectations, dry_run):
        monkeypatch.setattr(module, "machine_slowness", lambda: 1.0)


def _texts(path: Path, rows: int) -> Path:
    """Documents of about a hundred characters, of which a model is to tell the cost alone."""
    path.write_text(
        "sku,name,about,group\n" + "".join(f"p{row},saw {row},{'a saw of steel ' * 6},x\n" for row in range(rows))
    )
    return path


def _interactions(path: Path, rows: int = 500) -> Path:
    queries = [f"how to mend {row} of them" for row in range(rows)]
    pq.write_table(pa.table({"query": queries, "label": [f"tool {row % 40}" for row in range(rows)]}), path)
    return path


def _events(path: Path) -> Path:
    rows = [f"u{row % 7},2026-01-05T00:{row % 60:02d}:00,saw {row % 30}\n" for row in range(400)]
    path.write_text("user,time,query\n" + "".join(rows))
    return path


def _embeddings(path: Path) -> Path:
    vectors = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    labels, ids = [f"c{row % 20}" for row in range(300)], [str(row) for row in range(300)]
    pq.write_table(pa.table({"id": ids, "label": labels, "vector": list(vectors)}), path)
    return path


def _graph(path: Path) -> Path:
    path.write_text("id,name\n" + "".join(f"{row},saw number {row}\n" for row in range(60)))
    return path


def _images(path: Path) -> Path:
    np.savez(path, train=np.zeros((200, 8, 8), np.uint8), train_labels=np.arange(200) % 4)
    return path


_COLUMNS = {"id": "sku", "title": "name", "text": "about", "kind": "group"}

FLOWS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "nightly": lambda folder: {"input": str(write_csv(folder / "products.csv")), "columns": _COLUMNS},
    "train_ranker": lambda folder: {"input": str(_interactions(folder / "clicks.parquet"))},
    "train_autocomplete": lambda folder: {"input": str(_events(folder / "log.csv"))},
    "tune_thresholds": lambda folder: {"input": str(_embeddings(folder / "faces.parquet"))},
    "align_graphs": lambda folder: {
        "collection": "papers",
        "settings": {"kg.left": str(_graph(folder / "a.csv")), "kg.right": str(_graph(folder / "b.csv"))},
    },
    "search_architectures": lambda folder: {"input": str(_images(folder / "images.npz"))},
}


@pytest.mark.parametrize("flow", FLOWS)
def test_a_first_plan_knows_what_every_stage_will_cost(flow: str, tmp_path: Path) -> None:
    given: dict[str, Any] = FLOWS[flow](tmp_path)
    plan = checked_plan(flow, RunRequest.of(profile="tiny", store=str(tmp_path / "store"), **given))
    assert plan.stages
    assert [stage.name for stage in plan.runs if stage.estimate is None] == []
    assert plan.cost.unknown == 0
    assert plan.cost.seconds > 0
    assert plan.cost.peak_mb > 300
    assert all(stage.estimate.seconds >= 0.05 for stage in plan.runs if stage.estimate)
    assert not (tmp_path / "store").exists()


def _alignment(folder: Path, left: Path, **settings: object) -> RunRequest:
    named = {} if left.is_dir() else {"kg.right": str(left)}
    given: dict[str, Any] = {"kg.left": str(left), **named, **settings}
    return RunRequest.of(profile="tiny", store=str(folder / "store"), collection="papers", settings=given)


@pytest.mark.parametrize("form", GRAPHS)
def test_a_first_plan_knows_what_graphs_of_every_form_will_cost(form: str, tmp_path: Path) -> None:
    plan = checked_plan("align_graphs", _alignment(tmp_path, GRAPHS[form](tmp_path)))
    assert [stage.name for stage in plan.runs if stage.estimate is None] == []
    # Within two graphs of a hundred entities.
    assert plan.cost.seconds < 30


def test_an_alignment_costs_more_the_more_entities_are_shared_and_the_more_links_are_known(tmp_path: Path) -> None:
    papers, (few, many) = table(tmp_path), (tmp_path / f"{rows}.csv" for rows in (1_000, 40_000))
    for path, rows in ((few, 1_000), (many, 40_000)):
        path.write_text("left,right\n" + "".join(f"{row},{row}\n" for row in range(rows)))

    def told(stage: str, **settings: object) -> Estimate:
        request = _alignment(tmp_path, papers, **{"kg.id": "number"}, **settings)
        found = Expectations(request.resolve(), "align_graphs").of("kg", stage)
        assert found is not None
        return found

    stored = [told("embed_entities (left)", **{"kg.shared": shared}).bytes for shared in ([], ["authors:;", "venue"])]
    assert stored[1] / stored[0] == pytest.approx((ROWS + 37 + 5) / ROWS, rel=0.01)
    learned = [told("compare_pairs", **{"kg.links": str(links)}) for links in (few, many)]
    assert learned[1].bytes / learned[0].bytes == pytest.approx(40, rel=0.01)
    assert learned[1].seconds > 20 * learned[0].seconds
    # What compares entities is as much as before.
    assert told("embed_entities (left)", **{"kg.links": str(many)}).bytes == stored[0]


def test_tables_that_share_no_entities_train_no_aligner_and_their_plan_lists_none(tmp_path: Path) -> None:
    given: dict[str, Any] = FLOWS["align_graphs"](tmp_path)
    listed = []
    for shared in ([], ["name"]):
        settings = given["settings"] | {"kg.shared": shared}
        request = RunRequest.of(profile="tiny", store=str(tmp_path / "store"), **(given | {"settings": settings}))
        listed.append("train_aligner" in {stage.stage for stage in plan_of("align_graphs", request).stages})
    assert listed == [False, neural_installed()]


def test_the_whole_sample_is_expected_to_take_what_was_measured(tmp_path: Path) -> None:
    """On two cores of a server processor: 195 s, 1,230 MB, 730 MB stored."""
    plan = plan_of("nightly", RunRequest.of(profile="quick", store=str(tmp_path / "store")))
    assert [stage.name for stage in plan.runs if stage.estimate is None] == []
    assert {stage.estimate.basis for stage in plan.runs if stage.estimate} == {"size"}
    assert 100 < plan.cost.seconds < 390
    assert 800 < plan.cost.peak_mb < 2_460
    assert 365e6 < plan.cost.bytes < 1_460e6


def test_twice_the_texts_take_about_twice_as_long(tmp_path: Path) -> None:
    once, twice = (
        Expectations(request_for(tmp_path / "store", _texts(tmp_path / f"{rows}.csv", rows)).resolve(), "nightly")
        for rows in (20_000, 40_000)
    )
    for stage in ("count_terms", "fit_projection"):
        few, many = once.of("corpus", stage), twice.of("corpus", stage)
        assert few is not None
        assert many is not None
        assert 1.7 < many.seconds / few.seconds < 2.3
        assert many.bytes / few.bytes == pytest.approx(2, rel=0.15)


def test_stages_of_a_part_have_costs_of_their_own(tmp_path: Path) -> None:
    settings = RunRequest.of(profile="quick", store=str(tmp_path)).resolve()
    known = Expectations(settings, "nightly")
    ranker, completer = known.of("xmr", "train_rankers"), known.of("xmr", "train_rankers (autocomplete)")
    assert ranker is not None
    assert completer is not None
    assert ranker.seconds > completer.seconds
    assert known.of("corpus", "count_ngrams (queries)") is not None
    # A day of an input costs what its stage does.
    assert known.of("corpus", "import_documents (2026-01-02)") == known.of("corpus", "import_documents")
    assert known.of("toy", "no_such_stage") is None


def test_earlier_runs_correct_what_the_model_tells_and_small_stages_do_not(tmp_path: Path) -> None:
    source = _texts(tmp_path / "products.csv", 40_000)
    settings = request_for(tmp_path / "store", source).resolve()
    told = Expectations(settings, "nightly").of("corpus", "fit_projection")
    small = Expectations(settings, "nightly").of("ann", "assemble_index")
    assert told is not None
    assert small is not None
    stage = {"ref": f"corpus.projection/day=2026-01-02/{'0' * 32}", "computed": True}
    for number, factor in enumerate((3.0, 2.0, 40.0)):
        record: dict[str, Any] = {
            "id": f"2026010{number}T000000000-aaaaaa",
            **{"flow": "nightly", "state": "completed", "collection": "other", "day": "2026-01-02", "seconds": 1.0},
            "stages": [
                {
                    "stage": "fit_projection",
                    "seconds": 10 * factor,
                    "bytes": 5_000_000,
                    "estimate": asdict(Estimate(10.0, 1.0, 10_000_000, basis="size")),
                    **stage,
                },
                {
                    "stage": "assemble_index",
                    "seconds": 0.4,
                    "bytes": 900,
                    "estimate": asdict(Estimate(0.05, 1.0, 300, basis="size")),
                    **stage,
                },
            ],
        }
        save_run(Store(str(tmp_path / "store")).prepare(), record["id"], record)
    known = Expectations(settings, "nightly")
    corrected, as_before = known.of("corpus", "fit_projection"), known.of("ann", "assemble_index")
    assert corrected is not None
    assert as_before is not None
    # The median of 2, 3 and at most 8.
    assert corrected.seconds == pytest.approx(3 * told.seconds, rel=0.01)
    assert corrected.bytes == pytest.approx(told.bytes / 2, abs=1)
    assert corrected.basis == "corrected"
    assert (as_before.seconds, as_before.bytes) == (small.seconds, small.bytes)


def test_a_sentence_says_where_costs_are_from() -> None:
    costs = [Estimate(1, 1, 1), Estimate(1, 1, 1, basis="size"), Estimate(1, 1, 1, basis="size")]
    assert basis_text(costs) == (
        "Costs of stages: 1 as it was computed last; 2 from the size of the input, by a measurement of this machine (1.00 of"
        " the reference machine's seconds)"
    )
    assert basis_text([Estimate(1, 1, 1, basis="corrected")]).endswith("what earlier runs in this store took")
    assert basis_text([]) == ""


def test_the_sample_is_as_large_as_its_sources(tmp_path: Path) -> None:
    settings = RunRequest.of(profile="tiny", store=str(tmp_path)).resolve()
    share = Inputs(settings, "nightly").sample_share
    assert share is not None
    assert 100 / SAMPLE_SOURCES < share < 1_000 / SAMPLE_SOURCES


def test_a_column_that_is_missing_is_refused_in_the_same_words_by_plan_and_run(tmp_path: Path) -> None:
    request = request_for(tmp_path / "store", write_csv(tmp_path / "products.csv")).model_copy(
        update={"columns": {"id": "code", "title": "name"}}
    )
    said = []
    for refused in (checked_plan, run_flow):
        with pytest.raises(InputError, match="code") as problem:
            refused("featurize_corpus", request)
        said.append(str(problem.value))
    assert said[0] == said[1]


def test_an_input_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FingerpostError, match=r"none\.csv"):
        checked_plan("nightly", request_for(tmp_path / "store", tmp_path / "none.csv"))


def test_too_little_memory_for_the_build_is_refused_as_the_build_would_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(tmp_path / "store", write_csv(tmp_path / "products.csv"))
    monkeypatch.setattr(ann_costs, "available_memory", lambda: 1_000)
    with pytest.raises(BuildMemoryError, match=r"build of 240 x 32 vectors: expected at least .* MB of memory"):
        checked_plan("nightly", request)
    # Plans of days, which look at many, refuse nothing.
    assert plan_of("nightly", request).runs


def test_too_small_a_disk_is_refused_by_the_plan_and_by_the_run_before_it_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(tmp_path / "store", write_csv(tmp_path / "products.csv"))
    cost = checked_plan("featurize_corpus", request).cost
    free = SimpleNamespace(free=round(0.7 * cost.bytes))
    monkeypatch.setattr(room, "shutil", SimpleNamespace(**{**vars(shutil), "disk_usage": lambda _: free}))
    assert any(note.startswith("Disk space is scarce") for note in checked_plan("featurize_corpus", request).notes)
    free.free = round(0.4 * cost.bytes)
    with pytest.raises(DiskSpaceError, match=r"MB of free disk space for \d+ stage"):
        checked_plan("featurize_corpus", request)
    free.free = 0
    with pytest.raises(FingerpostError, match=r"MB of free disk space for import_documents"):
        run_flow("featurize_corpus", request, quiet=True)


def test_a_store_elsewhere_has_no_disk_here(tmp_path: Path) -> None:
    assert room.free_bytes("s3://bucket/x") is None
    room.check_room("s3://bucket/x", "everything", 10**18)
    assert (room.free_bytes(str(tmp_path / "not" / "there")) or 0) > 0


def test_a_plan_says_how_long_a_run_takes_beside_its_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(**settings: object) -> float:
        given = FLOWS["train_ranker"](tmp_path)
        request = RunRequest.of(profile="tiny", store=str(tmp_path / "store"), settings=settings, **given)
        show_plan("train_ranker", request, as_json=True)
        seconds = float(json.loads(capsys.readouterr().out)["beside_seconds"])
        show_plan("train_ranker", request, as_json=False)
        assert f"start and end in about {seconds:.0f} s" in capsys.readouterr().out
        return seconds

    alone, workers = told(), told(**{"run.workers": 2})
    assert alone == cost_laws.RUN_STARTS_AND_ENDS
    assert workers - alone == cost_laws.WORKERS_START
    # At an address they are there already.
    assert told(**{"run.workers": 2, "run.cluster": "tcp://127.0.0.1:8786"}) == alone
