"""Small embeddings with classes of unlike spread."""

import numpy as np


def embeddings(classes: int, rows: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows float32 (n, dim) around a centre for each class, tight for the first and wide for the last, and labels."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, max(0, rows - classes))])[:rows]
    spread = np.linspace(0.1, 0.9, classes)[labels][:, None]
    vectors = random.standard_normal((classes, dim))[labels] + spread * random.standard_normal((rows, dim))
    return vectors.astype(np.float32), labels
