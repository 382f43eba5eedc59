"""Makes ``metric.npz``: embeddings and what pytorch-metric-learning 2.9.0 says of them; run with the peers' ``metric`` environment.

``accuracy_*``: recall@1 and mAP@R of AccuracyCalculator by cosine and by Euclidean distance, over all rows and by class.
``tcm_*``: ThresholdConsistentMarginLoss and its gradient for batches of ``vectors`` under several margins and weights.
"""

from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning import distances, losses
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

ROWS, CLASSES, DIM = 240, 20, 12
#: First row, rows, margins and weights of a batch: m+, m-, lambda+, lambda-.
BATCHES = [
    (0, 64, 0.9, 0.5, 1.0, 1.0),
    (64, 100, 0.8, 0.2, 0.5, 2.0),
    (100, 30, -1.0, 0.3, 1.0, 1.0),
    (20, 40, 0.95, 0.999, 3.0, 1.0),
    (0, 2, -1.0, 1.0, 1.0, 1.0),
]


def problem():
    """Rows of unlike length around centres of unlike spread; the last two classes have one row each."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([rng.integers(0, CLASSES, ROWS - 2), [CLASSES, CLASSES + 1]])
    spread = np.linspace(0.2, 1.2, CLASSES + 2)[labels][:, None]
    vectors = rng.standard_normal((CLASSES + 2, DIM))[labels] + spread * rng.standard_normal((ROWS, DIM))
    return (vectors * rng.uniform(0.5, 2, (ROWS, 1))).astype(np.float32), labels


def accuracy(vectors, labels, distance, **settings):
    """Recall@1 and mAP@R."""
    include = ("precision_at_1", "mean_average_precision_at_r")
    knn = CustomKNN(distance)
    calculator = AccuracyCalculator(
        include=include,
        k="max_bin_count",
        knn_func=knn,
        kmeans_func=lambda *_: None,
        device=torch.device("cpu"),
        **settings,
    )
    found = calculator.get_accuracy(vectors, labels)
    return [found[name] for name in include]


def main():
    """Compute and save."""
    vectors, labels = problem()
    out = {"vectors": vectors, "labels": labels, "batches": np.array(BATCHES)}
    for name, distance in (
        ("cosine", distances.CosineSimilarity()),
        ("euclidean", distances.LpDistance(normalize_embeddings=False)),
    ):
        out[f"accuracy_{name}"] = np.array(accuracy(vectors, labels, distance))
        out[f"accuracy_{name}_classes"] = np.array(accuracy(vectors, labels, distance, avg_of_avgs=True))
    for number, (first, count, plus, minus, weight_plus, weight_minus) in enumerate(BATCHES):
        batch = torch.from_numpy(vectors[first : first + count]).requires_grad_(True)
        loss = losses.ThresholdConsistentMarginLoss(weight_plus, weight_minus, plus, minus)
        value = loss(batch, torch.from_numpy(labels[first : first + count]))
        value.backward()
        out[f"tcm_loss_{number}"] = np.array(value.item())
        out[f"tcm_gradient_{number}"] = np.zeros_like(batch.detach()) if batch.grad is None else batch.grad.numpy()
    np.savez_compressed(Path(__file__).with_name("metric.npz"), **out)
    print({name: value if value.size < 5 else value.shape for name, value in out.items()})


if __name__ == "__main__":
    main()
