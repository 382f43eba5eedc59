"""Images with classes for benchmarks of training: Omniglot and MNIST, as uint8 (n, 28, 28), ink bright."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.data import data_file


@dataclass(frozen=True)
class Images:
    """Images uint8 (n, 28, 28) and their classes (n,) as numbers."""

    rows: NDArray[np.uint8]
    classes: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> "Images":
        """Some of them."""
        return Images(self.rows[chosen], self.classes[chosen])


@dataclass(frozen=True)
class OpenWorld:
    """Training, validation and test images whose classes are disjoint."""

    training: Images
    validation: Images
    test: Images


#: Every third alphabet of the background set is held out for validation: ten of them, so that two characters are about as often
#: of one alphabet as among the twenty of the evaluation set.
VALIDATION_EVERY = 3


def omniglot() -> OpenWorld:
    """Omniglot's background alphabets for training, every third of them for validation, evaluation alphabets for testing."""
    with np.load(data_file("omniglot", "omniglot.npz")) as stored:
        packed, (height, width) = stored["X_packed"], stored["shape"].tolist()
        alphabets, names, splits = stored["alphabet"], stored["cls"], stored["split"]
    parts = np.array_split(packed, 16)
    bits = (np.unpackbits(part, axis=1)[:, : height * width].reshape(-1, height, width) for part in parts)
    every = Images(np.concatenate([smaller(part) for part in bits]), np.unique(names, return_inverse=True)[1])
    background = splits == "images_background"
    held = background & np.isin(alphabets, np.unique(alphabets[background])[::VALIDATION_EVERY])
    return OpenWorld(every.of(background & ~held), every.of(held), every.of(~background))


def smaller(drawings: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bits (n, 105, 105) as the means of 4 by 4 of them, uint8 (n, 28, 28)."""
    padded = np.pad(drawings, ((0, 0), (3, 4), (3, 4)))
    return (padded.reshape(-1, 28, 4, 28, 4).mean(axis=(2, 4)) * 255).astype(np.uint8)


def mnist() -> OpenWorld:
    """The digits of MNIST: training images, and test images in two halves for validation and test; all classes are in each."""
    with np.load(data_file("mnist784", "mnist784.npz")) as stored:
        training = Images(stored["train"].reshape(-1, 28, 28), stored["train_labels"].astype(np.int64))
        test = Images(stored["test"].reshape(-1, 28, 28), stored["test_labels"].astype(np.int64))
    half = np.arange(len(test.rows)) < len(test.rows) // 2
    return OpenWorld(training, test.of(half), test.of(~half))
