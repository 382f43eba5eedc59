"""The stages that train, evaluate and share weights: what they write, that a killed training resumes to the same artifact, what
opens them, and what is said without torch.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.schemas import nas as contracts
from fingerpost.schemas.errors import FingerpostError, InputError
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.releases import members_table
from fingerpost.schemas.workspace import Workspace
from fingerpost.tasks.code import unchanging_code
from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.evaluation_params import EvaluationParams
from fingerpost.tasks.nas.finished import onnx_difference
from fingerpost.tasks.nas.open import LiveNetwork, read_examples, read_network
from fingerpost.tasks.nas.resizing import resized
from fingerpost.tasks.nas.stages import networks as stages
from fingerpost.tasks.nas.stages.supernet import train_supernet
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training_params import TrainingParams
from tests.support.suggestion_artifacts import committed
from tests.unit.nas.searched import SearchWorld, world
from tests.unit.nas.small_spaces import SMALL
from tests.unit.nas.worlds import small

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from fingerpost.tasks.nas import training

PARAMS = TrainingParams(epochs=8, batch=16)
CHOSEN, REFERENCE = small("conv"), small("ibn")


def searched(made: SearchWorld) -> Ref:
    """A search that the reference, another and the chosen network came out of."""
    networks = [(REFERENCE, 0.7, True), (small("fused"), 0.95, False), (CHOSEN, 0.9, True)]
    rows = [_row(number, *one) for number, one in enumerate(networks)]
    fields = [pa.field(field.name, field.type) for field in contracts.SEARCH.table("evaluated").fields]
    return committed(made.store, contracts.SEARCH, {"evaluated": pa.Table.from_pylist(rows, pa.schema(fields))})


def _row(number: int, architecture: Architecture, accuracy: float, feasible: bool) -> dict[str, Any]:
    costs = costs_of(architecture)
    return {
        "number": number,
        "architecture": architecture.id,
        "description": architecture.text,
        "origin": "random" if number else "given",
        "generation": 0,
        "accuracy": accuracy,
        "score": accuracy,
        "latency_ms": 0.5,
        "latency_spread_ms": 0.0,
        "macs": costs.macs,
        "parameters": costs.parameters,
        "memory_bytes": costs.peak_values,
        "feasible": feasible,
        "trained": True,
        "front": 0 if feasible else -1,
    }


def measured(made: SearchWorld) -> Ref:
    """Measured latencies of the chosen network."""
    numbers = {"predicted_ms": 0.5, "predicted_spread_ms": 0.1, "measured_ms": 0.4, "spread_ms": 0.01}
    row = {"architecture": CHOSEN.id, "role": "chosen", **numbers}
    return committed(made.store, contracts.MEASURED, {"networks": pa.Table.from_pylist([row])})


@dataclass
class Made:
    """A store with a search and the networks of it."""

    world: SearchWorld
    search: Ref
    trained: Ref
    measured: Ref

    def train(self, params: TrainingParams = PARAMS, seed: int = 0) -> Ref:
        return stages.train_network.execute(self.world.env, self.world.images, self.search, params=params, seed=seed)

    def evaluate(self, params: EvaluationParams) -> dict[str, Any]:
        """The figures of an evaluation."""
        inputs = (self.world.images, self.trained, self.measured, self.search)
        ref = stages.evaluate_network.execute(self.world.env, *inputs, params=params)
        opened = self.world.store.open(ref, contracts.EVALUATION)
        rows = opened.read("figures").to_pylist()
        return {**opened.quality, "figures": {(r["method"], r["setting"], r["metric"]): r["value"] for r in rows}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with unchanging_code():
        own = world(tmp_path_factory.mktemp("networks") / "store")
        search = searched(own)
        trained = stages.train_network.execute(own.env, own.images, search, params=PARAMS, seed=0)
        yield Made(own, search, trained, measured(own))


def test_the_network_that_the_search_chose_is_trained_and_exported(made: Made) -> None:
    artifact = made.world.store.open(made.trained, contracts.TRAINED)
    assert artifact.read("architecture").to_pylist() == [{"architecture": CHOSEN.id, "description": CHOSEN.text}]
    assert artifact.read("classes")["name"].to_pylist() == list("0123456789")
    epochs = artifact.read("epochs").to_pylist()
    assert [row["epoch"] for row in epochs] == list(range(1, 9))
    assert epochs[-1]["validation"] > 0.5
    file = artifact.read("onnx").to_pylist()[0]
    assert hashlib.sha256(file["model"]).hexdigest() == file["sha256"]
    quality = artifact.quality
    assert quality["architecture"] == CHOSEN.id
    assert (quality["size"], quality["epochs"], quality["onnx_bytes"]) == (8, 8, len(file["model"]))
    assert quality["validation"] == round(epochs[-1]["validation"], 6)


def test_a_killed_training_resumes_to_the_same_artifact(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    restored = []
    monkeypatch.setattr(training, "PART", 3)
    monkeypatch.setattr(stages, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(stages, "onnx_of", lambda *given: b"not the subject")
    save, restore = Workspace.save_checkpoint, training.NetworkTrainer.restore

    def dying(workspace: Workspace, position: int, content: bytes) -> None:
        save(workspace, position, content)
        if position >= 30:
            raise KeyboardInterrupt

    def noted(trainer: training.NetworkTrainer, state: Any) -> None:
        restore(trainer, state)
        restored.append(trainer.step)

    monkeypatch.setattr(Workspace, "save_checkpoint", dying)
    monkeypatch.setattr(training.NetworkTrainer, "restore", noted)
    with pytest.raises(KeyboardInterrupt):
        made.train(seed=1)
    monkeypatch.setattr(Workspace, "save_checkpoint", save)
    found = read_network(made.world.store, made.train(seed=1)).trained
    assert restored == [30]
    sides = (read_examples(made.world.store, made.world.images, split) for split in ("training", "validation"))
    whole = training.train(CHOSEN, *sides, PARAMS, seed=1)
    assert found.epochs == whole.epochs
    assert all(np.array_equal(values, found.weights[name]) for name, values in whole.weights.items())


def test_the_network_is_tested_with_the_reference_beside_it(made: Made) -> None:
    found = made.evaluate(EvaluationParams())
    tests = read_examples(made.world.store, made.world.images, "test")
    said = read_network(made.world.store, made.trained).predict(tests.images)
    accuracy = float(np.mean(said.names.astype(np.int64) == tests.targets))
    assert found["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert found["accuracy_low"] < accuracy < found["accuracy_high"]
    assert found["tested"] == len(tests) == 50
    assert 0 <= found["onnx_difference"] <= 1e-4
    assert (found["latency_ms"], found["parameters"]) == (0.4, costs_of(CHOSEN).parameters)
    assert 0.2 < found["reference_accuracy"] <= 1
    figures = found["figures"]
    assert figures["reference", "all", "accuracy"] == found["reference_accuracy"]
    each = [figures["chosen", f"class {name}", "accuracy"] for name in range(10)]
    counts = np.bincount(tests.targets, minlength=10)
    assert np.sum(np.array(each) * counts) / 50 == pytest.approx(accuracy)


def test_the_reference_may_be_left_out(made: Made) -> None:
    found = made.evaluate(EvaluationParams(reference=False))
    assert found["reference_accuracy"] is None
    assert {method for method, _, _ in found["figures"]} == {"chosen"}


def test_shared_weights_are_trained_and_stored(made: Made) -> None:
    params = SupernetParams(epochs=1, judged=1)
    ref = train_supernet.execute(made.world.env, made.world.images, space=SMALL, params=params)
    artifact = made.world.store.open(ref, contracts.SUPERNET)
    weights = tensors_from_arrow(artifact.read("weights"))
    assert artifact.quality["parameters"] == sum(values.size for values in weights.values())
    assert artifact.read("epochs").num_rows == 1


def live(made: Made) -> LiveNetwork:
    members = members_table({"trained": made.trained, "search": made.search})
    ref = committed(made.world.store, contracts.NETWORK, {"members": members}, accuracy=0.9)
    return LiveNetwork(made.world.store, ref, "digits")


def test_the_published_network_predicts_with_and_without_onnxruntime(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, images = live(made), read_examples(made.world.store, made.world.images, "test").images
    assert (network.architecture, network.size, network.classes) == (CHOSEN, 8, tuple("0123456789"))
    assert network.front()["architecture"].to_pylist() == [CHOSEN.id, REFERENCE.id]
    assert network.network.trained.validation == network.network.artifact.read("epochs")["validation"].to_pylist()[-1]
    found = network.predict(images)
    assert found.names.tolist() == [str(number) for number in found.probabilities.argmax(axis=1)]
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    larger = images.repeat(3, axis=1).repeat(3, axis=2)
    smaller = np.round(resized(larger, 8)).astype(np.uint8)
    assert np.array_equal(network.predict(larger).probabilities, network.predict(smaller).probabilities)
    with pytest.raises(InputError, match=r"images: expected uint8 \(n, size, size\), got float64"):
        network.predict(images.astype(np.float64))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    np.testing.assert_allclose(live(made).predict(images).probabilities, found.probabilities, atol=1e-4)
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("networks", "training"):
        monkeypatch.delitem(sys.modules, f"fingerpost.tasks.nas.{name}")
    with pytest.raises(FingerpostError, match="expected onnxruntime or torch to predict with, found neither"):
        live(made).predict(images)


def test_the_published_network_predicts_without_torch(made: Made, tmp_path: Path) -> None:
    images = read_examples(made.world.store, made.world.images, "test").images
    np.save(tmp_path / "images.npy", images)
    ref = live(made).ref
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from fingerpost.schemas.refs import Ref\nfrom fingerpost.schemas.store import Store\n"
        "from fingerpost.tasks.nas.open import LiveNetwork\n"
        f"network = LiveNetwork(Store({made.world.store.url!r}), Ref.parse({str(ref)!r}), 'digits')\n"
        f"print(' '.join(network.predict(np.load({str(tmp_path / 'images.npy')!r})).names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == live(made).predict(images).names.tolist()


def test_without_torch_the_extra_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fingerpost.tasks.nas.training")
    with pytest.raises(
        FingerpostError, match=r"expected torch, onnx and onnxscript, found torch missing; install the extra nas"
    ):
        made.train(seed=5)


def test_a_training_that_diverges_is_refused(made: Made) -> None:
    with pytest.raises(FingerpostError, match="expected a finite loss, got another in epoch 1 of 2"):
        made.train(replace(PARAMS, epochs=2, rate=1e30))


def test_outputs_that_are_not_finite_are_no_difference(made: Made) -> None:
    network = read_network(made.world.store, made.trained)
    images = read_examples(made.world.store, made.world.images, "test").images
    huge = {
        name: np.full_like(values, 1e38) if name.endswith("weight") else values
        for name, values in network.weights.items()
    }
    with pytest.raises(ValueError, match=r"expected finite probabilities, .* lower nas\.training\.rate"):
        onnx_difference(network.architecture, huge, network.onnx, images)
