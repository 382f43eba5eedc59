"""Extreme multilabel ranking beside PECOS: ``python -m tests.bench.bench_xmr [--quick] [--dataset debian12|delicious]``.

One thread, CPU seconds, each side in a process of its own, in turns: us, rival, us, rival. Both train at their defaults from
the same CSR files: label features, tree, rankers; then rank the test rows in one call and row by row.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from fingerpost.tasks.xmr.metrics import evaluate
from fingerpost.tasks.xmr.ranking import Ranking
from tests.bench.peers import PeerProcess, peer_python
from tests.bench.results import ROOT, print_table, results_folder, write_rows
from tests.bench.xmr_inputs import PARTS, write_debian_matrices, write_delicious_matrices

RIVAL = "pecos"


def task_folder(dataset: str) -> Path:
    """The four CSR files of a data set, made once."""
    folder = results_folder() / f"xmr-{dataset}"
    if all((folder / f"{part}.npz").is_file() for part in PARTS):
        return folder
    folder.mkdir(exist_ok=True)
    write = {"debian12": write_debian_matrices, "delicious": write_delicious_matrices}
    write[dataset](folder)
    return folder


def precision(out: Path, truth: sparse.csr_matrix, counts: np.ndarray, rows: int) -> dict[str, float]:
    """Percentages at 1, 3, 5 and recall at 10 of the saved ids."""
    ids = np.load(out).astype(np.uint32)
    return precision_at(Ranking(ids, np.zeros(ids.shape, np.float32)), truth, counts, rows)


def precision_at(ranking: Ranking, truth: sparse.csr_matrix, counts: np.ndarray, rows: int) -> dict[str, float]:
    """Percentages at 1, 3, 5 and recall at 10; ``counts``: how many of the training ``rows`` have each label."""
    found = evaluate(ranking, truth, counts=counts, rows=rows, cutoffs=(1, 3, 5, 10))
    names = {"p_at_1": "precision_at_1", "p_at_3": "precision_at_3", "p_at_5": "precision_at_5"}
    return {short: 100 * found[name] for short, name in (names | {"r_at_10": "recall_at_10"}).items()}


class Side:
    """One library in its process and what was measured of it."""

    def __init__(self, library: str, python: Path, folder: Path) -> None:
        self.library = library
        self._out = folder / f"{library}.npy"
        self._process = PeerProcess(python, Path(__file__).with_name("drive_xmr.py"), library, str(folder))
        self.trained: list[dict[str, Any]] = []
        self.batch: dict[int, list[float]] = {}
        self.single: dict[int, list[float]] = {}
        self.quality: dict[int, dict[str, float]] = {}

    def train(self, seed: int) -> None:
        self.trained.append(self._process.ask({"do": "train", "seed": seed}))

    def rank(self, beam: int, mode: str) -> None:
        seconds = self._process.ask({"do": mode, "beam": beam, "out": str(self._out)})["seconds"]
        (self.batch if mode == "batch" else self.single).setdefault(beam, []).append(seconds)

    def judge(self, beam: int, truth: sparse.csr_matrix, counts: np.ndarray, rows: int) -> None:
        self.quality[beam] = precision(self._out, truth, counts, rows)

    def close(self) -> None:
        self._process.close()


def measure(dataset: str, beams: tuple[int, ...], repeats: int, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """All rows of one data set."""
    folder = task_folder(dataset)
    python = peer_python(RIVAL)
    y_train, y_test = (sparse.load_npz(folder / f"Y_{part}.npz").tocsr() for part in ("train", "test"))
    counts = np.asarray((y_train > 0).sum(axis=0)).ravel()
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        sides = [Side("fingerpost", Path(sys.executable), folder)]
        if python is not None:
            sides.append(Side(RIVAL, python, folder))
        for side in sides:
            side.train(seed)
        for beam in beams:
            for _ in range(repeats + 1):  # the first one is a warm-up
                for side in sides:
                    side.rank(beam, "batch")
                    side.judge(beam, y_test, counts, y_train.shape[0])
            for _ in range(repeats):
                for side in sides:
                    side.rank(beam, "single")
        for side in sides:
            side.close()
        rows += result_rows(dataset, seed, sides, y_test.shape[0])
    return rows


def result_rows(dataset: str, seed: int, sides: list[Side], queries: int) -> list[dict[str, Any]]:
    """A row for each training, and one a beam for each way to rank; ratios are rival's seconds over ours."""
    rows: list[dict[str, Any]] = []
    rival = next((side for side in sides if side.library == RIVAL), None)
    for side in sides:
        row = {"dataset": dataset, "contender": side.library, "setting": f"train, seed {seed}", **side.trained[0]}
        if rival is not None and side is not rival:
            row |= {"ratio": rival.trained[0]["seconds"] / row["seconds"], "rival": RIVAL}
        rows.append(row)
    for mode in ("batch", "single"):
        for side in sides:
            for beam, seconds in getattr(side, mode).items():
                mine = statistics.median(seconds[1:] or seconds)
                row = {"dataset": dataset, "contender": side.library, "setting": f"{mode}, beam {beam}, seed {seed}"}
                row |= {"queries_per_second": queries / mine}
                row |= side.quality[beam] if mode == "batch" else {}
                if rival is not None and side is not rival:
                    theirs = getattr(rival, mode)[beam]
                    row |= {"ratio": statistics.median(theirs[1:] or theirs) / mine, "rival": RIVAL}
                rows.append(row)
    return rows


def main() -> None:
    """Measure, print and write ``bench-results/xmr.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, beam 10, two repeats")
    parser.add_argument("--beams", type=int, nargs="+", default=(5, 10, 20), help="default: 5 10 20")
    parser.add_argument("--dataset", choices=("debian12", "delicious"), action="append")
    options = parser.parse_args()
    os.chdir(ROOT)
    rows: list[dict[str, Any]] = []
    for dataset in options.dataset or ("debian12", "delicious"):
        if options.quick:
            rows += measure(dataset, (10,), 2, (0,))
        else:
            rows += measure(dataset, tuple(options.beams), 3, (0, 1, 2))
    print_table(rows, "Extreme multilabel ranking")
    print(f"written to {write_rows('xmr', rows, quick=options.quick)}")


if __name__ == "__main__":
    main()
