"""Embedders trained with and without TCM for the report, read from their comparison."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerpost.schemas import metric
from fingerpost.schemas.matrices import tensors_from_arrow
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store

#: Metrics of unseen classes in the table, with their headings.
COLUMNS = {
    "recall_at_1": "recall@1",
    "map_at_r": "mAP@R",
    "opis": "OPIS",
    "worst_opis": "OPIS, worst classes",
    "far": "FAR",
    "far_spread": "FAR, deviation over classes",
    "frr": "FRR",
}
SIDES = {"without": "without TCM", "with": "with TCM"}


@dataclass(frozen=True, repr=False)
class Curves:
    """Utility (c, g) of test classes along thresholds (g,) of an embedder, and FAR and FRR (c,) at its threshold."""

    thresholds: NDArray[np.float64]
    utility: NDArray[np.float64]
    far: NDArray[np.float64]
    frr: NDArray[np.float64]

    def __repr__(self) -> str:
        """A digest of all numbers, the cache key of their plots; numpy's own text would leave most of them out."""
        parts = (self.thresholds, self.utility, self.far, self.frr)
        return f"Curves({hashlib.sha256(b''.join(part.tobytes() for part in parts)).hexdigest()})"


@dataclass(frozen=True)
class Embedders:
    """Embedders by side (without, with): metrics of test classes by name, one per seed; trials of margins; checks.

    taken: side and seed of the selected one. checks: (side, seed, steps, mAP@R) of each while training.
    """

    figures: dict[str, dict[str, list[float]]]
    taken: tuple[str, int]
    trials: list[dict[str, Any]]
    checks: list[tuple[str, int, list[int], list[float]]]
    curves: dict[str, Curves]
    classes: int
    rows: int
    loss: str
    backbone: str
    margins: tuple[float, float, float] | None

    @property
    def columns(self) -> dict[str, str]:
        """The metrics of the table, with their headings."""
        return COLUMNS

    @property
    def table(self) -> list[tuple[str, int, list[tuple[float, float] | None]]]:
        """Rows of (name of the side, number of seeds, mean and standard deviation (0 for one seed) of every column)."""
        rows = []
        for side, words in SIDES.items():
            if side in self.figures:
                values = [self.figures[side].get(name) for name in COLUMNS]
                cells = [(float(np.mean(one)), float(np.std(one))) if one else None for one in values]
                rows.append((words, len(self.figures[side]["opis"]), cells))
        return rows

    def change(self, name: str) -> float | None:
        """The relative change of a metric's mean with TCM; None where one side is missing."""
        if len(self.figures) < 2:
            return None
        without, with_tcm = (float(np.mean(self.figures[side][name])) for side in SIDES)
        return with_tcm / without - 1 if without else None


def read_embedders(store: Store, record: dict[str, Any]) -> Embedders | None:
    """The comparison of a run that trained embedders; None where there is none."""
    stages = {Ref.parse(stage["ref"]).name: stage for stage in record["stages"]}
    if metric.COMPARISON.name not in stages or metric.EMBEDDERS.name not in stages:
        return None
    comparison = store.open(Ref.parse(stages[metric.COMPARISON.name]["ref"]), metric.COMPARISON)
    trained = store.open(Ref.parse(stages[metric.EMBEDDERS.name]["ref"]), metric.EMBEDDERS)
    figures: dict[str, dict[str, list[float]]] = {}
    for row in comparison.read("figures").to_pylist():
        figures.setdefault(row["method"], {}).setdefault(row["metric"], []).append(row["value"])
    rows = trained.read("embedders").to_pylist()
    named = [("with" if row["weight"] is not None else "without", row["seed"]) for row in rows]
    selected = next(row["embedder"] for row in comparison.read("validation").to_pylist() if row["role"] == "taken")
    trials = []
    if metric.MARGINS.name in stages:
        artifact = store.open(Ref.parse(stages[metric.MARGINS.name]["ref"]), metric.MARGINS)
        trials = artifact.read("trials").to_pylist()
    checks = trained.read("checks").to_pylist()
    courses = [
        (
            side,
            seed,
            [c["step"] for c in checks if c["embedder"] == number],
            [c["map_at_r"] for c in checks if c["embedder"] == number],
        )
        for number, (side, seed) in enumerate(named)
    ]
    margins = next(
        ((row["positive_margin"], row["negative_margin"], row["weight"]) for row in rows if row["weight"] is not None),
        None,
    )
    recipe = trained.manifest.identity["parameters"]["recipe"]
    return Embedders(
        figures,
        named[selected],
        trials,
        courses,
        _curves(tensors_from_arrow(comparison.read("curves"))),
        trained.quality["classes"],
        trained.quality["rows"],
        recipe["training"]["loss"],
        recipe["backbone"]["kind"],
        margins,
    )


def _curves(stored: dict[str, NDArray[np.generic]]) -> dict[str, Curves]:
    names = ("thresholds", "utility", "far", "frr")
    return {
        side: Curves(*(stored[f"{side}_{name}"].astype(np.float64) for name in names))
        for side in SIDES
        if f"{side}_utility" in stored
    }
