"""Searches among the cells of NAS-Bench-201 that keep a latency limit, each evaluation of accuracy looked up.

A search may evaluate any string that it takes to be feasible, once; strings of one canonical cell are candidates each of their
own, with accuracies of trainings of their own, and each evaluation counts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.cells import live_operations
from fingerpost.tasks.nas.surrogate import acquisition, standardised
from fingerpost.tasks.nas.surrogate_pool import SurrogatePool

Search = Callable[["Task", int, np.random.Generator], list[int]]
#: Random evaluations before the surrogate chooses; after ``SINGLE`` evaluations it chooses ``TOGETHER`` at a time.
START, SINGLE, TOGETHER = 10, 50, 3


class Task:
    """Candidates (n, 6) that may be evaluated, and what an evaluation finds of each."""

    def __init__(self, cells: NDArray[np.int64], features: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
        self.cells, self.features, self.scores = cells, features, scores
        self.codes = cells @ (5 ** np.arange(6))
        self.place = {int(code): row for row, code in enumerate(self.codes)}


def by_chance(task: Task, budget: int, random: np.random.Generator) -> list[int]:
    """Evaluations drawn at random."""
    return [int(row) for row in random.choice(len(task.cells), budget, replace=False)]


def by_evolution(task: Task, budget: int, random: np.random.Generator) -> list[int]:
    """Regularised evolution (Real et al., AAAI 2019): population 50, tournaments of 10, one mutation, infeasible ones redrawn.

    A string that was evaluated before is not evaluated again."""
    found = by_chance(task, min(50, budget), random)
    population, seen, tries = list(found), set(found), 0
    while len(found) < budget:
        parent = max(random.choice(population, 10), key=lambda row: float(task.scores[row]))
        child = task.cells[parent].copy()
        edge = random.integers(6)
        child[edge] = (child[edge] + random.integers(1, 5)) % 5
        row = task.place.get(int(child @ (5 ** np.arange(6))))
        tries += 1
        if tries > 200:
            row = int(random.integers(len(task.cells)))
        if row is None or row in seen:
            continue
        tries = 0
        seen.add(row)
        found.append(row)
        population = [*population[1:], row]
    return found


def by_ridge(task: Task, budget: int, random: np.random.Generator) -> list[int]:
    """A ridge regression on one-hot live operations and their pairs, four bootstraps, mean plus deviation, ten at a time."""
    live = live_operations(task.cells)
    places = np.concatenate([(live == kind) for kind in range(5)], axis=1).astype(np.float64)
    one, two = np.triu_indices(places.shape[1], 1)
    rows = np.concatenate([places, places[:, one] * places[:, two]], axis=1)
    rows = rows[:, rows.std(axis=0) > 0]
    found = by_chance(task, min(20, budget), random)
    while len(found) < budget:
        known = np.array(found)
        guesses = [_ridge(rows, task.scores, random.choice(known, len(known))) for _ in range(4)]
        wanted = np.mean(guesses, axis=0) + np.std(guesses, axis=0)
        wanted[known] = -np.inf
        found += [int(row) for row in np.argsort(-wanted, kind="stable")[: min(10, budget - len(found))]]
    return found


def _ridge(rows: NDArray[np.float64], scores: NDArray[np.float64], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    known, targets = rows[chosen], scores[chosen]
    middle, mean = known.mean(axis=0), targets.mean()
    centred = known - middle
    weights = np.linalg.solve(centred @ centred.T + np.eye(len(chosen)), targets - mean)
    guessed: NDArray[np.float64] = mean + (rows - middle) @ (centred.T @ weights)
    return guessed


def by_surrogate(task: Task, budget: int, random: np.random.Generator) -> list[int]:
    """The project's surrogate, expected improvement; strings of one cell are one row of its pool."""
    rows, where = np.unique(task.features, axis=0, return_inverse=True)
    pool = SurrogatePool(standardised(rows, rows.mean(axis=0), rows.std(axis=0)), budget)
    found = by_chance(task, min(START, budget), random)
    open_rows: list[list[int]] = [[] for _ in rows]
    for row in random.permutation(len(task.cells)):
        if row not in found:
            open_rows[where[row]].append(int(row))
    left = np.array([len(one) for one in open_rows])
    for row in found:
        pool.tell(int(where[row]), float(task.scores[row]))
    while len(found) < budget:
        mean, spread = pool.predict()
        wanted = acquisition(mean, spread, float(task.scores[found].max()))
        wanted[left == 0] = -1.0
        count = min(1 if len(found) < SINGLE else TOGETHER, budget - len(found))
        for place in np.argsort(-wanted, kind="stable")[:count]:
            if not left[place]:
                continue
            row = open_rows[place].pop()
            left[place] -= 1
            found.append(row)
            pool.tell(int(place), float(task.scores[row]))
    return found
