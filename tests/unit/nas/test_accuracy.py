"""Accuracy and intersection over union: by hand, and their intervals."""

import numpy as np
import pytest

from fingerpost.tasks.nas.accuracy import (
    bootstrapped,
    by_class,
    confusion,
    figure,
    predicted,
    softmax,
    summed_confusion,
    wilson,
)


def test_intersection_over_union_by_hand() -> None:
    truth, said = np.array([[[0, 0], [1, 1]]]), np.array([[[0, 1], [1, -1]]])
    counts = confusion(said, truth, 3)
    assert counts.tolist() == [[[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]]
    assert figure(counts[0], "classification") == 0.5
    assert by_class(counts[0], "classification").tolist()[:2] == [0.5, 0.5]
    np.testing.assert_allclose(by_class(counts[0], "segmentation"), [1 / 2, 1 / 3, np.nan])
    assert figure(counts[0], "segmentation") == pytest.approx(5 / 12)


def test_counts_of_images_add_up() -> None:
    random = np.random.default_rng(0)
    truth, said = random.integers(0, 4, (30, 5, 5)), random.integers(-1, 4, (30, 5, 5))
    counts = confusion(said, truth, 4)
    for number in range(30):
        assert np.array_equal(counts[number], confusion(said[number : number + 1], truth[number : number + 1], 4)[0])
    assert np.array_equal(counts.sum(axis=0), summed_confusion(said, truth, 4))
    union = [np.sum((said == c) | (truth == c)) for c in range(4)]
    found = [np.sum((said == c) & (truth == c)) / union[c] for c in range(4)]
    np.testing.assert_allclose(by_class(counts.sum(axis=0), "segmentation"), found)


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    low, high = wilson(0.9, 100)
    assert (round(low, 4), round(high, 4)) == (0.8256, 0.9448)
    assert wilson(1.0, 5)[1] == 1.0
    assert wilson(0.0, 5)[0] == 0.0


def test_counts_of_many_classes_fit_in_memory() -> None:
    # Of each image apart they would take 80 GB.
    truth = np.arange(10_000) % 1000
    said = np.where(truth < 10, -1, truth)
    counts = summed_confusion(said, truth, 1000)
    assert figure(counts, "classification") == 0.99
    assert np.array_equal(counts[:4], summed_confusion(said[truth < 4], truth[truth < 4], 1000)[:4])
    assert counts[3, 1000] == 10


def test_the_interval_of_masks_holds_the_figure_and_narrows_with_images() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (400, 6, 6))
    wrong = random.random((400, 1, 1)) < 0.5
    said = np.where(wrong & (random.random((400, 6, 6)) < 0.5), 1 - truth, truth)
    counts = confusion(said, truth, 2)
    widths = []
    for number in (25, 400):
        low, high = bootstrapped(counts[:number], resamples=200)
        assert low < figure(counts[:number].sum(axis=0), "segmentation") < high
        assert (low, high) == bootstrapped(counts[:number], resamples=200)
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert bootstrapped(counts[:0], resamples=1) == (0.0, 1.0)


def test_probabilities_become_classes_of_images_and_of_pixels() -> None:
    logits = np.array([[0.0, 3.0, 1.0], [np.nan, 0.0, 9.0]])
    found = softmax(logits)
    np.testing.assert_allclose(found[0], np.exp(logits[0]) / np.exp(logits[0]).sum(), rtol=1e-6)
    assert predicted(found, 8).tolist() == [1, -1]
    pixels = np.zeros((1, 2, 2, 2), dtype=np.float32)
    pixels[0, 0, :, 0] = pixels[0, 1, :, 1] = 1.0
    assert predicted(pixels, 4)[0].tolist() == [[0, 0, 1, 1]] * 4
