"""Parameters of images with masks."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CanvasParams:
    """The canvases that images are pasted on.

    size: pixels on a side of a canvas.
    least: minimum number of images on one canvas.
    most: maximum number of images on one canvas.
    patches: maximum number of patches of clutter on one canvas.
    strokes: maximum number of strokes of clutter on one canvas.
    noise: standard deviation of the noise, of values from 0 to 255.
    classes: ``figure``, background and figure; or ``labels``, background and a class for each label.
    training: canvases of the training split.
    validation: canvases of the validation split.
    test: canvases of the test split.
    seed: seed of the canvases.
    """

    size: int = 56
    least: int = 1
    most: int = 2
    patches: int = 6
    strokes: int = 3
    noise: float = 16.0
    classes: Literal["figure", "labels"] = "figure"
    training: int = 3000
    validation: int = 500
    test: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 8 or not 1 <= self.least <= self.most:
            raise ValueError(
                f"canvas: expected a size of at least 8 and 1 <= least <= most, got {self.size}, {self.least} and"
                f" {self.most}; 56, 1 and 2 are usual"
            )
        if min(self.patches, self.strokes, self.noise) < 0 or min(self.training, self.validation, self.test) < 1:
            raise ValueError(
                "canvas: expected patches, strokes and noise of at least 0 and at least one canvas of each split, got"
                f" {self.patches}, {self.strokes}, {self.noise}, {self.training}, {self.validation}, {self.test}; correct"
                " them"
            )
