"""Selection of classes: all, or one side of an open-world split, where all rows of a class are on the same side.

The sides are training (of an embedder, if one is trained), validation (the threshold is chosen on it) and test.

Source: Zhang et al., ICLR 2024 (arXiv 2307.04047): test classes are disjoint from training classes.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Part = Literal["all", "training", "validation", "test"]


@dataclass(frozen=True)
class ClassParams:
    """Parameters of the selection of classes.

    column: the column whose values are the classes; rows without a class are ignored. part: ``all``, ``training``,
    ``validation`` or ``test``. train_share: fraction of the classes for training. validation_share: fraction of the
    remaining classes for validation. A class's side depends on its name and the seed only, so new classes do not move
    others. least_rows: minimum number of rows of a class. group: the column whose values are groups of classes; empty
    for none.
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
                f"classes: expected one of {', '.join(parts)}, shares between 0 and 1 and a minimum of one row, got"
                f" {self.part!r}, {self.train_share}, {self.validation_share}, {self.least_rows}; correct them"
            )


def in_validation(name: str, share: float, seed: int) -> bool:
    """Whether a class that is not on the training side is on the validation side."""
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def side_of(name: str, params: ClassParams) -> str:
    """The side of a class by name: training, validation or test."""
    digest = hashlib.blake2b(f"training {params.seed}\0{name}".encode(), digest_size=8).digest()
    if int.from_bytes(digest, "big") < params.train_share * 2**64:
        return "training"
    return "validation" if in_validation(name, params.validation_share, params.seed) else "test"


def chosen_rows(labels: ArrayLike, params: ClassParams) -> NDArray[np.int64]:
    """Rows, int64 ascending, of labels (n,) whose classes are selected; ValueError for fewer than two classes."""
    texts = np.asarray(labels, dtype=object).astype(str)
    names, classes, sizes = np.unique(texts, return_inverse=True, return_counts=True)
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
    """The group of each of the classes ``names`` (c,), and the number of classes whose rows name several groups.

    labels, groups: class and group of each row, (n,) each. A class is in the most frequent group of its rows, on a tie
    in the first by name; "" if no row names a group.
    """
    label_of = np.asarray(labels, dtype=object).astype(str)
    group_of = np.array([str(group or "") for group in np.asarray(groups, dtype=object)], dtype=str)
    known = group_of != ""
    both, counts = np.unique(np.stack([label_of[known], group_of[known]]), axis=1, return_counts=True)
    best: dict[str, str] = {}
    # In ascending order of frequency, on a tie the first by name last, so that it overwrites the others.
    for column in np.lexsort((-np.arange(len(counts)), counts)).tolist():
        best[str(both[0, column])] = str(both[1, column])
    wanted = [str(name) for name in np.asarray(names)]
    chosen = np.array([best.get(name, "") for name in wanted], dtype=str)
    several = np.unique(both[0], return_counts=True)
    mixed = set(several[0][several[1] > 1].tolist())
    return chosen, sum(name in mixed for name in wanted)
