"""Which classes take part: all, or one side of an open-world split, in which a class is on one side with all its rows.

Sides are training (of an embedder, if one is trained), validation (a threshold is chosen on) and test.

Source: algorithms.md 3.4 (test classes disjoint from training classes).
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Part = Literal["all", "training", "validation", "test"]


@dataclass(frozen=True)
class ClassParams:
    """The column whose values are the classes, the side of the split, and how small a class may be.

    part: ``all``, ``training``, ``validation`` or ``test``; train_share: of the classes, validation_share: of those left. A class's side depends on its
    name and the seed alone, so classes that come later move no other. Rows without a class take part in nothing. group: the column
    whose values are groups of classes; empty for none.
    """

    column: str = "package"
    part: Part = "all"
    validation_share: float = 0.5
    least_rows: int = 1
    seed: int = 0
    train_share: float = 0.0
    group: str = ""

    def __post_init__(self) -> None:
        parts = get_args(Part)
        shares = 0 < self.validation_share < 1 and 0 <= self.train_share < 1
        if self.part not in parts or not shares or self.least_rows < 1:
            raise ValueError(
                f"classes: expected one of {', '.join(parts)}, shares between 0 and 1 and at least one row a class, got"
                f" {self.part!r}, {self.train_share}, {self.validation_share}, {self.least_rows}; correct them"
            )


def in_validation(name: str, share: float, seed: int) -> bool:
    """Whether a class of that name that nothing is trained on is on the validation side."""
    drawn = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < share * 2**64


def side_of(name: str, params: ClassParams) -> str:
    """The side that a class of that name is on: training, validation or test."""
    drawn = hashlib.blake2b(f"training {params.seed}\0{name}".encode(), digest_size=8).digest()
    if int.from_bytes(drawn, "big") < params.train_share * 2**64:
        return "training"
    return "validation" if in_validation(name, params.validation_share, params.seed) else "test"


def chosen_rows(labels: ArrayLike, params: ClassParams) -> NDArray[np.int64]:
    """Rows, ascending, of labels (n,) whose classes take part; ValueError where fewer than two classes do."""
    given = np.asarray(labels, dtype=object)
    names, classes, sizes = np.unique(given.astype(str), return_inverse=True, return_counts=True)
    wanted = [
        bool(name) and size >= params.least_rows and params.part in ("all", side_of(str(name), params))
        for name, size in zip(names, sizes, strict=True)
    ]
    if sum(wanted) < 2:
        raise ValueError(
            f"classes: expected at least two in the {params.part} part with {params.least_rows} rows each, got"
            f" {sum(wanted)} of {len(names)} by column {params.column!r}; choose another column or a smaller least_rows"
        )
    return np.flatnonzero(np.array(wanted)[classes])


def class_groups(labels: ArrayLike, groups: ArrayLike, names: ArrayLike) -> tuple[NDArray[np.str_], int]:
    """The group of each of the classes ``names`` (c,), and how many classes' rows name several.

    Of the groups (n,) of a class's rows by labels (n,) the most frequent one counts, of equally frequent ones the first by
    name; "" where no row names one.
    """
    given = np.asarray(labels, dtype=object).astype(str)
    told = np.array([str(group or "") for group in np.asarray(groups, dtype=object)], dtype=str)
    known = told != ""
    both, counts = np.unique(np.stack([given[known], told[known]]), axis=1, return_counts=True)
    best: dict[str, str] = {}
    # By frequency, the first by name last, so that it stays.
    for place in np.lexsort((-np.arange(len(counts)), counts)).tolist():
        best[str(both[0, place])] = str(both[1, place])
    wanted = [str(name) for name in np.asarray(names)]
    found = np.array([best.get(name, "") for name in wanted], dtype=str)
    several = np.unique(both[0], return_counts=True)
    mixed = set(several[0][several[1] > 1].tolist())
    return found, sum(name in mixed for name in wanted)
