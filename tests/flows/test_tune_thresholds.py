"""Thresholds through Prefect's test harness, and the command that chooses, checks and migrates them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.domains.metric.gates import threshold_gates
from fingerpost.flows.domains.metric.settings import ThresholdGates
from fingerpost.flows.domains.metric.sources import skipped
from fingerpost.flows.domains.settings import Settings
from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.gates import held_back
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.errors import FingerpostError, GateError, InputError, MissingArtifactError
from fingerpost.schemas.inputs import SAMPLE
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Gate, Pointer
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ann.open import live as live_index
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.metric.calibrated import ForeignModelError
from fingerpost.tasks.metric.open import PRODUCT, live, threshold_for
from tests.support.embedding_files import DAY, write
from tests.support.report_pages import Page
from tests.unit.metric.worlds import embeddings

pytestmark = pytest.mark.usefixtures("drawn_runs")

ROWS, CLASSES = 400, 16


def vectors_of(seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Vectors, ids and labels of a small world."""
    vectors, labels = embeddings(CLASSES, ROWS, 8, seed)
    return vectors, [f"face {row}" for row in range(ROWS)], [f"person {label}" for label in labels]


def cameras(labels: list[str]) -> list[int | None]:
    """The group of each row: camera 1 took the first persons, whose rows are alike, camera 2 the last, the others none."""
    place = [int(label.split()[1]) for label in labels]
    return [1 if at < 7 else 2 if at > 8 else None for at in place]


def request_for(folder: Path, **settings: object) -> RunRequest:
    """The tiny profile over a file of embeddings."""
    given = {
        "metric.target.share": 0.02,
        "metric.model": "camera 1",
        "metric.opis.draws": 50,
        "metric.columns": {"group": "camera"},
        "metric.least_group_classes": 3,
    }
    return RunRequest(
        profile="tiny",
        store=str(folder / ".fingerpost"),
        day=DAY,
        input=str(folder / "faces.parquet"),
        collection="faces",
        settings=given | settings,
    )


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, drawn_runs: None) -> Path:
    """A folder with a file of embeddings and a store in which their threshold is live."""
    folder = tmp_path_factory.mktemp("faces")
    vectors, ids, labels = vectors_of()
    write(folder / "faces.parquet", vectors, ids, labels, camera=cameras(labels))
    run_flow("tune_thresholds", request_for(folder), quiet=True)
    return folder


def asked(*arguments: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    done = CliRunner().invoke(app, ["threshold", *arguments, "--json"])
    assert done.exit_code == 0, repr(done.exception)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_embeddings_become_a_live_threshold_which_is_that_of_the_command(faces: Path) -> None:
    store = Store(str(faces / ".fingerpost"))
    move = Pointer(store, "faces", PRODUCT).required()
    gates = {gate["name"]: gate["value"] for gate in move.gates}
    assert gates.keys() == {
        "threshold_classes",
        "quarantine_share",
        "threshold_keeps_target",
        "threshold_rate_over_target",
        "threshold_frr",
    }
    record = runs(store, newest=1)[0]
    assert record["refs"]["threshold_release"] == move.ref
    counted = [stage for stage in record["stages"] if stage["stage"] == "count_class_pairs"]
    assert {stage["part"] for stage in counted} == {"validation", "test"}
    made = live("faces", store=store.url)
    assert made.threshold.model == "camera 1"
    assert len(made.threshold.canary_ids) == 8

    found = asked("--input", str(faces / "faces.parquet"), "--far", "0.02")
    assert found["threshold"] == made.threshold.threshold
    assert found["interval"] == list(made.threshold.interval)
    assert 0.95 * 0.02 <= found["chosen_on"]["far"] <= 0.02
    for name in ("far", "frr", "opis", "recall_at_1", "map_at_r"):
        expected = made.quality[f"test_{name}"] if name in ("far", "frr") else made.quality[name]
        assert found["tested_on"][name] == pytest.approx(expected, abs=1e-12)
    assert gates["threshold_rate_over_target"] == pytest.approx(found["tested_on"]["far"] / 0.02)
    rates = [row["far"] for row in found["worst"]]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == found["tested_on"]["classes"] == CLASSES - found["chosen_on"]["classes"]


def test_groups_are_in_assessment_report_and_command(faces: Path) -> None:
    store = Store(str(faces / ".fingerpost"))
    record = next(r for r in runs(store, newest=20) if r["publications"])
    ref = Ref.parse(record["refs"]["threshold_assessment"])
    rows = store.open(ref, contracts.ASSESSMENT).read("groups").to_pylist()
    assert [row["name"] for row in rows] == ["1", "2"]
    asked_for = ("--input", str(faces / "faces.parquet"), "--far", "0.02")
    assert asked(*asked_for)["groups"] == []
    found = asked(*asked_for, "--group", "camera")["groups"]
    for row, group in zip(rows, found, strict=True):
        for name in ("name", "classes", "test_classes", "test_rate"):
            assert row[name] == pytest.approx(group[name])
        assert row["threshold"] is not None or row["classes"] < 3
        assert (group["threshold"] is None) == (group["classes"] < 5)
    text = Page(render(store, record)).text("threshold")
    assert "Groups of classes" in text
    assert f"1 {rows[0]['classes']} {100 * rows[0]['rate']:.3g} %" in text
    assert live("faces", store=store.url).threshold.groups.keys() == {row["name"] for row in rows if row["worth"]}
    assert any(row["threshold"] for row in rows)
    shown = asked_plainly(*asked_for, "--group", "camera")
    assert "FAR by its own" in shown
    assert (" too few " in shown) == any(group["threshold"] is None for group in found)
    with pytest.raises(InputError, match="expected a column 'lens' for group"):
        asked_plainly(*asked_for, "--group", "lens")


def test_a_target_that_is_not_safely_met_is_said_wherever_the_threshold_is(faces: Path) -> None:
    store = Store(str(faces / ".fingerpost"))
    record = next(r for r in runs(store, newest=20) if r["publications"])
    said = live("faces", store=store.url).quality["cautions"]
    assert said
    assert said[0].startswith("at the ends of its interval FAR is ")
    assert [note for note in record["notes"] if "safely" in note] == [
        f"The threshold's target is not safely met: {words}" for words in said
    ]
    assert said[0] in Page(render(store, record)).text("threshold")
    asked_for = ("--input", str(faces / "faces.parquet"), "--far", "0.02")
    assert asked(*asked_for)["cautions"] == asked("--store", store.url)["cautions"] == said
    assert f"not safely met: {said[0]}" in asked_plainly(*asked_for)


def test_what_did_not_change_is_reused_and_a_change_says_why(faces: Path) -> None:
    run_flow("tune_thresholds", request_for(faces), quiet=True)
    assert not [s for s in runs(Store(str(faces / ".fingerpost")), newest=1)[0]["stages"] if s["computed"]]
    plan = plan_of("tune_thresholds", request_for(faces, **{"metric.target.share": 0.05}))
    assert {stage.stage: stage.reason for stage in plan.stages if stage.runs} == {
        "assess_threshold": "parameters changed (params.target.share)",
        "release_threshold": "parameters changed (target.share); input changed (assessment)",
    }
    plan = plan_of("tune_thresholds", request_for(faces, **{"metric.memory_mb": 0.05}))
    ran = [stage.name for stage in plan.stages if stage.runs]
    assert ran[:2] == ["arrange_classes (validation)", "count_class_pairs (validation)"]


def test_a_missed_gate_keeps_the_threshold_that_is_live(faces: Path) -> None:
    store = Store(str(faces / ".fingerpost"))
    before = Pointer(store, "faces", PRODUCT).required()
    with pytest.raises(GateError, match=r"faces/metric.threshold: .*threshold_recall_at_1 0\.\d+ \(at least 0.9999\)"):
        run_flow(
            "tune_thresholds",
            request_for(faces, **{"metric.gates.recall_at_1": 0.9999, "metric.seed": 1}),
            quiet=True,
        )
    assert Pointer(store, "faces", PRODUCT).required() == before


def test_a_threshold_that_costs_too_much_is_held_back_and_the_run_may_go_on(faces: Path) -> None:
    store, costly = Store(str(faces / ".fingerpost")), {"metric.gates.frr": 0.001, "metric.target.share": 0.001}
    before = Pointer(store, "faces", PRODUCT).required()
    with pytest.raises(GateError, match=r"expected every gate to pass, found threshold_frr 0\.\d+ \(at most 0.001\)"):
        run_flow("tune_thresholds", request_for(faces, **costly), quiet=True)
    run_flow("tune_thresholds", request_for(faces, **costly, **{"metric.gates.missed": "note"}), quiet=True)
    record = runs(store, newest=1)[0]
    assert (record["state"], record["publications"]) == ("completed", [])
    assert any(not gate["holds"] and gate["gate"].startswith("threshold_frr") for gate in record["gates"])
    assert any(note.startswith("The threshold is not published: threshold_frr 0.") for note in record["notes"])
    assert "The threshold is not published: threshold_frr 0." in Page(render(store, record)).text("stages")
    assert Pointer(store, "faces", PRODUCT).required() == before


def test_a_thresholds_cost_is_the_rate_that_it_does_not_keep() -> None:
    quality = {
        "test_classes": 9,
        "quarantine_share": 0.0,
        "share": 0.1,
        "test_far": 0.15,
        "test_frr": 0.3,
        "recall_at_1": 0.9,
    }
    names = ("threshold_classes", "quarantine_share", "threshold_rate_over_target")
    for rate, cost, bound in (("far", "threshold_frr", 0.5), ("frr", "threshold_far", 0.2)):
        manifest = Manifest({"quality": quality | {"rate": rate}}, {})
        gates = {gate.name: gate for gate in threshold_gates(manifest, ThresholdGates())}
        assert list(gates) == [*names, cost]
        assert (gates[cost].value, gates[cost].bound) == (quality["test_" + cost.removeprefix("threshold_")], bound)
        off = threshold_gates(manifest, ThresholdGates(frr=1, far=1))
        assert [gate.name for gate in off] == list(names)


def test_a_target_that_no_threshold_keeps_or_of_nothing_is_gated_too() -> None:
    quality = {
        "test_classes": 9,
        "quarantine_share": 0.0,
        "rate": "far",
        "share": 0.0,
        "test_far": 0.001,
        "test_frr": 0.3,
        "kept": True,
        "target_pairs": 6_000,
    }

    def missed(**changed: object) -> dict[str, float]:
        gates = threshold_gates(Manifest({"quality": quality | changed}, {}), ThresholdGates())
        return {gate.name: gate.value for gate in gates if not gate.holds}

    # Of 6,000 pairs without a wrong one, a rate of 3 / 6,000 can be excluded.
    assert missed() == {}
    assert missed(test_far=0.002) == {"threshold_rate_over_target": pytest.approx(4)}
    assert missed(kept=False) == {"threshold_keeps_target": 0}


def test_rows_in_two_classes_keep_a_threshold_from_going_live_and_are_named(tmp_path: Path) -> None:
    vectors, ids, labels = vectors_of()
    # Every class has two rows of another one.
    vectors[-2 * CLASSES :] = vectors[0]
    labels[-2 * CLASSES :] = [f"person {place % CLASSES}" for place in range(2 * CLASSES)]
    write(tmp_path / "faces.parquet", vectors, ids, labels, camera=cameras(labels))
    with pytest.raises(GateError, match=r"threshold_keeps_target 0 \(at least 1\)"):
        run_flow("tune_thresholds", request_for(tmp_path, **{"metric.target.share": 0.0}), quiet=True)
    record = runs(Store(str(tmp_path / ".fingerpost")), newest=1)[0]
    assert record["publications"] == []
    assert any("no threshold keeps FAR 0 %" in note for note in record["notes"])


def test_the_samples_threshold_alone_is_held_back_by_itself() -> None:
    ref, settings = Ref(PRODUCT, DAY, "0" * 32), Settings()
    missed, held = Gate("threshold_frr", 0.94, 0.5, "at_most"), Gate("threshold_frr", 0.4, 0.5, "at_most")
    assert held_back(ref, SAMPLE, [missed, held], settings).startswith(
        "The threshold is not published: threshold_frr 0.94 (at most 0.5); "
    )
    assert held_back(ref, SAMPLE, [held], settings) == ""
    assert held_back(ref, "faces", [missed], settings) == ""
    assert held_back(Ref("ann.index", DAY, "0" * 32), SAMPLE, [missed], settings) == ""
    assert (
        held_back(ref, SAMPLE, [missed], Settings.model_validate({"metric": {"gates": {"sample_missed": "fail"}}}))
        == ""
    )


def test_the_report_shows_the_threshold_and_its_worst_classes(faces: Path) -> None:
    store = Store(str(faces / ".fingerpost"))
    record = next(r for r in runs(store, newest=20) if r["publications"])
    page = Page(render(store, record))
    text = page.text("threshold")
    found = asked("--input", str(faces / "faces.parquet"), "--far", "0.02")
    assert f"{found['threshold']:.7g} : a cosine similarity of at least that, for FAR 2.0 %" in text
    worst = found["worst"][0]
    assert f"{worst['name']} {100 * worst['far']:.3g} % {100 * worst['frr']:.3g} %" in text
    assert any("mean of classes" in plot for plot in page.plots)
    assert any("pairs of two classes that pass" in plot for plot in page.plots)
    assert "Threshold" in page.text("live")


def test_a_nightly_tunes_the_threshold_of_its_documents_where_it_is_asked_to(tmp_path: Path) -> None:
    vectors, ids, labels = vectors_of(1)
    write(tmp_path / "faces.parquet", vectors, ids, labels, "package")
    asked_for = request_for(
        tmp_path, **{"metric.input": "documents", "ann.gates.recall_at_10": 0.3, "metric.model": ""}
    )
    assert "release_threshold" not in {
        stage.stage
        for stage in plan_of("nightly", request_for(tmp_path, **{"metric.input": "python-docs-packages"})).stages
    }
    run_flow("nightly", asked_for, quiet=True)
    store = Store(str(tmp_path / ".fingerpost"))
    record = runs(store, newest=1)[0]
    assert [Ref.parse(move["ref"]).name for move in record["publications"]] == ["ann.index", "metric.threshold"]
    made = live(store=store.url)
    assert made.threshold.model == "faces", "given vectors are of the model that the collection is named after"
    found_ids, found_labels, _ = made.embeddings()
    assert (found_ids, found_labels) == (ids, labels)
    names = {
        name
        for side in ("validation", "test")
        for name in (
            store.open(Ref.parse(record["refs"][f"threshold_{side}_pairs"]), contracts.HISTOGRAMS)
            .read("names")["name"]
            .to_pylist()
        )
    }
    assert names == set(labels)
    answers_within_the_threshold(store, made.threshold.threshold, vectors, ids)
    write(tmp_path / "other.parquet", vectors[:, ::-1].copy(), ids, labels)
    run_flow(
        "tune_thresholds",
        request_for(tmp_path, **{"metric.input": str(tmp_path / "other.parquet"), "metric.columns": {}}),
        quiet=True,
    )
    with pytest.raises(
        ForeignModelError, match=r"expected the vector of 'face \d+' that model camera 1 gives, .* of another model"
    ):
        threshold_for(live_index(store=store.url))
    with pytest.raises(FingerpostError, match="the vectors are of another model"):
        queried("--like", "face 3", "--within", "threshold", "--store", store.url)


def answers_within_the_threshold(store: Store, threshold: float, vectors: np.ndarray, ids: list[str]) -> None:
    """All documents as near as the threshold, by the index, the command and a look at all."""
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    index, more = live_index(store=store.url), 0
    for row in (0, 17, 200, 399):
        near = [ids[at] for at in np.flatnonzero(unit @ unit[row] >= threshold) if at != row]
        found = index.similar(ids[row], k=ROWS, within=threshold_for(index).threshold)
        assert {answer.id for answer in found.answers} == set(near)
        assert found.within == pytest.approx(threshold)
        assert not found.more
        by_vector = index.search(vectors[row], k=ROWS, within=threshold).answers
        assert [answer.id for answer in by_vector] == [ids[row], *(answer.id for answer in found.answers)]
        few = index.similar(ids[row], k=2, within=threshold_for(index).threshold)
        assert (few.answers, few.more) == (found.answers[:2], len(near) > 2)
        more += few.more
    assert more
    shown = queried("--like", ids[0], "--within", "threshold", "-k", "2", "--store", store.url)
    assert f"2 answer(s) whose vectors have a similarity of at least {threshold:.7g}; there are more" in shown
    for text, message in (("near", "--within: expected 'threshold' or a number, got 'near'"), ("nan", "got 'nan'")):
        with pytest.raises(FingerpostError, match=message):
            queried("--like", ids[0], "--within", text, "--store", store.url)


def queried(*arguments: str) -> str:
    """What `fingerpost query` prints; its error is raised."""
    done = CliRunner().invoke(app, ["query", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_the_live_threshold_refuses_vectors_of_another_model(faces: Path, tmp_path: Path) -> None:
    store = ("--store", str(faces / ".fingerpost"))
    found = asked(*store, "--check", str(faces / "faces.parquet"))
    assert found["checked"]["canaries_compared"] == 8
    assert found["model"] == "camera 1"
    vectors, ids, labels = vectors_of()
    other = write(tmp_path / "other.parquet", vectors[:, ::-1], ids, labels)
    with pytest.raises(FingerpostError, match=r"other.parquet: threshold: .*the vectors are of another model"):
        asked_plainly(*store, "--check", str(other))
    few = write(tmp_path / "few.parquet", vectors[:, :5], ids, labels)
    with pytest.raises(FingerpostError, match=r"expected vectors of 8 dimensions as model camera 1 gives, got 5"):
        asked_plainly(*store, "--check", str(few))
    unknown = write(tmp_path / "unknown.parquet", vectors, [f"other {i}" for i in ids], labels)
    with pytest.raises(FingerpostError, match=r"canaries of model camera 1 \(ids .*\), found none; add"):
        asked_plainly(*store, "--check", str(unknown))
    with pytest.raises(ForeignModelError, match="expected vectors of model camera 1, got those of camera 2"):
        live("faces", store=str(faces / ".fingerpost")).threshold.check(model="camera 2")
    with pytest.raises(MissingArtifactError, match=r"others/metric\.threshold: expected a live version, found none"):
        asked_plainly(*store, "--collection", "others")


def test_the_profiles_tune_the_samples_threshold_where_its_packages_are_enough() -> None:
    for profile in ("quick", "nightly", "full"):
        assert not skipped(RunRequest(profile=profile).resolve())
        assert skipped(RunRequest(profile=profile, settings={"input.distributions": ["networkx", "numpy"]}).resolve())
        assert skipped(RunRequest(profile=profile, input="products.csv").resolve())
    assert skipped(RunRequest(profile="tiny").resolve())
    assert not skipped(
        RunRequest(profile="tiny", input="products.csv", settings={"metric.input": "documents"}).resolve()
    )


def asked_plainly(*arguments: str) -> str:
    """What the command prints; its error is raised."""
    done = CliRunner().invoke(app, ["threshold", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_a_threshold_is_carried_over_to_a_new_model(faces: Path, tmp_path: Path) -> None:
    vectors, ids, labels = vectors_of()
    store, old = ("--store", str(faces / ".fingerpost")), str(faces / "faces.parquet")
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))[0].astype(np.float32)
    turned = str(write(tmp_path / "turned.parquet", 2 * vectors @ turn, ids, labels))
    moved = asked(*store, "--migrate", turned)
    assert moved["before"]["threshold"] == live("faces", store=str(faces / ".fingerpost")).threshold.threshold
    assert moved["after"]["threshold"] == pytest.approx(moved["before"]["threshold"], abs=2 / 2048)
    wider = str(write(tmp_path / "wider.parquet", vectors + 1, ids[:-5] + list("abcde"), labels))
    moved = asked("--input", old, "--migrate", wider, "--from", "0.7")
    assert moved["before"]["threshold"] == 0.7
    assert (moved["rows"], moved["only_in_from"], moved["only_in_to"]) == (ROWS - 5, 5, 5)
    assert 0.95 * moved["before"]["far"] <= moved["after"]["far"] <= moved["before"]["far"]
    assert moved["after"]["threshold"] > 0.7
    shown = asked_plainly("--input", old, "--migrate", wider, "--from", "0.7")
    assert re.search(r"classes .*\bFAR\b", shown)
    assert moved["changes"][0]["name"] in shown
    with pytest.raises(FingerpostError, match=r"expected the ids of .*found 0 of its 400; embed the same rows"):
        asked_plainly(
            "--input", old, "--migrate", str(write(tmp_path / "none.parquet", vectors, list(range(ROWS)), labels))
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v, i, c: v.__setitem__((3, 0), np.nan),
            r"found vector not finite \(number 0 of 8 .*\) in row 3 of id 'face 3'",
        ),
        (lambda v, i, c: v.__setitem__(5, 0), r"found zero vector \(all its 8 numbers are 0\) in row 5"),
        (
            lambda v, i, c: i.__setitem__(7, "face 2"),
            r"found duplicate id \(row 2 has it\) in row 7.*1 bad row\(s\) in all",
        ),
        (
            lambda v, i, c: c.__setitem__(slice(None), ["a"] * ROWS),
            r"expected two classes or more, found 1 in 400 rows",
        ),
        (
            lambda v, i, c: c.__setitem__(slice(None), i),
            r"expected a class with two rows or more, found 400 classes of one row",
        ),
        (
            lambda v, i, c: c.__setitem__(slice(None), ["a", "b"] * 200),
            r"two classes or more on either side of the split, .*--same-classes",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(change: Any, message: str, tmp_path: Path) -> None:
    vectors, ids, labels = vectors_of()
    change(vectors, ids, labels)
    with pytest.raises(FingerpostError, match=rf"bad.parquet: .*{message}"):
        asked_plainly("--input", str(write(tmp_path / "bad.parquet", vectors, ids, labels)))


def test_rows_of_unlike_form_and_wrong_usage_are_refused(tmp_path: Path) -> None:
    rows = [{"id": row, "label": row // 4, "vector": [row % 5 + 0.5, 1.0, row % 3]} for row in range(40)]

    def file(*more: dict[str, Any]) -> str:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]))
        return str(tmp_path / "rows.jsonl")

    for more, message in (
        ({"id": 99, "label": 1, "vector": [1, 2]}, r"vector of wrong length \(2 numbers, most have 3\) in row 40"),
        ({"id": 99, "label": 1}, r"found no vector \(the vector is missing\) in row 40"),
        ({"id": 99, "label": 1, "vector": "abc"}, r"vector is text \('abc'\), not a list of numbers"),
    ):
        with pytest.raises(InputError, match=message):
            asked_plainly("--input", file(more))
    assert asked("--input", file({"id": 99, "label": "", "vector": [1, 1, 1]}))["unlabelled"] == 1
    with pytest.raises(InputError, match=r"expected a column 'person' for label, found id, label, vector; map it"):
        asked_plainly("--input", file(), "--map", "label=person")
    with pytest.raises(InputError, match=r"gone\.parquet: expected a file or folder, found nothing there"):
        asked_plainly("--input", str(tmp_path / "gone.parquet"))
    for arguments, message in (
        (("--input", file(), "--far", "0.1", "--frr", "0.1"), "expected one of --far and --frr, got both"),
        (("--input", file(), "--from", "0.5"), "expected --migrate with --from, found none"),
        (("--far", "0.1"), "expected --input with --far or --frr, found none"),
        (("--input", file(), "--measure", "taxicab"), "measure: expected one of"),
        (("--input", file(), "--memory-mb", "1", "--check", "x.parquet"), "expected --check alone"),
        (("--store", str(tmp_path / "none")), "expected a store, found none"),
    ):
        with pytest.raises(FingerpostError, match=message):
            asked_plainly(*arguments)
    assert CliRunner().invoke(app, ["threshold", "--far", "2"]).exit_code == 2


def test_the_command_tells_the_threshold_without_prefect_or_dask(faces: Path) -> None:
    shown = asked_plainly("--input", str(faces / "faces.parquet"), "--frr", "0.1", "--worst", "3", "--same-classes")
    assert "for FRR 10 %; 95 % interval" in shown
    assert "the same classes" in shown
    assert len(shown[shown.index("worst classes by FRR") :].splitlines()) == 4
    code = (
        "import sys; from fingerpost.flows.cli import app; from typer.testing import CliRunner\n"
        "done = CliRunner().invoke(app, sys.argv[1:]); assert done.exit_code == 0, done\n"
        "assert not {'prefect', 'distributed', 'dask', 'torch', 'matplotlib'} & set(sys.modules), 'imported'"
    )
    given = ["threshold", "--input", str(faces / "faces.parquet")]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
