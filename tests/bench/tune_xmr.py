"""The ranker's solver settings on validation rows: ``python -m tests.bench.tune_xmr [--dataset debian12|delicious] [--folds N]``.

A tenth of the training rows is held out a fold, the test rows are never read: of ``debian12`` whole source packages by
their checksum, with features and labels of the other rows alone; of ``delicious`` rows at random. Every other setting is
the default. The table has the means over the folds, and of precision its gain over the defaults, row by row, with that
gain's standard error; CPU seconds are those of training, sizes of the weights in memory.
"""

import argparse
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy import sparse

from fingerpost.tasks.xmr.clustering import ClusterParams, cluster_labels
from fingerpost.tasks.xmr.label_features import embed_labels
from fingerpost.tasks.xmr.metrics import hits
from fingerpost.tasks.xmr.ranking import Ranker
from fingerpost.tasks.xmr.training import SolverParams, TrainingParams
from tests.bench.results import ROOT, print_table
from tests.bench.xmr_inputs import debian_task
from tests.data import data_file
from tests.support.rankers import train_ranker

#: Features and labels of the rows to fit, then of those held out, and which of the latter belong together.
Fold = tuple[sparse.csr_matrix, sparse.csr_matrix, sparse.csr_matrix, sparse.csr_matrix, np.ndarray]

#: (cost_positive, cost_negative, threshold, frequency_discount); the first are the defaults.
SETTINGS = (
    (0.7, 0.7, 0.07, 0.01),
    (0.7, 0.7, 0.07, 0.0),
    (0.7, 0.7, 0.07, 0.02),
    (0.7, 0.7, 0.05, 0.01),
    (1.0, 1.0, 0.1, 0.0),
    (1.0, 1.0, 0.07, 0.01),
    (0.5, 0.5, 0.1, 0.0),
    (0.5, 0.5, 0.05, 0.01),
    (0.5, 1.0, 0.1, 0.0),
    (2.0, 1.0, 0.1, 0.0),
)

MEASURES = ("p_at_1", "p_at_3", "p_at_5", "r_at_10")


def delicious_folds(folds: int) -> Iterator[Fold]:
    """Random tenths of the training rows."""
    x, y = (sparse.load_npz(data_file("delicious", f"{name}_train.npz")).tocsr() for name in "XY")
    part = np.random.default_rng(0).permutation(x.shape[0]) % 10
    for fold in range(folds):
        yield x[part != fold], y[part != fold], x[part == fold], y[part == fold], np.flatnonzero(part == fold)


def debian_folds(folds: int) -> Iterator[Fold]:
    """Tenths of the training rows by source package; labels that fewer than two of the other rows have are left out."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    table = pq.read_table(data_file("debian12", "packages.parquet"), columns=["source", "depends"]).to_pandas()
    sources = table.source[table.depends.map(len) > 0].to_numpy()
    part = np.array([zlib.crc32(source.encode()) // 10 % 10 for source in sources])
    task = debian_task()
    texts = np.array(task.texts, dtype=object)
    for fold in range(folds):
        held, fit = ~task.test & (part == fold), ~task.test & (part != fold)
        tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, dtype=np.float32)
        x_fit, x_held = tfidf.fit_transform(texts[fit]), tfidf.transform(texts[held])
        y_fit, y_held = task.targets(fit), task.targets(held)
        known = np.asarray(y_fit.sum(axis=0)).ravel() >= 2
        y_fit, y_held = y_fit[:, known], y_held[:, known]
        fits, helds = (np.asarray(y.sum(axis=1)).ravel() > 0 for y in (y_fit, y_held))
        groups = np.unique(sources[held][helds].astype(str), return_inverse=True)[1]
        yield x_fit[fits].tocsr(), y_fit[fits].tocsr(), x_held[helds].tocsr(), y_held[helds].tocsr(), groups


def measure(fold: Fold, solver: SolverParams) -> tuple[np.ndarray, dict[str, float]]:
    """Percentages (rows held out, 4) of precision at 1, 3, 5 and recall at 10; CPU seconds and size of one training."""
    x_fit, y_fit, x_held, y_held, _ = fold
    begin = time.process_time()
    tree = cluster_labels(embed_labels(x_fit, y_fit), ClusterParams())
    model = train_ranker(x_fit, y_fit, tree, TrainingParams(solver=solver)).model
    seconds = time.process_time() - begin
    right = hits(Ranker(model).rank(x_held, 10), y_held)
    parts = [right[:, :k].mean(axis=1) for k in (1, 3, 5)]
    parts.append(right.sum(axis=1) / np.maximum(np.diff(y_held.indptr), 1))
    return 100 * np.stack(parts, axis=1), {"seconds": seconds, "weights_mb": model.nbytes / 2**20}


def gain(differences: list[np.ndarray], groups: list[np.ndarray]) -> str:
    """The mean of a measure's differences row by row, and its standard error with rows of a group taken together."""
    sums = [np.bincount(group, weights=one) for group, one in zip(groups, differences, strict=True)]
    count = sum(map(len, differences))
    mean, squares = sum(one.sum() for one in sums) / count, sum(float(one @ one) for one in sums)
    return f"{mean:+.2f} ± {np.sqrt(squares) / count:.2f}"


def table_rows(dataset: str, folds: Iterator[Fold]) -> list[dict[str, Any]]:
    """A row for each setting."""
    found: list[list[tuple[np.ndarray, dict[str, float]]]] = [[] for _ in SETTINGS]
    groups = []
    for fold in folds:
        groups.append(fold[-1])
        for place, (positive, negative, threshold, discount) in enumerate(SETTINGS):
            params = replace(
                SolverParams(),
                cost_positive=positive,
                cost_negative=negative,
                threshold=threshold,
                frequency_discount=discount,
            )
            found[place].append(measure(fold, params))
    rows = []
    for setting, parts in zip(SETTINGS, found, strict=True):
        row: dict[str, Any] = {"dataset": dataset, "contender": "fingerpost"}
        row["setting"] = "costs {:g} and {:g}, threshold {:g}, discount {:g}".format(*setting)
        means = np.concatenate([rates for rates, _ in parts]).mean(axis=0)
        for place, name in enumerate(MEASURES):
            row[name] = float(means[place])
            changes = [rates[:, place] - base[:, place] for (rates, _), (base, _) in zip(parts, found[0], strict=True)]
            row[f"gain_{name}"] = gain(changes, groups)
        rows.append(row | {name: float(np.mean([figures[name] for _, figures in parts])) for name in parts[0][1]})
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=("debian12", "delicious"), action="append")
    parser.add_argument("--folds", type=int, default=0, help="default: 3 of debian12, 10 of delicious")
    options = parser.parse_args()
    os.chdir(ROOT)
    rows: list[dict[str, Any]] = []
    for dataset in options.dataset or ("debian12", "delicious"):
        folds = debian_folds(options.folds or 3) if dataset == "debian12" else delicious_folds(options.folds or 10)
        rows += table_rows(dataset, folds)
    print_table(rows, "Solver settings on validation rows")


if __name__ == "__main__":
    main()
