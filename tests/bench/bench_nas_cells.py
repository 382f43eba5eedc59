"""Latencies and searches on NAS-Bench-201: ``python -m tests.bench.bench_nas_cells [--quick] [--only PART ...]``.

* ``latency``: the estimator from 50 cells of its own choice and from 300 random ones, beside linear regression on counts of
  operations and on multiply-accumulates, on each of the 23 devices; errors on all other connected cells. No other device is
  used. ``ceiling``: the same figures for a regression on all pairs of operations fitted to all other cells, in ten folds.
* ``transfer``: 20 cells and the latencies on other families of devices (or other kinds of devices).
* ``search``: for each device limits at the quartiles of its latencies; regret of the best feasible cell found. Latencies are
  the table's, as for the controls; ``estimated`` uses the estimator from 50 cells instead: cells that it takes to be feasible and
  that are not cost an evaluation and count for nothing. ``combined`` gives the surrogate zero-shot scores as well.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from fingerpost.tasks.nas.cell_costs import macs
from fingerpost.tasks.nas.cell_features import counts, features_of_cells
from fingerpost.tasks.nas.cells import Cell, live_operations
from fingerpost.tasks.nas.few_shot import cells_to_measure, fit_few_shot
from fingerpost.tasks.nas.ranks import AGGREGATED
from fingerpost.tasks.nas.transfer import fit_transfer
from tests.bench.cell_searches import Search, Task, by_chance, by_evolution, by_ridge, by_surrogate
from tests.bench.cell_table import ACCURACIES, CellTable, cell_table
from tests.bench.results import cpu_seconds, print_table, results_folder, write_rows

PARTS = ("latency", "ceiling", "transfer", "search", "combined", "estimated")
QUARTILES = (25, 50, 75)
BUDGET = 200
POWERS = 5 ** np.arange(6)
Values = NDArray[np.float64]
Fit = Callable[[NDArray[np.int64], int], Values]


def judged(predicted: Values, true: Values, measured: NDArray[np.int64]) -> tuple[float, float]:
    """The share within 10 % of the truth and Spearman's correlation, over cells that were not measured."""
    rest = np.ones(len(true), dtype=bool)
    rest[measured] = False
    one, two = rankdata(predicted[rest]), rankdata(true[rest])
    return float(np.mean(np.abs(predicted[rest] / true[rest] - 1) <= 0.1)), float(np.corrcoef(one, two)[0, 1])


def ridge(columns: Values, measured: NDArray[np.int64], latencies: Values) -> Values:
    """The control: ridge regression of relative errors, its strength by leaving one out."""
    scaled = (columns - columns[measured].mean(axis=0)) / (columns[measured].std(axis=0) + 1e-9)
    rows, weights = np.column_stack([scaled, np.ones(len(scaled))]), 1 / latencies
    known, found = rows[measured] * weights[:, None], []
    for strength in 10.0 ** np.arange(-4, 2.1, 0.5):
        penalty = np.diag(np.r_[np.full(scaled.shape[1], strength * np.mean(weights**2)), 1e-9])
        inverse = np.linalg.solve(known.T @ known + penalty, known.T)
        leverage = np.minimum((known * inverse.T).sum(axis=1), 0.999)
        coefficients = inverse.sum(axis=1)
        found.append((np.mean(np.abs((1 - known @ coefficients) / (1 - leverage))), coefficients))
    best = min(found, key=lambda one: float(one[0]))
    predicted: Values = rows @ best[1]
    return predicted


def by_device(table: CellTable, fit: Fit, draws: list[NDArray[np.int64]]) -> Values:
    """Share within 10 % and Spearman (2, devices), means over the draws of measured cells."""
    every = [
        [judged(fit(measured, device), table.latency_ms[:, device], measured) for device in range(len(table.devices))]
        for measured in draws
    ]
    return np.array(every).mean(axis=0).T


def latency_rows(table: CellTable, draws: int) -> list[dict[str, Any]]:
    """Estimators and controls, by device and in the median device."""
    columns = counts(table.cells)
    work = macs(table.cells).astype(np.float64)[:, None]
    random = [np.random.default_rng(seed).choice(len(table.cells), 300, replace=False) for seed in range(draws)]
    chosen = [cells_to_measure(table.cells, 50, seed=seed) for seed in range(draws)]

    def own(measured: NDArray[np.int64], device: int) -> Values:
        return fit_few_shot(table.cells[measured], table.latency_ms[measured, device]).predict(table.cells)[0]

    def control(measured: NDArray[np.int64], device: int) -> Values:
        return ridge(columns, measured, table.latency_ms[measured, device])

    def by_macs(measured: NDArray[np.int64], device: int) -> Values:
        return ridge(work, measured, table.latency_ms[measured, device])

    figures = {
        ("estimator", "50 chosen"): by_device(table, own, chosen),
        ("counts", "50 chosen"): by_device(table, control, chosen),
        ("estimator", "50 random"): by_device(table, own, [one[:50] for one in random]),
        ("counts", "50 random"): by_device(table, control, [one[:50] for one in random]),
        ("estimator", "300 random"): by_device(table, own, random),
        ("counts", "300 random"): by_device(table, control, random),
        ("multiply-accumulates", "300 random"): by_device(table, by_macs, random),
    }
    gain = figures["estimator", "300 random"] - figures["counts", "300 random"]
    print("300: devices where the estimator is below the control (within, Spearman):")
    for device in np.flatnonzero((gain < 0).any(axis=0)):
        print(f"  {table.devices[device]}: {gain[0, device]:+.5f} {gain[1, device]:+.5f}")
    return summed(table, figures)


def summed(table: CellTable, figures: dict[tuple[str, str], Values]) -> list[dict[str, Any]]:
    """Rows for the median device, and one for each device."""
    rows = []
    for (contender, setting), values in figures.items():
        shown = [("median device", np.median(values, axis=1)), *zip(table.devices, values.T, strict=True)]
        for device, (within, correlation) in shown:
            row = {"dataset": device, "contender": contender, "setting": setting}
            rows.append({**row, "within_10": float(within), "spearman": float(correlation)})
    return rows


def ceiling_rows(table: CellTable) -> list[dict[str, Any]]:
    """What a function of the cell alone reaches when it is fitted to nine tenths of all cells."""
    places = np.concatenate([table.cells == kind for kind in range(5)], axis=1).astype(np.float64)
    one, two = np.triu_indices(places.shape[1], 1)
    rows = np.concatenate([places, places[:, one] * places[:, two]], axis=1)
    fold = np.random.default_rng(1).permutation(len(rows)) % 10
    predicted = np.empty_like(table.latency_ms)
    for number in range(10):
        train = fold != number
        for device in range(len(table.devices)):
            weights = 1 / table.latency_ms[train, device]
            scaled = rows[train] * weights[:, None]
            gram = scaled.T @ scaled
            gram += 1e-6 * np.trace(gram) / len(gram) * np.eye(len(gram))
            predicted[~train, device] = rows[~train] @ np.linalg.solve(gram, scaled.sum(axis=0))
    none = np.empty(0, dtype=np.int64)
    values = [judged(predicted[:, one], table.latency_ms[:, one], none) for one in range(len(table.devices))]
    return summed(table, {("pairs of operations", "13,756 random"): np.array(values).T})


def transfer_rows(table: CellTable, draws: int) -> list[dict[str, Any]]:
    """20 measured cells with other devices' latencies, and without."""
    devices = range(len(table.devices))
    chosen = [cells_to_measure(table.cells, 20, seed=seed) for seed in range(draws)]
    random = [np.random.default_rng(seed).choice(len(table.cells), 20, replace=False) for seed in range(draws)]

    def own(measured: NDArray[np.int64], device: int) -> Values:
        return fit_few_shot(table.cells[measured], table.latency_ms[measured, device]).predict(table.cells)[0]

    def with_others(group: Callable[[int], str]) -> Fit:
        def fit(measured: NDArray[np.int64], device: int) -> Values:
            others = [one for one in devices if group(one) != group(device)]
            known = table.latency_ms[measured, device]
            return fit_transfer(table.cells, measured, known, table.latency_ms[:, others]).predict(table.cells)[0]

        return fit

    return summed(
        table,
        {
            ("other families", "20 chosen"): by_device(table, with_others(table.family), chosen),
            ("other families", "20 random"): by_device(table, with_others(table.family), random),
            ("other kinds", "20 chosen"): by_device(table, with_others(table.kind), chosen),
            ("itself alone", "20 chosen"): by_device(table, own, chosen),
        },
    )


def zero_shot_columns(table: CellTable) -> Values:
    """Normal quantiles of the ranks of three zero-shot scores and of their mean, (n, 4).

    The scores, of untrained networks as small as in ``bench_nas_zero_shot``, are computed once (10 CPU minutes) and kept
    in ``bench-results``.
    """
    codes, first, where = np.unique(table.canonical @ POWERS, return_index=True, return_inverse=True)
    path = results_folder() / "cell_scores.npz"
    if not path.exists():
        from tests.bench.bench_nas_zero_shot import SEED, ScoreParams, Setting, scored

        named = [list(Cell(tuple(int(gene) for gene in row)).names) for row in table.canonical[first]]
        found, _ = scored(named, Setting(), ScoreParams(AGGREGATED, seed=SEED))
        np.savez(path, codes=codes, **{name: found[name] for name in AGGREGATED})  # type: ignore[arg-type]
    with np.load(path) as kept:
        if not np.array_equal(kept["codes"], codes):
            raise SystemExit(f"{path}: expected scores of these cells, got others; remove it")
        ranks = [ndtri(rankdata(kept[name]) / (len(codes) + 1)) for name in AGGREGATED]
    columns: Values = np.column_stack([*ranks, np.mean(ranks, axis=0)])[where]
    return columns


def regrets(
    table: CellTable,
    search: Search,
    data: int,
    *,
    seeds: int,
    limits: int,
    estimated: bool = False,
    columns: Values | None = None,
) -> Values:
    """Regret after 50 evaluations and after all, (searches, 2), of every limits-th limit; columns: further features."""
    features = features_of_cells(live_operations(table.canonical))
    features = features if columns is None else np.concatenate([features, columns], axis=1)
    found = []
    for number in range(0, len(table.devices) * len(QUARTILES), limits):
        device, latency = number // 3, table.latency_ms[:, number // 3]
        limit = np.percentile(latency, QUARTILES[number % 3])
        allowed = latency <= limit
        believed = latency
        if estimated:
            measured = cells_to_measure(table.cells, 50, seed=device)
            believed = fit_few_shot(table.cells[measured], latency[measured]).predict(table.cells)[0]
        rows = np.flatnonzero(believed <= limit)
        task = Task(table.cells[rows], features[rows], table.accuracy[rows, data])
        counted = np.where(allowed[rows], task.scores, -np.inf)
        best = table.accuracy[allowed, data].max()
        for seed in range(seeds):
            chosen = search(task, BUDGET, np.random.default_rng(seed))
            if len(set(chosen)) != BUDGET:
                raise AssertionError("a search evaluated a string twice")
            found.append([best - counted[chosen[:50]].max(), best - counted[chosen].max()])
    return np.array(found)


def search_rows(
    table: CellTable, *, seeds: int, limits: int, estimated: bool = False, columns: Values | None = None
) -> list[dict[str, Any]]:
    """Mean regrets of the surrogate and of the controls, in percentage points."""
    rows = []
    name = "surrogate" if columns is None else "surrogate with zero-shot scores"
    contenders: dict[str, tuple[Search, int]] = {name: (by_surrogate, seeds)}
    if not estimated and columns is None:
        # The controls are means of fewer searches: they are known well enough.
        fewer = min(seeds, 5)
        contenders |= {"random": (by_chance, seeds), "evolution": (by_evolution, fewer), "ridge": (by_ridge, 1)}
    for name, (search, repeats) in contenders.items():
        for data, label in enumerate(ACCURACIES):
            look = partial(
                regrets, table, search, data, seeds=repeats, limits=limits, estimated=estimated, columns=columns
            )
            seconds, found = cpu_seconds(look)
            row = {
                "dataset": label,
                "contender": name,
                "setting": "latency estimated" if estimated else "latency known",
            }
            means = found.mean(axis=0)
            error = found.std(axis=0) / len(found) ** 0.5
            rows.append(
                {
                    **row,
                    "searches": len(found),
                    "regret_50": float(means[0]),
                    "regret_200": float(means[1]),
                    "error_50": float(error[0]),
                    "error_200": float(error[1]),
                    "cpu_seconds": seconds,
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two draws, every fifth limit, two seeds")
    parser.add_argument("--seeds", type=int, default=20, help="of each search; 20 by default")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    given = parser.parse_args()
    table = cell_table()
    draws, seeds, limits = (2, 2, 5) if given.quick else (5, given.seeds, 1)
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "latency": lambda: latency_rows(table, draws),
        "ceiling": lambda: ceiling_rows(table),
        "transfer": lambda: transfer_rows(table, draws),
        "search": lambda: search_rows(table, seeds=seeds, limits=limits),
        "combined": lambda: search_rows(table, seeds=seeds, limits=limits, columns=zero_shot_columns(table)),
        "estimated": lambda: search_rows(table, seeds=min(seeds, 5), limits=limits, estimated=True),
    }
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        if part in given.only:
            found = makers[part]()
            print_table([row for row in found if row["dataset"] in ("median device", *ACCURACIES)], part)
            rows += found
    write_rows("nas_cells", rows)


if __name__ == "__main__":
    main()
