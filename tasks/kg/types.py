"""Which types of entities are paired."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def aligned_types(
    left: Sequence[str], right: Sequence[str], positives: NDArray[np.integer], *, chosen: Sequence[str] = ()
) -> list[str]:
    """The types that both sides have and that are asked for, sorted.

    left, right: the type of each entity. positives: (m, 2) pairs known to be the same. Asked for are the ``chosen`` types;
    where none is, those of the positives, and where there are none of these either, all. ValueError for a chosen type
    that a side lacks, and where no type is left.
    """
    common = set(left) & set(right)
    unknown = sorted(set(chosen) - common)
    if unknown:
        raise ValueError(
            f"types: expected some that both graphs have ({', '.join(sorted(common)) or 'there is none'}), got"
            f" {', '.join(unknown)}; correct them"
        )
    found = set(chosen) or {left[one] for one, other in positives.tolist() if left[one] == right[other]} or common
    if not found:
        raise ValueError(
            f"types: expected at least one that both graphs have, got {_some(left)} and {_some(right)}; give both sides"
            " the same types, or none"
        )
    return sorted(found)


def _some(types: Sequence[str]) -> str:
    return ", ".join(sorted(set(types))[:5]) or "no entities"


def type_numbers(types: Sequence[str], names: Sequence[str]) -> NDArray[np.int32]:
    """int32: the place of each entity's type among ``names``, -1 for others."""
    place = {name: number for number, name in enumerate(names)}
    return np.array([place.get(kind, -1) for kind in types], dtype=np.int32)
