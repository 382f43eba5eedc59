"""Parameters of importing labelled images, and the names of their splits."""

from dataclasses import dataclass
from typing import Literal, get_args

SplitName = Literal["training", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True)
class ImageParams:
    """Which images are used, and for what.

    training: maximum number of training images, the same fraction of each class; 0 for all.
    validation: maximum number of validation images, the same fraction of each class; 0 for all.
    test: maximum number of test images, the same fraction of each class; 0 for all.
    validation_share: fraction of the training images of each class that become validation images, where the input has
        none.
    test_share: fraction of the training images of each class that become test images, where the input has none.
    classes: maximum number of classes, 0 for all.
    least_rows: images that a class needs, in all splits together; classes with fewer are left out.
    seed: seed of the choice of images.
    """

    training: int = 0
    validation: int = 0
    test: int = 0
    validation_share: float = 0.1
    test_share: float = 0.2
    classes: int = 0
    least_rows: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.training, self.validation, self.test, self.classes) < 0 or self.classes == 1:
            raise ValueError(
                "images: expected a training, validation and test of at least 0 and classes of 0 or at least 2, got"
                f" {self.training}, {self.validation}, {self.test} and {self.classes}; 0 takes all"
            )
        if not (0 < self.validation_share < 1 and 0 < self.test_share < 1):
            raise ValueError(
                "images: expected a validation_share and test_share between 0 and 1, got"
                f" {self.validation_share} and {self.test_share}; 0.1 and 0.2 are usual"
            )
        if self.validation_share + self.test_share >= 1 or self.least_rows < len(SPLITS):
            raise ValueError(
                f"images: expected shares of less than 1 together and a least_rows of at least {len(SPLITS)}, got"
                f" {self.validation_share + self.test_share:g} and {self.least_rows}; lower the shares, raise least_rows"
            )
