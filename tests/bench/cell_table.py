"""The tables of NAS-Bench-201: accuracies, and latencies measured on 23 devices; connected cells only."""

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fingerpost.tasks.nas.cells import Cell, CellSpace
from tests.data import data_file

ACCURACIES = ("cifar10", "cifar100", "imagenet16_120")
#: Devices of one family differ in the batch alone, or in the generation of one product.
FAMILIES = (
    "1080ti",
    "2080ti",
    "titan_rtx",
    "titanxp",
    "titanx",
    "essential",
    "eyeriss",
    "gold",
    "silver",
    "pixel",
    "samsung",
)
#: Kinds of devices, by families.
KINDS = {
    "essential": "phone",
    "pixel": "phone",
    "samsung": "phone",
    "gold": "server",
    "silver": "server",
    "eyeriss": "eyeriss",
}


@dataclass(frozen=True)
class CellTable:
    """cells int64 (n, 6), canonical int64 (n, 6), latency_ms (n, devices), accuracy (n, 3) in per cent."""

    cells: NDArray[np.int64]
    canonical: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    devices: tuple[str, ...]

    def family(self, device: int) -> str:
        return next(name for name in FAMILIES if self.devices[device].startswith(name))

    def kind(self, device: int) -> str:
        return KINDS.get(self.family(device), "graphics card")


def cell_table() -> CellTable:
    """The table, read from the shared data."""
    table = pq.read_table(data_file("nas/nasbench201", "nasbench201.parquet").as_posix())
    devices = [name for name in table.column_names if name.startswith("latency_ms_")]
    parsed = [Cell.parse(text) for text in table["arch"].to_pylist()]
    rows = np.flatnonzero([cell.connected for cell in parsed])
    cells = np.array([parsed[row].operations for row in rows], dtype=np.int64)
    space = CellSpace()
    return CellTable(
        cells,
        np.array([space.canonical(cell) for cell in cells]),
        np.stack([table[name].to_numpy()[rows].astype(np.float64) for name in devices], axis=1),
        np.stack([table[name].to_numpy()[rows].astype(np.float64) for name in ACCURACIES], axis=1),
        tuple(name.removeprefix("latency_ms_") for name in devices),
    )
