"""Forgetting an embedding that a threshold was tuned on and keeps as a canary: nowhere any more, and another threshold is live."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.flows.ops.erase import forget as erasing
from fingerpost.flows.run.request import RunRequest
from fingerpost.flows.run.start import run_flow
from fingerpost.schemas import metric
from fingerpost.schemas.matrices import dense_from_arrow
from fingerpost.schemas.publish import Pointer
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs
from fingerpost.tasks.metric.calibrated import canary_rows
from fingerpost.tasks.metric.open import PRODUCT, live
from tests.support.letters import letters
from tests.unit.metric.worlds import embeddings

pytestmark = pytest.mark.usefixtures("plain_runs")

ROWS, DAY = 240, "2026-03-01"


def tuned(folder: Path) -> tuple[Path, list[str], np.ndarray]:
    """A file of embeddings and a store in which their threshold is live."""
    vectors, labels = embeddings(12, ROWS, 6, 0)
    ids = [f"portrait-{row:04d}" for row in range(ROWS)]
    path, rows = folder / "portraits.parquet", pa.array([row.tolist() for row in vectors], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids, "person": [f"person {label}" for label in labels], "vector": rows}), path)
    run_flow("tune_thresholds", request(folder), quiet=True)
    return path, ids, vectors


def request(folder: Path) -> RunRequest:
    """A threshold of one day, tuned in a nightly's way: the settings name the file."""
    settings = {
        "metric.input": str(folder / "portraits.parquet"),
        "metric.columns": {"label": "person"},
        "metric.opis.draws": 0,
    }
    return RunRequest(profile="tiny", store=str(folder / "store"), day=DAY, collection="portraits", settings=settings)


def keeps(store: Store, vector: np.ndarray) -> list[str]:
    """The artifacts of rows by class and of thresholds in which this vector is, scaled to length one or as it was."""
    found = []
    for ref in store.refs():
        table = {metric.ROWS.name: "rows", metric.THRESHOLD.name: "canaries"}.get(ref.name)
        if table is not None:
            rows = dense_from_arrow(store.open(ref, {c.name: c for c in metric.CONTRACTS}[ref.name]).read(table))
            unit = vector / np.linalg.norm(vector)
            if any(np.isclose(rows, one, atol=1e-6).all(axis=1).any() for one in (unit, vector)):
                found.append(ref.name)
    return sorted(set(found))


@pytest.mark.parametrize("gone", [False, True])
def test_an_embedding_is_nowhere_any_more(gone: bool, tmp_path: Path) -> None:
    path, ids, vectors = tuned(tmp_path)
    store = Store(str(tmp_path / "store"))
    before = Pointer(store, "portraits", PRODUCT).line()
    row = canary_rows(ids, 1)[0]
    key = ids[row]
    assert keeps(store, vectors[row]) == ["metric.rows", "metric.threshold"]
    if gone:
        path.unlink()

    touched = erasing.listing(store, key, "portraits")
    assert {ref.split("/")[0] for ref in touched.holders} >= {"metric.embeddings", "metric.threshold"}
    assert {ref.split("/")[0] for ref in touched.condemned} >= {
        "metric.rows",
        "metric.pair_counts",
        "metric.histograms",
    }
    assert [(file.form, file.rows) for file in touched.inputs] == ([] if gone else [("embeddings", 1)])
    assert [(plan.flow, plan.stored) for plan in touched.reruns] == [("tune_thresholds", ["metric"] if gone else [])]

    outcome = erasing.forget(store, key, "portraits")

    assert outcome.clean
    assert outcome.proof["versions_lost"] == 0
    assert keeps(store, vectors[row]) == []
    after = Pointer(store, "portraits", PRODUCT).line()
    assert len(after) == len(before)
    assert after[-1].ref != before[-1].ref
    made = live("portraits", store=store.url)
    assert key not in made.threshold.canary_ids
    assert key not in made.embeddings()[0]
    assert len(made.embeddings()[0]) == ROWS - 1
    if not gone:
        assert key not in pq.read_table(path)["id"].to_pylist()
        run_flow("tune_thresholds", request(tmp_path), quiet=True)
        assert not [s["stage"] for s in runs(store, newest=1)[0]["stages"] if s["computed"]], (
            "made again once, then reused"
        )


def test_an_image_goes_with_the_embedder_that_was_trained_on_it(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    letters(tmp_path, classes=16, each=4, size=16)
    settings = {
        "metric.input": str(tmp_path / "letters"),
        "metric.kind": "images",
        "metric.images.height": 16,
        "metric.images.width": 16,
        "metric.training.on": True,
        "metric.training.backbone.kind": "conv",
        "metric.training.backbone.width": 4,
        "metric.training.params.steps": 4,
        "metric.training.params.classes_per_batch": 4,
        "metric.training.variants": ["without"],
        "metric.opis.draws": 0,
        "metric.gates.rate": 0,
        "metric.gates.frr": 1,
    }
    asked = RunRequest(profile="tiny", store=str(tmp_path / "store"), day=DAY, collection="letters", settings=settings)
    run_flow("tune_thresholds", asked, quiet=True)
    store, key = Store(str(tmp_path / "store")), "letter 3/1.png"
    before = [ref for ref in store.refs() if ref.name == metric.EMBEDDERS.name]

    touched = erasing.listing(store, key, "letters")
    assert [(file.form, file.rows) for file in touched.inputs] == [("image", 1)]
    outcome = erasing.forget(store, key, "letters")

    assert outcome.clean
    assert outcome.proof["versions_lost"] == 0
    assert not (tmp_path / "letters" / key).exists()
    assert (tmp_path / "letters" / "letter 3" / "0.png").exists()
    after = [ref for ref in store.refs() if ref.name == metric.EMBEDDERS.name]
    assert len(after) == 1
    assert after != before
    made = live("letters", store=store.url)
    assert key not in made.embeddings()[0]
    assert len(made.embeddings()[0]) == 63
