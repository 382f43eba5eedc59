"""Zero-shot scores of NAS-Bench-201's cells beside their accuracies: ``python -m tests.bench.bench_nas_zero_shot [--quick]``.

Random connected cells are built in torch and never trained; the scores' Spearman correlation with the test accuracies of the
benchmark's tables, beside the control, the count of parameters, and the mean of ranks.

A network is smaller than the benchmark's: one cell a stage instead of five, images of 16 × 16 pixels instead of 32 × 32, a batch
of 32. A second table compares that with others on fewer cells. There is no CIFAR: an image has three random drawings of MNIST as its
channels, scaled to mean 0 and deviation 1. Normal noise would need no data, but NASWOT and the Jacobian covariance correlate less with it.
"""

import argparse
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from fingerpost.tasks.nas.cell_network import CellNetwork, live_edges
from fingerpost.tasks.nas.ranks import AGGREGATED, aggregate, spearman
from fingerpost.tasks.nas.score_params import ScoreName, ScoreParams
from fingerpost.tasks.nas.zero_shot import scores
from tests.bench.results import cpu_seconds, print_table, write_rows
from tests.data import data_file

ACCURACIES = ("cifar10", "cifar100", "imagenet16_120")
#: The rows beside ``SCORES``: name and what is aggregated.
AGGREGATES: dict[str, tuple[ScoreName, ...]] = {
    "mean of ranks": AGGREGATED,
    "mean of ranks, with parameters": (*AGGREGATED, "parameters"),
}
CELLS, SEED = 1000, 201
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How networks and batches are made."""

    cells: int = 1
    size: int = 16
    batch: int = 32
    images: str = "drawings"

    def __str__(self) -> str:
        return f"{self.cells} a stage, {self.size} × {self.size}, batch {self.batch}, {self.images}"


OTHERS = (
    Setting(),
    Setting(images="noise"),
    Setting(size=8),
    Setting(batch=16),
    Setting(batch=64),
    Setting(cells=2),
    Setting(cells=5, size=32, batch=64),
)


def cells_of(count: int) -> tuple[list[list[str]], dict[str, Values]]:
    """Random connected cells and their accuracies in per cent, by data set."""
    table = pq.read_table(data_file("nas/nasbench201", "nasbench201.parquet").as_posix(), columns=["arch", *ACCURACIES])
    named = [re.findall(r"([a-z_0-9]+)~\d", text) for text in table["arch"].to_pylist()]
    connected = np.flatnonzero([any(live_edges(names)) for names in named])
    chosen = np.random.default_rng(SEED).choice(connected, min(count, len(connected)), replace=False)
    return [named[row] for row in chosen], {name: table[name].to_numpy()[chosen] for name in ACCURACIES}


def batch_of(setting: Setting) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A batch (b, 3, size, size) and classes (b,): the digit of the first channel."""
    random = np.random.default_rng(SEED)
    if setting.images == "noise":
        rows = random.standard_normal((setting.batch, 3, setting.size, setting.size))
        return rows.astype(np.float32), random.integers(0, 10, setting.batch)
    with np.load(data_file("mnist784", "mnist784.npz")) as arrays:
        chosen = random.choice(len(arrays["train"]), 3 * setting.batch, replace=False)
        drawings = torch.from_numpy(arrays["train"][chosen].reshape(-1, 3, 28, 28).astype(np.float32))
        labels = arrays["train_labels"][chosen[::3]].astype(np.int64)
    rows = torch.nn.functional.interpolate(drawings, size=(setting.size, setting.size), mode="bilinear").numpy()
    return (rows - rows.mean()) / rows.std(), labels


def scored(cells: list[list[str]], setting: Setting, params: ScoreParams) -> tuple[dict[str, Values], float]:
    """The scores of cells by name, aggregates among them, and CPU seconds a cell."""
    images, labels = batch_of(setting)
    seconds, every = cpu_seconds(
        lambda: [scores(CellNetwork(names, cells=setting.cells), images, labels, params) for names in cells]
    )
    found = {name: np.array([one[name] for one in every]) for name in params.names}
    found |= {title: aggregate(found, names) for title, names in AGGREGATES.items()}
    return found, seconds / len(cells)


def advantage(values: Values, control: Values, accuracy: Values) -> tuple[float, float]:
    """A 95 % interval by bootstrap of how much higher a score's correlation is than the control's."""
    random, gains = np.random.default_rng(0), []
    for _ in range(1000):
        rows = random.integers(0, len(values), len(values))
        gains.append(spearman(values[rows], accuracy[rows]) - spearman(control[rows], accuracy[rows]))
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)


def score_rows(cells: list[list[str]], accuracies: dict[str, Values]) -> list[dict[str, Any]]:
    """A row for each score and each aggregate."""
    found, seconds = scored(cells, Setting(), ScoreParams(seed=SEED, zen_repeats=2))
    rows = []
    for name, values in found.items():
        row: dict[str, Any] = {"dataset": f"{len(cells)} cells", "contender": name.replace("_", " ")}
        row |= {data: spearman(values, accuracy) for data, accuracy in accuracies.items()}
        if name in AGGREGATES:
            low, high = advantage(values, found["parameters"], accuracies["cifar10"])
            row["cifar10_above_parameters"] = f"{low:+.3f} to {high:+.3f}"
        rows.append(row)
    rows[0]["seconds_a_cell"] = seconds
    return rows


def setting_rows(cells: list[list[str]], accuracies: dict[str, Values]) -> list[dict[str, Any]]:
    """The same for other settings, CIFAR-10 alone."""
    names: tuple[ScoreName, ...] = (*AGGREGATED, "parameters")
    rows = []
    for setting in OTHERS:
        found, seconds = scored(cells, setting, ScoreParams(names, seed=SEED))
        row: dict[str, Any] = {"dataset": f"{len(cells)} cells, cifar10", "setting": str(setting)}
        row |= {name: spearman(values, accuracies["cifar10"]) for name, values in found.items()}
        rows.append({**row, "seconds_a_cell": seconds})
    return rows


def main() -> None:
    """Both tables, printed and written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 cells, and 20 for the settings instead of 60")
    quick = parser.parse_args().quick
    cells, accuracies = cells_of(100 if quick else CELLS)
    rows = score_rows(cells, accuracies)
    print_table(rows, "Spearman's correlation of scores with test accuracies")
    few = 20 if quick else 60
    others = setting_rows(cells[:few], {name: values[:few] for name, values in accuracies.items()})
    print_table(others, "Other networks and batches")
    write_rows("nas_zero_shot", [*rows, *others])


if __name__ == "__main__":
    main()
