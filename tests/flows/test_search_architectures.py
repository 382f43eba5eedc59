"""Searches of networks from images to what is published and refused, and what changes between days."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerpost.flows.domains.nas import sources
from fingerpost.flows.domains.nas.answers import NetworkAnswers
from fingerpost.flows.domains.nas.sources import skipped
from fingerpost.flows.ops.compare.diff import diff
from fingerpost.flows.ops.compare.versions import find_version
from fingerpost.flows.ops.compare.why import why
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.profiles import load_settings
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError, GateError, InputError
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import read_members
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.architecture_toml import architecture_toml
from fingerpost.tasks.nas.open import live
from fingerpost.tasks.nas.spaces import reference_for_images
from tests.support.searched_networks import DAYS, FLOW, PRODUCT, Lab, write_drawings

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("plain_runs")

#: What a second day has in place of the first one's settings: other candidates.
OTHER = {"nas.search.seed": 1, "nas.gates.change.accuracy": 1.0, "nas.evaluation.reference": False}
LIMITED = {"nas.limits.latency_share": 0.9, "nas.limits.memory_share": 1.0}


def run(lab: Lab, day: str = DAYS[0], **settings: Any) -> dict[str, Any]:
    """The record of a run."""
    run_flow(FLOW, lab.request(day, **settings), quiet=True)
    return runs(lab.store, newest=1)[0]


def computed(record: dict[str, Any]) -> list[str]:
    """The stages that a run computed."""
    return [stage["stage"] for stage in record["stages"] if stage["computed"]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Lab:
    """Two days of searches over digits, the second one with another seed and without a limit."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    run(lab, **LIMITED)
    run(lab, DAYS[1], **OTHER)
    return lab


def test_a_network_is_published_with_what_it_was_measured_to_be(lab: Lab) -> None:
    first = Pointer(lab.store, "digits", PRODUCT).history()[0]
    assert {gate["name"] for gate in first.gates} >= {
        "network_tested",
        "quarantine_share",
        "network_latency_ms",
        "network_memory_bytes",
        "network_onnx_difference",
    }
    quality = lab.store.manifest(first.artifact).quality
    assert quality["tested"] == 100
    assert quality["classes"] == 10
    assert 0 < quality["latency_ms"] <= quality["latency_ms_limit"] < quality["reference_latency_ms"]
    assert quality["onnx_difference"] <= 1e-4
    assert quality["accuracy_low"] <= quality["accuracy"] <= quality["accuracy_high"]
    members = read_members(lab.store, first.artifact)
    assert set(members) == {"images", "measurements", "latency", "search", "trained", "measured", "evaluation"}


def test_the_live_network_answers_and_its_files_are_those_of_its_architecture(lab: Lab) -> None:
    network = live("digits", store=lab.store.url)
    found = network.predict(np.zeros((3, 8, 8), np.uint8))
    assert len(found.names) == 3
    assert set(found.names) <= set(network.classes)
    assert np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-4)
    assert network.onnx[:4]
    rows = network.front().to_pylist()
    assert network.architecture.id in {row["architecture"] for row in rows}
    assert all(row["front"] == 0 and row["feasible"] for row in rows)


def test_what_did_not_change_is_reused_and_a_change_says_why(lab: Lab) -> None:
    assert not computed(run(lab, DAYS[1], **OTHER))
    assert not [stage.stage for stage in plan_of(FLOW, lab.request(DAYS[2], **OTHER)).stages if stage.runs]
    plan = plan_of(FLOW, lab.request(DAYS[1], **OTHER, **{"nas.training.epochs": 3}))
    reasons = {stage.stage: stage.reason for stage in plan.stages if stage.runs}
    assert set(reasons) == {"train_network", "measure_network", "evaluate_network", "assemble_network"}
    assert "parameters changed" in reasons["train_network"]


def test_a_device_is_measured_once_and_again_where_that_is_forced(lab: Lab) -> None:
    forced = lab.request(DAYS[1], **OTHER).model_copy(update={"force": ("measure_operators",)})
    again = {stage.stage for stage in plan_of(FLOW, forced).stages if stage.runs}
    assert again >= {"measure_operators", "fit_latency", "search_networks", "measure_network"}
    assert "import_labelled_images" not in again


def test_the_diff_compares_front_with_front_and_architecture_with_architecture(lab: Lab) -> None:
    before, after = (find_version(lab.store, f"live~{back}", product=PRODUCT) for back in (1, 0))
    changes = {
        change.about: change for artifact in diff(lab.store, before, after).artifacts for change in artifact.data
    }
    front = changes["front"].figures
    assert front["evaluated before"] > 1
    assert front["in both fronts"] <= min(front["front before"], front["front after"])
    descriptions = [_description(lab, ref) for ref in (before.ref, after.ref)]
    same = descriptions[0] == descriptions[1]
    assert (changes.get("architecture") is None or not changes["architecture"].examples) == same


def _description(lab: Lab, release: Ref | None) -> Architecture:
    assert release is not None
    trained = lab.store.open(read_members(lab.store, release)["trained"], contracts.TRAINED)
    return Architecture.parse(trained.read("architecture")["description"][0].as_py())


def test_limits_that_nothing_keeps_are_refused_with_the_lowest_that_was_found(tmp_path: Path) -> None:
    with pytest.raises(FingerpostError, match="latency_ms") as caught:
        run(Lab(tmp_path), **{"nas.limits.latency_ms": 1e-6})
    assert "Traceback" not in str(caught.value)


def test_a_network_of_too_low_accuracy_is_not_published(lab: Lab, tmp_path: Path) -> None:
    before = Pointer(lab.store, "digits", PRODUCT).required().ref
    with pytest.raises(GateError, match="network_accuracy"):
        run(lab, DAYS[2], **OTHER, **{"nas.gates.accuracy": 1.0, "nas.training.epochs": 1})
    assert Pointer(lab.store, "digits", PRODUCT).required().ref == before


def test_a_nightly_leaves_the_search_out_with_a_note_that_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings("quick")[0]
    assert skipped(settings) == ""
    with monkeypatch.context() as patch:
        patch.setattr(sources, "missing_packages", lambda: ["torch", "onnx"])
        assert "the extra nas (torch, onnx) is not installed" in skipped(settings)
    assert "nas.data names no images" in skipped(load_settings("tiny")[0])
    other = load_settings("quick", overrides={"input.collection": "mine", "input.source": "mine.csv"})[0]
    assert "requires the built-in sample" in skipped(other)


def test_images_of_a_folder_are_searched_for_and_bad_ones_quarantined(tmp_path: Path) -> None:
    folder = write_drawings(tmp_path / "drawings")
    (folder / "bar" / "broken.png").write_bytes(b"no image")
    lab = Lab(tmp_path, "drawings")
    record = run(
        lab,
        **{
            "nas.data": str(folder),
            "nas.images.size": 10,
            "nas.images.training": 0,
            "nas.images.validation": 0,
            "nas.images.test": 0,
            "nas.search.method": "zero-shot",
            "nas.search.finalists": 1,
        },
    )
    imported = next(stage for stage in record["stages"] if stage["stage"] == "import_labelled_images")
    assert imported["quality"]["quarantined"] == 1
    assert products(lab.store) == [("drawings", PRODUCT)]
    assert set(live("drawings", store=lab.store.url).classes) == {"bar", "cross", "dot"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nas.data": "gone/"}, "gone/: expected"),
        ({"nas.device": "gone.csv"}, "gone.csv: expected accelerator, cpu, or a table"),
        ({"nas.reference": "gone.toml"}, "gone.toml: expected a TOML file of an architecture"),
        ({"nas.images.least_rows": 500}, "at least two classes"),
    ],
)
def test_an_input_that_cannot_be_read_is_one_line_before_anything_is_trained(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        run(Lab(tmp_path), **settings)


def test_a_given_architecture_is_where_the_search_begins(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("resolution = 8\n")
    with pytest.raises(InputError, match=r"mine\.toml"):
        run(Lab(tmp_path), **{"nas.reference": str(tmp_path / "mine.toml")})
    for change in ({"classes": 12}, {"inputs": 3}, {"task": "segmentation", "output": 8}):
        other = replace(reference_for_images(8, 1, 10), **change)
        (tmp_path / "mine.toml").write_text(architecture_toml(other))
        with pytest.raises(
            InputError, match=rf"mine\.toml: expected {next(iter(change))} = .*, as the images have, got"
        ):
            run(Lab(tmp_path), **{"nas.reference": str(tmp_path / "mine.toml")})


def test_a_flow_that_runs_alone_reads_the_requested_input(tmp_path: Path) -> None:
    folder = write_drawings(tmp_path / "drawings", per_class=4)
    request = RunRequest(
        profile="tiny", store=str(tmp_path / "store"), day=DAYS[0], input=str(folder), collection="drawings"
    )
    stages = plan_of(FLOW, request).stages
    assert stages[0].stage == "import_labelled_images"


def test_why_tells_what_moved_a_class_and_which_networks_joined_the_front(lab: Lab) -> None:
    before, after = (move.artifact for move in Pointer(lab.store, "digits", PRODUCT).history()[:2])
    sides = [NetworkAnswers(lab.store, ref) for ref in (before, after)]
    key = next(
        key
        for key, *said in zip(sides[0].images.ids.tolist(), *(_first(side) for side in sides), strict=True)
        if said[0] != said[1]
    )
    found = why(lab.store, before, after, key, k=3)
    assert [move.id for move in found.moves if move.after] == sides[1].answer([key], 3)[0]
    assert [move.before for move in found.moves if move.id == sides[0].answer([key], 1)[0][0]] == [1]
    # The image is the same in both: its network alone moved it.
    assert {move.kind for move in found.moves} <= {"architecture", "same"}
    assert any("the architecture changed" in words for words in found.verdict)
    assert [cause.artifact for cause in found.causes] == ["nas.search", "nas.trained"]
    fronts = why(lab.store, before, after, "network", k=10)
    evaluated = [set(rows) for rows in (_evaluated(lab, before), _evaluated(lab, after))]
    for move in fronts.moves:
        there = [move.id in rows for rows in evaluated]
        assert (move.kind == "evaluated") == (there[0] != there[1])
    with pytest.raises(FingerpostError, match=r"expected the id of an image of either version .*, got 'nothing'"):
        why(lab.store, before, after, "nothing")


def _first(side: NetworkAnswers) -> list[str]:
    """What a version says of each of its images."""
    return [names[0] for names in side.answer(side.images.ids.tolist(), 1)]


def _evaluated(lab: Lab, release: Ref) -> list[str]:
    rows = lab.store.open(read_members(lab.store, release)["search"], contracts.SEARCH).read("evaluated")
    return rows["architecture"].to_pylist()


def test_a_replay_asks_a_network_for_the_classes_of_images(lab: Lab) -> None:
    answers = NetworkAnswers(lab.store, lab.live())
    ids = answers.images.ids[:2].tolist()
    assert [len(found) for found in answers.answer([ids[0], "unknown", ids[1]], 4)] == [4, 0, 4]
    assert answers.answer(["unknown"], 4) == [[]]
    [ranked] = answers.ranked(answers.images.pixels[:1])
    assert [name for name, _ in ranked[:4]] == answers.answer(ids[:1], 4)[0]
    assert ranked == sorted(ranked, key=lambda one: -one[1])
    assert sum(chance for _, chance in ranked) == pytest.approx(1, abs=1e-4)
    assert answers.holds({"3", "x"}) == {"3"}
