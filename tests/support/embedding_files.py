"""Files of embeddings."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAY = "2026-01-05"


def write(
    path: Path, vectors: np.ndarray, ids: list[Any], labels: list[Any], name: str = "label", **more: list[Any]
) -> Path:
    """A Parquet file of embeddings."""
    rows = pa.array([row.tolist() for row in vectors], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids, name: labels, "vector": rows} | more), path)
    return path
