"""The disk space that artifacts need, checked before they are computed."""

import shutil
from pathlib import Path

from fingerpost.schemas.errors import FingerpostError

#: Free space over what is expected to be stored, below which nothing is begun: expectations may be wrong by this factor.
LEAST_FRACTION = 0.5


class DiskSpaceError(FingerpostError):
    """A disk that does not hold what is to be stored."""


def free_bytes(store: str) -> int | None:
    """The free space of the disk of a store; None for one that is on none here."""
    if "://" in store:
        return None
    place = Path(store).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def check_room(store: str, what: str, expected: int) -> None:
    """DiskSpaceError where less than half of the ``expected`` bytes of ``what`` is free on the disk of a store."""
    free = free_bytes(store)
    if free is not None and free < LEAST_FRACTION * expected:
        raise DiskSpaceError(
            f"store {store}: expected about {expected / 1e6:,.0f} MB of free disk space for {what}, got"
            f" {free / 1e6:,.0f} MB; free some disk space, or name a store on another disk with --store"
        )
