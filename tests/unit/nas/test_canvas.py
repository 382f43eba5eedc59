"""Canvases with masks: each made of images of its own split, the same for the same seed, and masks where the figures are."""

import numpy as np
import pytest

from fingerpost.tasks.nas.canvas import compose_images
from fingerpost.tasks.nas.canvas_params import CanvasParams
from fingerpost.tasks.nas.images import LabelledImages

SMALL = CanvasParams(size=24, training=20, validation=4, test=6, noise=0.0, patches=0, strokes=0)


def squares(count: int = 30) -> LabelledImages:
    """White squares in images of 8 × 8 pixels, whose size says their class; those of training are white, of test grey."""
    pixels = np.zeros((count, 8, 8), dtype=np.uint8)
    labels = np.arange(count) % 2
    splits = np.array(["training", "validation", "test"])[np.arange(count) % 3]
    for row in range(count):
        side = 3 + 3 * labels[row]
        pixels[row, 1 : 1 + side, 1 : 1 + side] = {"training": 255, "validation": 200, "test": 160}[str(splits[row])]
    return LabelledImages(np.array([f"i{row:03d}" for row in range(count)]), pixels, labels, splits, ("small", "large"))


def test_masks_are_where_figures_are_and_splits_stay_apart() -> None:
    found = compose_images(squares(), params=SMALL)
    assert found.masks is not None
    assert found.classes == ("background", "figure")
    assert found.pixels.shape == found.masks.shape == (30, 24, 24)
    for canvas, mask, split in zip(found.pixels, found.masks, found.splits, strict=True):
        shade = {"training": 255, "validation": 200, "test": 160}[str(split)]
        np.testing.assert_array_equal(canvas == shade, mask == 1)
        assert canvas[mask == 0].max() <= 96
        assert mask.any()


def test_masks_name_labels() -> None:
    params = CanvasParams(size=24, least=2, most=2, classes="labels", training=30, validation=1, test=1)
    found = compose_images(squares(), params=params)
    assert found.classes == ("background", "small", "large")
    assert found.masks is not None
    assert set(np.unique(found.masks)) == {0, 1, 2}
    large = [int((mask == 2).sum()) for mask in found.masks]
    assert set(large) <= {0, 36, 72} | set(range(37, 72))


def test_a_canvas_depends_on_seed_and_number_and_not_on_the_order_of_images() -> None:
    images = squares()
    order = np.random.default_rng(1).permutation(30)
    shuffled = LabelledImages(
        images.ids[order], images.pixels[order], images.labels[order], images.splits[order], images.classes
    )
    cluttered = CanvasParams(size=24, training=10, validation=2, test=2)
    one, other = (compose_images(some, params=cluttered) for some in (images, shuffled))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.masks, other.masks)
    more = compose_images(images, params=CanvasParams(size=24, training=12, validation=2, test=2))
    np.testing.assert_array_equal(more.pixels[:10], one.pixels[:10])
    seeded = compose_images(images, params=CanvasParams(size=24, training=10, validation=2, test=2, seed=1))
    assert not np.array_equal(seeded.pixels, one.pixels)
    assert len({canvas.tobytes() for canvas in one.pixels}) == 14


def test_images_that_do_not_fit_are_refused() -> None:
    images = squares()
    with pytest.raises(ValueError, match="expected images of at most 8 pixels"):
        compose_images(
            LabelledImages(images.ids, np.zeros((30, 9, 9), np.uint8), images.labels, images.splits, images.classes),
            params=CanvasParams(size=8),
        )
    with pytest.raises(ValueError, match="expected grey images, got RGB"):
        compose_images(
            LabelledImages(images.ids, np.zeros((30, 8, 8, 3), np.uint8), images.labels, images.splits, images.classes),
            params=SMALL,
        )
    with pytest.raises(ValueError, match="canvas: expected"):
        CanvasParams(least=3, most=2)
    with pytest.raises(ValueError, match="canvas: expected"):
        CanvasParams(test=0)
