"""Advice as rows of a table, and what is said beside them."""

from collections.abc import Sequence

from fingerpost.tasks.nas.advice import Advice
from fingerpost.tasks.nas.edits import edit_text
from fingerpost.tasks.nas.limits import CandidateCosts

#: The columns of a table of advice.
COLUMNS = ("number", "edit", "latency", "memory", "size", "accuracy", "from")
NOT_MEASURED = "not measured here"


def advice_rows(found: Sequence[Advice]) -> list[tuple[str, ...]]:
    """A row of texts for each edit, in ``COLUMNS``, numbered from 1.

    latency, memory, size: what it saves of each, in percent. accuracy: its expected change in points with one standard
    deviation. from: the evaluated networks that tell of that.
    """
    return [
        (
            str(number),
            edit_text(one.edit, one.base),
            _saving(one.latency_saving),
            _saving(one.memory_saving),
            _saving(one.size_saving),
            f"{100 * one.accuracy_change:+.2f} ± {100 * one.accuracy_spread:.2f}",
            f"{one.tried} networks" if one.tried else NOT_MEASURED,
        )
        for number, one in enumerate(found, start=1)
    ]


def advice_records(found: Sequence[Advice]) -> list[dict[str, object]]:
    """The same as values, fractions and milliseconds, for programs."""
    return [
        {
            "number": number,
            "edit": one.edit.kind,
            "text": edit_text(one.edit, one.base),
            "stage": one.edit.stage,
            "block": one.edit.block,
            "value": one.edit.value,
            "latency_saving": one.latency_saving,
            "memory_saving": one.memory_saving,
            "size_saving": one.size_saving,
            "accuracy_change": one.accuracy_change,
            "accuracy_spread": one.accuracy_spread,
            "networks": one.tried,
            "latency_ms": one.after.latency_ms,
        }
        for number, one in enumerate(found, start=1)
    ]


def effect_text(before: CandidateCosts, after: CandidateCosts) -> str:
    """What edits together change: latency, peak activation memory and parameters before and after."""
    parts = (
        ("latency", f"{before.latency_ms:.4g}", f"{after.latency_ms:.4g} ms", after.latency_ms / before.latency_ms),
        (
            "memory",
            f"{before.memory_bytes:,}",
            f"{after.memory_bytes:,} bytes",
            after.memory_bytes / before.memory_bytes,
        ),
        ("size", f"{before.parameters:,}", f"{after.parameters:,} parameters", after.parameters / before.parameters),
    )
    return "; ".join(f"{name} {old} to {new} ({100 * (ratio - 1):+.1f} %)" for name, old, new, ratio in parts)


def _saving(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
