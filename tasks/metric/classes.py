"""Which classes take part: all, or one side of an open-world split, in which a class is on one side with all its rows.

Source: algorithms.md 3.4 (test classes disjoint from training classes).
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ClassParams:
    """The column whose values are the classes, the side of the split, and how small a class may be.

    part: ``all``, ``validation`` or ``test``; validation_share: of the classes. A class's side depends on its name and the
    seed alone, so classes that come later move no other. Rows without a class take part in nothing.
    """

    column: str = "package"
    part: Literal["all", "validation", "test"] = "all"
    validation_share: float = 0.5
    least_rows: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.part not in ("all", "validation", "test") or not 0 < self.validation_share < 1 or self.least_rows < 1:
            raise ValueError(
                "classes: expected all, validation or test, a share between 0 and 1 and at least one row a class, got "
                f"{self.part!r}, {self.validation_share}, {self.least_rows}; correct them"
            )


def in_validation(name: str, share: float, seed: int) -> bool:
    """Whether a class of that name is on the validation side."""
    drawn = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < share * 2**64


def chosen_rows(labels: ArrayLike, params: ClassParams) -> NDArray[np.int64]:
    """Rows, ascending, of labels (n,) whose classes take part; ValueError where fewer than two classes do."""
    given = np.asarray(labels, dtype=object)
    names, classes, sizes = np.unique(given.astype(str), return_inverse=True, return_counts=True)
    wanted = [
        bool(name)
        and size >= params.least_rows
        and (
            params.part == "all"
            or in_validation(str(name), params.validation_share, params.seed) == (params.part == "validation")
        )
        for name, size in zip(names, sizes, strict=True)
    ]
    if sum(wanted) < 2:
        raise ValueError(
            f"classes: expected at least two in the {params.part} part with {params.least_rows} rows each, got {sum(wanted)} "
            f"of {len(names)} by column {params.column!r}; choose another column or a smaller least_rows"
        )
    return np.flatnonzero(np.array(wanted)[classes])
