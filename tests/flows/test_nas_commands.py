"""`fingerpost nas`: measure, advise, front and predict, as a user types them, with good and bad input."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fingerpost.flows.run.start import run_flow
from fingerpost.tasks.nas.architecture_toml import parse_architecture
from tests.support.commands import fingerpost_here, refused
from tests.support.searched_networks import FLOW, SMALL, Lab, write_drawings

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("plain_runs")

#: Options of a device that is measured in a moment.
QUICK = [part for name, value in SMALL.items() if "space" not in name for part in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, plain_runs: None) -> Lab:
    """A live network for digits."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    run_flow(FLOW, lab.request(**{"nas.search.evaluations": 2, "nas.evaluation.reference": False}), quiet=True)
    return lab


@pytest.fixture(autouse=True)
def _store(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINGERPOST_STORE", lab.store.url)


def nas(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that succeeds."""
    done = fingerpost_here("nas", *map(str, arguments), cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def test_front_shows_the_networks_and_writes_the_live_one(tmp_path: Path) -> None:
    shown = nas("front", cwd=tmp_path).stdout
    assert "Pareto front" in shown
    assert "live" in shown
    nas("front", "--onnx", "a.onnx", "--architecture", "a.toml", cwd=tmp_path)
    onnx.checker.check_model(str(tmp_path / "a.onnx"))
    found = json.loads(nas("front", "--json", cwd=tmp_path).stdout)
    assert parse_architecture((tmp_path / "a.toml").read_text()).id == found["chosen"]
    assert found["chosen"] in {row["architecture"] for row in found["front"]}


def test_predict_writes_classes_of_all_kinds_of_inputs(tmp_path: Path) -> None:
    folder = write_drawings(tmp_path / "drawings", per_class=2)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "one.png")
    (folder / "bar" / "broken.png").write_bytes(b"no image")
    shown = nas("predict", "--input", folder, cwd=tmp_path).stdout
    assert "6 images" in shown
    assert "left out: 1 not an image" in shown
    assert "1 images" in nas("predict", "--input", "one.png", cwd=tmp_path).stdout
    assert "2 images" in nas("predict", "--input", folder / "dot", cwd=tmp_path).stdout
    nas("predict", "--input", "digits", "--output", "classes.parquet", cwd=tmp_path)
    rows = pq.read_table(tmp_path / "classes.parquet").to_pylist()
    assert len(rows) == 1797
    assert {row["class"] for row in rows} <= {str(number) for number in range(10)}
    assert all(0 < row["probability"] <= 1 for row in rows)
    nas("predict", "--input", "one.png", "--output", "classes.csv", cwd=tmp_path)
    assert (tmp_path / "classes.csv").read_text().splitlines()[0] == "id,class,probability"


def test_measure_writes_a_table_that_is_a_device(tmp_path: Path) -> None:
    shown = nas("measure", "--size", 8, "--output", "device.csv", *QUICK, cwd=tmp_path).stdout
    assert "simulated accelerator" in shown
    assert "device.csv: name it in nas.device" in shown
    found = json.loads(nas("measure", "--size", 8, "--device", "device.csv", *QUICK, "--json", cwd=tmp_path).stdout)
    assert {row["kind"] for row in found["kinds"]} >= {"conv", "depthwise", "pool", "linear"}
    assert found["networks"] > 0


def test_advise_lists_edits_and_applies_the_chosen_ones(tmp_path: Path) -> None:
    given = {
        "resolution": 8,
        "inputs": 1,
        "classes": 10,
        "stem": 12,
        "stem_stride": 1,
        "stages": [(12, 1, "ibn"), (20, 2, "ibn")],
    }
    lines = [f"{name} = {value}" for name, value in given.items() if name != "stages"]
    for channels, stride, kind in given["stages"]:  # type: ignore[attr-defined]
        block = f'{{ kind = "{kind}", kernel = 3, expansion = 4 }}'
        lines += ["[[stages]]", f"channels = {channels}", f"stride = {stride}", f"blocks = [{block}]"]
    (tmp_path / "mine.toml").write_text("\n".join(lines) + "\n")
    listed = json.loads(nas("advise", "mine.toml", "--json", cwd=tmp_path).stdout)
    assert listed["edits"]
    assert listed["edited"] == listed["architecture"]
    one = json.loads(nas("advise", "mine.toml", "--apply", "1", "--output", "one.toml", "--json", cwd=tmp_path).stdout)
    assert parse_architecture((tmp_path / "one.toml").read_text()).id == one["edited"] != one["architecture"]
    assert one["after"]["latency_ms"] == pytest.approx(listed["edits"][0]["latency_ms"])
    goal = 0.8 * listed["before"]["latency_ms"]
    told = nas("advise", "mine.toml", "--apply", "all", "--accuracy", 1, "--latency-ms", goal, cwd=tmp_path).stdout
    assert "limits that are missed" not in told
    assert "applied: latency" in told
    assert "latencies of nas.network/" in told
    tight = nas("advise", "mine.toml", "--latency-ms", goal, cwd=tmp_path).stdout
    assert "limits that are missed: latency_ms" in tight


def test_advise_needs_no_store_and_says_what_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nas("front", "--architecture", "live.toml", cwd=tmp_path)
    monkeypatch.delenv("FINGERPOST_STORE")
    told = nas("advise", "live.toml", *QUICK, cwd=tmp_path).stdout
    assert "built-in patterns, not measured here" in told
    assert "latencies of simulated accelerator" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--input", "gone"), "gone: expected a folder or file of images"),
        (("predict", "--input", "digits", "--output", "x.txt"), "x.txt: expected a name that ends in"),
        (("front", "--onnx", "x.bin"), "x.bin: expected a name that ends in .onnx"),
        (("front", "--architecture", "gone/x.toml"), "gone/x.toml: expected a folder to write to"),
        (("measure", "--device", "gone.csv"), "gone.csv: expected a file"),
        (("measure", "--output", "x.txt"), "x.txt: expected a name that ends in"),
        (("measure", "--set", "nas.measuring.rounds=-1"), "rounds (from command line): expected at least 0, got -1"),
        (("advise", "gone.toml"), "gone.toml: expected a TOML file of an architecture"),
        (("advise", "bad.toml"), "bad.toml: "),
        (("advise", "--apply", "99"), "--apply: expected all, or numbers from 1 to"),
        (("advise", "--output", "x.toml"), "expected --apply with --output"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('resolution = "eight"\n')
    assert message in refused("nas", *arguments, cwd=tmp_path)
