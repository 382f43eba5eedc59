"""The TCM loss: pytorch-metric-learning's values and gradients, the vector made by hand, nothing where nothing is hard."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fingerpost.tasks.metric.margins import TcmParams
from fingerpost.tasks.metric.tcm import ThresholdConsistentMargin, WithTcm

GOLDEN = Path(__file__).parents[2] / "golden" / "metric.npz"
SQUARE = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
PAIRS = torch.tensor([0, 0, 1, 1])


def loss_and_gradient(loss: torch.nn.Module, rows: torch.Tensor, labels: torch.Tensor) -> tuple[float, torch.Tensor]:
    rows = rows.clone().requires_grad_(True)
    value = loss(rows, labels)
    value.backward()
    assert rows.grad is not None
    return value.item(), rows.grad


@pytest.mark.parametrize("batch", range(5))
def test_values_and_gradients_are_those_of_pytorch_metric_learning(batch: int) -> None:
    with np.load(GOLDEN) as golden:
        first, count, *settings = golden["batches"][batch].tolist()
        part = slice(int(first), int(first + count))
        rows, labels = torch.from_numpy(golden["vectors"][part]), torch.from_numpy(golden["labels"][part])
        value, gradient = golden[f"tcm_loss_{batch}"].item(), golden[f"tcm_gradient_{batch}"]
    found, ours = loss_and_gradient(ThresholdConsistentMargin(TcmParams(*settings)), rows, labels)
    assert found == pytest.approx(value, abs=1e-6)
    assert abs(ours.numpy() - gradient).max() < 1e-6


def test_the_vector_made_by_hand() -> None:
    def loss(**settings: float) -> float:
        return loss_and_gradient(ThresholdConsistentMargin(TcmParams(**settings)), SQUARE, PAIRS)[0]

    assert loss() == pytest.approx(0.32, abs=1e-6)
    assert loss(negative_weight=0) == pytest.approx(0.1, abs=1e-6)
    assert loss(positive_weight=0) == pytest.approx(0.22, abs=1e-6)
    assert loss(positive_weight=2, negative_weight=3) == pytest.approx(0.86, abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "labels", "settings"),
    [
        (SQUARE, PAIRS, {"positive_margin": 0.5, "negative_margin": 0.97}),  # no pair is hard
        (SQUARE, torch.arange(4), {"negative_margin": 0.97}),  # no pair of one class
        (SQUARE, torch.zeros(4), {"positive_margin": -0.5}),  # no pair of two classes
        (SQUARE[:1], PAIRS[:1], {}),  # no pair
    ],
)
def test_empty_hard_sets_give_zero_with_zero_gradient(
    rows: torch.Tensor, labels: torch.Tensor, settings: dict[str, float]
) -> None:
    value, gradient = loss_and_gradient(ThresholdConsistentMargin(TcmParams(**settings)), rows, labels)
    assert value == 0
    assert (gradient == 0).all()


def test_one_empty_set_leaves_the_other_alone() -> None:
    value, gradient = loss_and_gradient(ThresholdConsistentMargin(TcmParams(positive_margin=0.5)), SQUARE, PAIRS)
    alone, same = loss_and_gradient(ThresholdConsistentMargin(TcmParams(positive_weight=0)), SQUARE, PAIRS)
    assert value == pytest.approx(alone)
    assert torch.equal(gradient, same)


def test_it_adds_to_any_base_loss_and_keeps_its_weights() -> None:
    class Base(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proxies = torch.nn.Parameter(torch.ones(2))

        def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
            return scale * (embeddings * self.proxies).sum() + 0 * labels.sum()

    loss = WithTcm(Base(), TcmParams())
    assert [name for name, _ in loss.named_parameters()] == ["base.proxies"]
    value, gradient = loss_and_gradient(loss, SQUARE, PAIRS)
    assert value == pytest.approx(4.8 + 0.32, abs=1e-5)
    tcm = loss_and_gradient(loss.tcm, SQUARE, PAIRS)[1]
    assert torch.allclose(gradient, tcm + 1)
    assert loss(SQUARE, PAIRS, scale=2.0).item() == pytest.approx(9.6 + 0.32, abs=1e-5)


def test_only_directions_count() -> None:
    loss = ThresholdConsistentMargin()
    lengths = torch.tensor([[0.1], [3.0], [20.0], [1.0]])
    assert loss(SQUARE * lengths, PAIRS).item() == pytest.approx(loss(SQUARE, PAIRS).item(), abs=1e-6)


def test_what_makes_no_loss_is_refused() -> None:
    loss = ThresholdConsistentMargin()
    with pytest.raises(ValueError, match=r"TCM: expected embeddings \(b, d\) and labels \(b,\)"):
        loss(SQUARE, PAIRS[:3])
    with pytest.raises(ValueError, match="TCM: expected margins of -1 to 1"):
        TcmParams(positive_margin=1.5)
    with pytest.raises(ValueError, match="TCM: expected weights of at least 0"):
        TcmParams(negative_weight=-1)


def test_every_other_module_loads_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import fingerpost.tasks.metric.margins, fingerpost.tasks.metric.opis, fingerpost.tasks.metric.retrieval,"
        " fingerpost.tasks.metric.thresholds\n"
        "try:\n    import fingerpost.tasks.metric.tcm\nexcept ImportError:\n    print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"
