"""Images with masks for segmentation: labelled images pasted on cluttered canvases.

Clutter as in the cluttered translated digits of "Recurrent Models of Visual Attention" (Mnih et al., NeurIPS 2014): patches of
other images, besides strokes, a gradient of the background, and noise.
"""

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.canvas_params import CanvasParams
from fingerpost.tasks.nas.image_params import SPLITS
from fingerpost.tasks.nas.images import LabelledImages

#: A pixel brighter than this belongs to what is drawn.
_INK = 64
#: Attempts to find a position of little overlap.
_ATTEMPTS = 20
#: Pixels on a side of a patch of clutter.
_PATCH = 8


def compose_images(images: LabelledImages, *, params: CanvasParams) -> LabelledImages:
    """Canvases with masks, those of a split made of the images of that split alone.

    A canvas depends on the images of its split, the seed and its number. ValueError for images that are not grey, that are
    larger than the canvas, and for more classes than masks can name.
    """
    _check(images, params)
    names = images.classes if params.classes == "labels" else ("figure",)
    ids, splits = list[str](), list[str]()
    canvases, masks = list[NDArray[np.uint8]](), list[NDArray[np.uint8]]()
    for number, split in enumerate(SPLITS):
        part = _ordered(images.part(split))
        for row in range(getattr(params, split)):
            canvas, mask = _composed(part, params, np.random.default_rng([params.seed, number, row]))
            canvases.append(canvas)
            masks.append(mask)
            # No id of an image, which could be one that is to be forgotten.
            ids.append(f"canvas-{split}-{row:05d}")
            splits.append(split)
    labels = np.zeros(len(ids), dtype=np.int64)
    return LabelledImages(
        np.array(ids), np.stack(canvases), labels, np.array(splits), ("background", *names), np.stack(masks)
    )


def _ordered(images: LabelledImages) -> LabelledImages:
    """The images in the order of their ids, so that canvases do not depend on the order of rows."""
    order = np.argsort(images.ids, kind="stable")
    return LabelledImages(
        images.ids[order], images.pixels[order], images.labels[order], images.splits[order], images.classes
    )


def _check(images: LabelledImages, params: CanvasParams) -> None:
    if images.pixels.ndim != 3:
        raise ValueError("canvas: expected grey images, got RGB; set nas.images.channels to 1")
    if max(images.pixels.shape[1:]) > params.size:
        raise ValueError(
            f"canvas: expected images of at most {params.size} pixels on a side, got"
            f" {images.pixels.shape[1]} × {images.pixels.shape[2]}; enlarge nas.canvas.size, or lower nas.images.size"
        )
    if params.classes == "labels" and len(images.classes) > 254:
        raise ValueError(
            f"canvas: expected at most 254 classes, got {len(images.classes)}; set nas.canvas.classes to figure, or lower"
            " nas.images.classes"
        )
    if "background" in images.classes and params.classes == "labels":
        raise ValueError("canvas: expected no class called background, got one; rename it")


def _composed(
    part: LabelledImages, params: CanvasParams, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A canvas and its mask."""
    canvas = _gradient(params.size, random)
    for _ in range(random.integers(0, params.strokes + 1)):
        _draw_stroke(canvas, random)
    for _ in range(random.integers(0, params.patches + 1)):
        _paste_patch(canvas, part.pixels[random.integers(len(part.pixels))], random)
    mask = np.zeros((params.size, params.size), dtype=np.uint8)
    for _ in range(random.integers(params.least, params.most + 1)):
        row = int(random.integers(len(part.pixels)))
        number = int(part.labels[row]) + 1 if params.classes == "labels" else 1
        _paste(canvas, mask, part.pixels[row], number, random)
    canvas += random.normal(0.0, params.noise, canvas.shape).astype(np.float32)
    return np.clip(np.round(canvas), 0, 255).astype(np.uint8), mask


def _gradient(size: int, random: np.random.Generator) -> NDArray[np.float32]:
    """A background that changes evenly from one side to another, with values of at most 96."""
    across, down, base = (float(value) for value in random.uniform(0, 32, 3))
    line = np.linspace(0.0, 1.0, size, dtype=np.float32)
    return (base + across * line[None, :] + down * line[:, None]).astype(np.float32)


def _draw_stroke(canvas: NDArray[np.float32], random: np.random.Generator) -> None:
    """Draws a straight stroke, two pixels wide, about as long as a figure."""
    size = len(canvas)
    start, angle = random.uniform(0, size, 2), float(random.uniform(0, 2 * np.pi))
    length, shade = float(random.uniform(size / 8, size / 3)), float(random.uniform(120, 255))
    steps = np.arange(0.0, length, 0.5)
    for offset in (0.0, 1.0):
        rows = np.round(start[0] + steps * np.sin(angle) + offset * np.cos(angle)).astype(np.int64)
        columns = np.round(start[1] + steps * np.cos(angle) - offset * np.sin(angle)).astype(np.int64)
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        canvas[rows[inside], columns[inside]] = shade


def _paste_patch(canvas: NDArray[np.float32], image: NDArray[np.uint8], random: np.random.Generator) -> None:
    """Pastes a small piece of an image."""
    side = min(_PATCH, *image.shape)
    y, x = (int(random.integers(0, length - side + 1)) for length in image.shape)
    top, left = (int(at) for at in random.integers(0, len(canvas) - side + 1, 2))
    place = canvas[top : top + side, left : left + side]
    np.maximum(place, image[y : y + side, x : x + side], out=place)


def _paste(
    canvas: NDArray[np.float32],
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8],
    number: int,
    random: np.random.Generator,
) -> None:
    """Pastes an image where it overlaps earlier ones least, of some positions, and enters its class into the mask."""
    height, width = image.shape
    ink = image > _INK
    best, least = (0, 0), height * width + 1
    for _ in range(_ATTEMPTS):
        top = int(random.integers(0, len(canvas) - height + 1))
        left = int(random.integers(0, len(canvas) - width + 1))
        overlap = int(np.count_nonzero(mask[top : top + height, left : left + width][ink]))
        if overlap < least:
            best, least = (top, left), overlap
        if overlap == 0:
            break
    place = np.s_[best[0] : best[0] + height, best[1] : best[1] + width]
    np.maximum(canvas[place], image, out=canvas[place])
    mask[place][ink] = number
