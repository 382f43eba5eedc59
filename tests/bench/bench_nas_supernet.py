"""Networks judged by shared weights beside networks trained alone: ``python -m tests.bench.bench_nas_supernet [--quick]``.

Random networks of a small space over MNIST on 14 × 14 pixels. A supernet is trained, and the accuracies that its weights give the
networks are ranked beside those after trainings of their own; beside it the counts of parameters and multiply-accumulates.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.nas.architecture import Architecture
from fingerpost.tasks.nas.costs import costs_of
from fingerpost.tasks.nas.paths import some_networks
from fingerpost.tasks.nas.ranks import spearman
from fingerpost.tasks.nas.space import SearchSpace
from fingerpost.tasks.nas.space_choices import BlockChoices, StageChoices
from fingerpost.tasks.nas.supernet import supernet_accuracy, train_supernet
from fingerpost.tasks.nas.supernet_params import SupernetParams
from fingerpost.tasks.nas.training import train
from fingerpost.tasks.nas.training_params import Examples, TrainingParams
from tests.bench.nas_worlds import digits
from tests.bench.results import cpu_seconds, print_table, write_rows

BLOCKS = (BlockChoices(("ibn", "fused", "conv"), (3, 5), (2, 4)),) * 2
SPACE = SearchSpace(
    1,
    10,
    (14,),
    (4, 8),
    (1,),
    (StageChoices((2, 4, 8, 16), (2,), (1, 2), BLOCKS), StageChoices((4, 8, 16, 32), (2,), (1, 2), BLOCKS)),
)
ALONE = TrainingParams(epochs=4)


def sides(images: int) -> tuple[Examples, Examples]:
    """Training and validation images."""
    training, validation = digits()["training"], digits()["validation"]
    return training.of(np.arange(min(images, len(training)))), validation.of(np.arange(min(1000, len(validation))))


def alone(networks: Sequence[Architecture], examples: tuple[Examples, Examples], seeds: int) -> NDArray[np.float64]:
    """Accuracies (networks, seeds) after trainings of their own."""
    return np.array([[train(one, *examples, ALONE, seed=seed).validation for seed in range(seeds)] for one in networks])


def judged(
    networks: Sequence[Architecture], examples: tuple[Examples, Examples], params: SupernetParams
) -> NDArray[np.float64]:
    """Accuracies (networks,) with the weights of a supernet."""
    weights, _ = train_supernet(SPACE, *examples, params)
    return np.array([supernet_accuracy(SPACE, weights, one, *examples) for one in networks])


def main() -> None:
    """Prints and stores the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer networks, images and epochs")
    quick = parser.parse_args().quick
    examples, networks = sides(600 if quick else 1200), some_networks(SPACE, 8 if quick else 24, seed=15)
    seeds, params = (1, SupernetParams(epochs=2)) if quick else (2, SupernetParams(epochs=12))
    seconds, truth = cpu_seconds(lambda: alone(networks, examples, seeds))
    rows = [_row("trained alone", "first seed, beside the last", truth[:, 0], truth[:, -1], seconds)]
    for distillation in (0.0, 0.5):
        setting = f"{params.epochs} epochs, " + ("largest as teacher" if distillation else "labels alone")
        chosen = replace(params, distillation=distillation)
        seconds, found = cpu_seconds(lambda chosen=chosen: judged(networks, examples, chosen))  # type: ignore[misc]
        rows.append(_row("supernet", setting, found, truth.mean(axis=1), seconds))
    for name in ("parameters", "macs"):
        counts = np.array([float(getattr(costs_of(one), name)) for one in networks])
        rows.append(_row(name, "counted", counts, truth.mean(axis=1), 0.0))
    print_table(rows, "Shared weights")
    write_rows("nas_supernet", rows)


def _row(
    contender: str, setting: str, found: NDArray[np.float64], truth: NDArray[np.float64], seconds: float
) -> dict[str, Any]:
    return {
        "dataset": "mnist784, 14 × 14",
        "contender": contender,
        "setting": setting,
        "spearman": round(spearman(found, truth), 3),
        "accuracies": f"{found.min():.3f} to {found.max():.3f}" if found.max() <= 1 else None,
        "cpu_seconds": round(seconds, 1) or None,
    }


if __name__ == "__main__":
    main()
