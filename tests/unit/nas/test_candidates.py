"""What a candidate is evaluated on."""

import numpy as np
import pytest

from fingerpost.tasks.nas.candidates import SCORED_IMAGES, Protocol, evaluate_candidate
from fingerpost.tasks.nas.images import LabelledImages
from fingerpost.tasks.nas.score_params import ScoreParams
from fingerpost.tasks.nas.training_params import TrainingParams
from tests.unit.nas.worlds import digits, small

pytest.importorskip("torch")

from fingerpost.tasks.nas import zero_shot


def test_scores_look_at_training_images_of_all_classes_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    training, validation = digits()
    seen: list[np.ndarray] = []
    monkeypatch.setattr(zero_shot, "scores", lambda module, images, labels, params: seen.append(labels) or {})
    pixels = np.concatenate([training.images, validation.images])
    labels = np.concatenate([training.targets, np.zeros(len(validation), np.int64)])
    splits = np.array(["training"] * len(training) + ["validation"] * len(validation))
    order = np.argsort(labels, kind="stable")
    ids = np.array([f"{row:04d}" for row in range(len(order))])
    classes = tuple("0123456789")
    images = LabelledImages(ids, pixels[order], labels[order], splits[order], classes)
    protocol = Protocol(TrainingParams(), ScoreParams())
    for _ in range(2):
        evaluate_candidate(small(), "scores", images, protocol)
    assert len(seen[0]) == SCORED_IMAGES
    assert len(set(seen[0].tolist())) >= 7
    assert np.array_equal(seen[0], seen[1])
