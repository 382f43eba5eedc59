"""Embedders in the flow that tunes a threshold: over vectors, over images, and what users get of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fingerpost.flows.cli import app
from fingerpost.flows.domains.metric import settings as metric_settings
from fingerpost.flows.domains.metric.report.embedder_plots import utility_pair_svg
from fingerpost.flows.domains.metric.report.embedders import Curves
from fingerpost.flows.domains.metric.settings import MetricSettings
from fingerpost.flows.report.page import render
from fingerpost.flows.run.dry_run import plan_of
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import metric as contracts
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.corpus.open import read_vectors
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.metric.calibrated import ForeignModelError
from fingerpost.tasks.metric.open import live
from tests.support.embedding_files import DAY, write
from tests.support.letters import letters
from tests.support.report_pages import Page

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("drawn_runs")

QUICK: dict[str, Any] = {
    "metric.training.on": True,
    "metric.training.params.steps": 20,
    "metric.training.params.check_every": 10,
    "metric.training.params.classes_per_batch": 6,
    "metric.training.margins.steps": 10,
    "metric.training.margins.weights": [1.0],
    "metric.training.margins.positive_frr": [0.8],
    "metric.training.margins.negative_far": [0.05],
    "metric.training.backbone.dimensions": 6,
    "metric.opis.draws": 20,
    "metric.target.share": 0.05,
    "metric.gates.rate": 0,
    "metric.gates.frr": 1,
}


def asked(folder: Path, source: str, **settings: object) -> RunRequest:
    """The tiny profile over a file or folder."""
    return RunRequest(
        profile="tiny",
        store=str(folder / ".fingerpost"),
        day=DAY,
        input=str(folder / source),
        collection="faces",
        settings=QUICK | settings,
    )


def faces(folder: Path) -> Path:
    """Vectors of 40 classes, half of whose numbers are noise."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 10)
    vectors = np.hstack(
        [
            random.standard_normal((40, 6))[labels] + 0.3 * random.standard_normal((400, 6)),
            random.standard_normal((400, 6)),
        ]
    )
    return write(
        folder / "faces.parquet",
        vectors.astype(np.float32),
        [f"face {row}" for row in range(400)],
        [f"person {label}" for label in labels],
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, drawn_runs: None) -> Path:
    """A folder with vectors and a store in which the threshold of an embedder over them is live."""
    folder = tmp_path_factory.mktemp("embedders")
    faces(folder)
    run_flow("tune_thresholds", asked(folder, "faces.parquet"), quiet=True)
    return folder


def test_the_published_threshold_holds_for_the_taken_embedder(tuned: Path) -> None:
    from fingerpost.tasks.metric.trainer import embed

    store = Store(str(tuned / ".fingerpost"))
    record = runs(store, newest=1)[0]
    names = [stage["stage"] for stage in record["stages"]]
    order = ["search_margins", "train_embedders", "compare_embedders", "embed_rows", "arrange_classes"]
    assert [name for name in dict.fromkeys(names) if name in order] == order
    made = live("faces", store=store.url)
    embedder = made.embedder()
    assert embedder is not None
    ids, _, embedded = made.embeddings()
    given = read_vectors(store.open(Ref.parse(record["refs"]["threshold_vectors"]), contracts.VECTORS))
    np.testing.assert_array_equal(embed(embedder, given), embedded)
    parts = {role.removeprefix("threshold_"): Ref.parse(ref) for role, ref in record["refs"].items()}
    roles = ("assessment", "comparison", "documents", "embedders", "margins", "retrieval", "test_pairs", "test_rows")
    expected = {role: parts[role] for role in (*roles, "validation_pairs", "validation_rows")}
    assert made.members == expected | {"vectors": parts["embeddings"]}
    assert made.threshold.model.startswith("faces+")
    assert made.threshold.check(ids=ids, vectors=embedded) == 8
    with pytest.raises(ForeignModelError, match="expected vectors of 6 dimensions"):
        made.threshold.check(ids=ids, vectors=given)


def test_classes_that_were_trained_on_neither_choose_nor_test_the_threshold(tuned: Path) -> None:
    store = Store(str(tuned / ".fingerpost"))
    record = runs(store, newest=1)[0]
    sides = {
        side: set(
            store.open(Ref.parse(record["refs"][f"threshold_{side}_rows"]), contracts.ROWS)
            .read("names")["name"]
            .to_pylist()
        )
        for side in ("validation", "test")
    }
    quality = store.manifest(Ref.parse(record["refs"]["threshold_embedders"])).quality
    assert quality["classes"] + len(sides["validation"] | sides["test"]) == 40
    assert not sides["validation"] & sides["test"]


def test_what_did_not_change_is_reused_and_another_target_trains_nothing(tuned: Path) -> None:
    assert not [stage for stage in plan_of("tune_thresholds", asked(tuned, "faces.parquet")).stages if stage.runs]
    plan = plan_of("tune_thresholds", asked(tuned, "faces.parquet", **{"metric.training.params.rate": 0.002}))
    ran = [stage.stage for stage in plan.stages if stage.runs]
    assert ran[:2] == ["search_margins", "train_embedders"]


def test_the_report_sets_utility_without_and_with_tcm_side_by_side(tuned: Path) -> None:
    store = Store(str(tuned / ".fingerpost"))
    page = Page(render(store, runs(store, newest=1)[0]))
    text = page.text("embedder")
    assert "without TCM" in text
    assert "with TCM" in text
    assert any("Without TCM" in plot and "With TCM" in plot for plot in page.plots)


def test_images_by_class_become_a_threshold(tmp_path: Path) -> None:
    letters(tmp_path, classes=14, each=5, size=20)
    images = {
        "metric.input": str(tmp_path / "letters"),
        "metric.kind": "images",
        "metric.images.height": 20,
        "metric.images.width": 20,
        "metric.training.backbone.kind": "conv",
        "metric.training.backbone.width": 4,
        "metric.training.variants": ["without"],
        "metric.training.margins.search": False,
        "metric.training.share": 0.4,
    }
    run_flow("tune_thresholds", asked(tmp_path, "letters", **images), quiet=True)
    made = live("faces", store=str(tmp_path / ".fingerpost"))
    embedder = made.embedder()
    assert embedder is not None
    assert embedder.shape == (20, 20)
    assert made.embeddings()[0][0] == "letter 0/0.png"


def test_settings_that_cannot_train_are_refused_before_anything_starts(tmp_path: Path) -> None:
    faces(tmp_path)
    for settings, message in (
        (
            {"metric.kind": "images", "metric.training.on": False},
            "expected metric.training.on where metric.kind is images",
        ),
        ({"metric.kind": "images"}, "backbone.kind conv, vit or module for images, got head"),
        ({"metric.measure": "euclidean"}, "expected metric.measure cosine with metric.training.on"),
        ({"metric.training.params.loss": "triplet"}, "training.params.loss"),
        ({"metric.training.taken": "with", "metric.training.variants": ["without"]}, "expected taken among variants"),
    ):
        with pytest.raises(SettingsError, match=message):
            asked(tmp_path, "faces.parquet", **settings).resolve()
    missing = {"metric.training.backbone.kind": "module", "metric.training.backbone.module": "no_such_package:Net"}
    with pytest.raises(
        SettingsError, match=r"module: expected an importable module before ':', got 'no_such_package:Net'"
    ):
        run_flow("tune_thresholds", asked(tmp_path, "faces.parquet", **missing), quiet=True)


def embedded(*arguments: str) -> Any:
    """What `fingerpost embed` gives."""
    return CliRunner().invoke(app, ["embed", *arguments])


def test_the_command_embeds_as_the_flow_did(tuned: Path) -> None:
    store, out = str(tuned / ".fingerpost"), tuned / "embedded.parquet"
    done = embedded("--input", str(tuned / "faces.parquet"), "--output", str(out), "--store", store)
    assert done.exit_code == 0, repr(done.exception)
    assert "400 embeddings of faces+" in done.stdout
    made, rows = live("faces", store=store), pq.read_table(out)
    ids, labels, vectors = made.embeddings()
    assert rows["id"].to_pylist() == ids
    assert rows["label"].to_pylist() == labels
    np.testing.assert_array_equal(np.array(rows["vector"].to_pylist(), np.float32), vectors)
    checked = CliRunner().invoke(app, ["threshold", "--check", str(out), "--store", store, "--json"])
    assert json.loads(checked.stdout)["checked"]["canaries_compared"] == 8
    raw = CliRunner().invoke(app, ["threshold", "--check", str(tuned / "faces.parquet"), "--store", store])
    assert "expected vectors of 6 dimensions" in str(raw.exception)


def test_what_cannot_be_embedded_is_refused(tuned: Path, tmp_path: Path) -> None:
    store = ("--store", str(tuned / ".fingerpost"))
    short = write(tmp_path / "short.parquet", np.ones((3, 5), np.float32), ["a", "b", "c"], ["x"] * 3)
    found = embedded("--input", str(short), "--output", str(tmp_path / "out.parquet"), *store)
    assert "expected vectors of 12 numbers as the embedder was trained on, found 5" in str(found.exception)
    assert not (tmp_path / "out.parquet").exists()
    bad = write(tmp_path / "bad.parquet", np.full((2, 12), np.nan, np.float32), ["a", "b"], ["x"] * 2)
    found = embedded("--input", str(bad), "--output", str(tmp_path / "out.parquet"), *store)
    assert "expected rows that can be embedded, found 2 vector not finite" in str(found.exception)
    found = embedded("--input", str(short), "--output", str(tmp_path / "out.csv"), *store)
    assert "expected a name that ends in .parquet or .jsonl" in str(found.exception)


def test_the_sample_goes_without_an_embedder_where_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(**settings: object) -> MetricSettings:
        return (
            RunRequest(profile="nightly", settings={"metric.input": "python-docs-packages"} | settings).resolve().metric
        )

    assert of().trains
    assert not of().lacks_neural
    monkeypatch.setattr(metric_settings, "neural_installed", lambda: False)
    assert not of().trains
    assert of().lacks_neural
    assert of(**{"metric.training.on": True}).trains, "asked for by name it is an error where it cannot be"
    own = of(**{"metric.input": "faces.parquet"})
    assert not own.trains
    assert not own.lacks_neural


def test_a_plot_of_other_numbers_is_drawn_anew() -> None:
    """Plots are kept by what they show, all of it: numpy's own words for large arrays leave the middle out."""
    thresholds, flat = np.linspace(0, 1, 101), np.full((40, 101), 0.5)
    other = flat.copy()
    other[20, 50] = 0.9
    rates = np.full(40, 0.1)
    first, second = (utility_pair_svg({"with": Curves(thresholds, one, rates, rates)}) for one in (flat, other))
    assert first != second
    assert utility_pair_svg({"with": Curves(thresholds, flat.copy(), rates, rates)}) is first
