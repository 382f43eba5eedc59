"""The network that a search chooses."""

from collections.abc import Mapping, Sequence
from typing import Any


def best_row(rows: Sequence[Mapping[str, Any]]) -> int:
    """The position of the chosen one among the rows of a search's table ``evaluated``.

    Of the trained ones that keep the limits the one with the highest score, ties by latency, then by number. ValueError
    without any.
    """
    rivals = [place for place, row in enumerate(rows) if row["trained"] and row["feasible"]]
    if not rivals:
        raise ValueError("search: expected a trained network that keeps the limits, found none; search again")
    return min(rivals, key=lambda place: (-rows[place]["score"], rows[place]["latency_ms"], rows[place]["number"]))
