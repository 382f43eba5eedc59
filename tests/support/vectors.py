"""Vectors made up for tests."""

import numpy as np


def decaying(n: int, dim: int, *, seed: int, clusters: int = 12, apart: float = 2.0) -> np.ndarray:
    """Clustered vectors whose spectrum decays with the root of the rank, float32 (n, dim)."""
    random = np.random.default_rng(seed)
    spread = (1.0 + np.arange(dim)) ** -0.5
    centres = random.normal(size=(clusters, dim)) * spread * apart
    rotation = np.linalg.qr(random.normal(size=(dim, dim)))[0]
    rows = centres[random.integers(0, clusters, size=n)] + random.normal(size=(n, dim)) * spread
    return (rows @ rotation + 0.5).astype(np.float32)
