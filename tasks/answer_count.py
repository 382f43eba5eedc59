"""The number of answers that callers ask for."""

from fingerpost.schemas.errors import FingerpostError


def checked_count(k: int) -> int:
    """The number itself; FingerpostError for one below 0."""
    if k < 0:
        raise FingerpostError(f"k: expected a number of answers of at least 0, got {k}; raise it")
    return k
