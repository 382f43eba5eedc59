"""Drawn pictures by class."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fingerpost.schemas.inputs.images import ImageShape


def encoded(seed: int, kind: str = "PNG", size: tuple[int, int] = (12, 16), mode: str = "L") -> bytes:
    """A drawn picture of (width, height)."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels, mode).save(out, kind)
    return out.getvalue()


def letters(folder: Path, *, classes: int, each: int, size: int) -> Path:
    """A folder of square pictures by class, every two of which are alike."""
    for label in range(classes):
        for number in range(each):
            file = folder / "letters" / f"letter {label}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(100 * label + number // 2, size=(size, size)))
    return folder / "letters"


SHAPE = ImageShape(16, 12, 1)


def tree(folder: Path) -> Path:
    """Two classes of three images, and a file that is none."""
    for number in range(6):
        file = folder / "images" / f"class {number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(number))
    (folder / "images" / "class 0" / "notes.txt").write_text("no image")
    return folder / "images"
