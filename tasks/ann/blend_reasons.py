"""Why each part of answering takes part or does not, in a sentence, and names of blends as people read them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fingerpost.tasks.ann.fusion import AnswerParams
from fingerpost.tasks.ann.judged import IntervalParams, mean_of

#: The parts of answering.
FEEDBACK, NEIGHBORS, VECTORS = "feedback", "words of neighbours", "vectors"
_PARTS = (FEEDBACK, NEIGHBORS, VECTORS)

#: part, value, whether it takes part in answers, and why.
Reason = tuple[str, str, bool, str]
Gains = Mapping[AnswerParams, NDArray[np.float64]]


def blend_name(params: AnswerParams) -> str:
    """A blend as people read it, such as ``words 0.8 (feedback, neighbours 0.2), vectors 0.2``."""
    if not params.uses_lexical:
        return "vectors"
    near = f"neighbours {params.near_share:g}" if params.near_share else ""
    parts = ", ".join(part for part in ("feedback" if params.feedback else "", near) if part)
    words = f" ({parts})" if parts else ""
    if not params.uses_dense:
        return f"words{words}"
    return f"words {1 - params.dense_share:g}{words}, vectors {params.dense_share:g}"


def plain_reasons(params: AnswerParams, why: str) -> list[Reason]:
    """One reason for all parts."""
    return [(part, *_value(part, params), why) for part in _PARTS]


def reasons_of(
    gains: Gains, chosen: AnswerParams, default: AnswerParams, interval: IntervalParams, measured: str
) -> list[Reason]:
    """What each part of the chosen blend gains, or would have lost.

    gains: float64 (q,) of blends. measured: the metric and on what, for the sentences.
    """
    reasons = []
    for part in _PARTS:
        without, of_default = _with(part, chosen, None), _with(part, chosen, default)
        if without == chosen == of_default:
            why = "off as set"
        elif without == chosen:
            why = f"off: {_difference(gains, chosen, of_default, interval)} than with it, {measured}"
        else:
            why = f"{_difference(gains, chosen, without, interval)} than without it, {measured}"
            if chosen != of_default:
                value = _value(part, of_default)[0]
                why += f"; {_difference(gains, chosen, of_default, interval)} than with {value}, the default"
        reasons.append((part, *_value(part, chosen), why))
    return reasons


def _with(part: str, params: AnswerParams, other: AnswerParams | None) -> AnswerParams:
    """The parameters with a part as others have it, or without it."""
    if part == FEEDBACK:
        return replace(params, feedback=other.feedback if other else None)
    if part == NEIGHBORS:
        return replace(params, near_share=other.near_share if other else 0.0)
    return replace(params, dense_share=other.dense_share if other else 0.0)


def _value(part: str, params: AnswerParams) -> tuple[str, bool]:
    """A part's value as people read it, and whether it takes part."""
    if part == FEEDBACK:
        if params.feedback is None:
            return "none", False
        found = params.feedback
        return f"{found.terms} terms of {found.documents} documents", True
    share = params.near_share if part == NEIGHBORS else params.dense_share
    return f"{share:g}", share > 0


def _difference(gains: Gains, ours: AnswerParams, theirs: AnswerParams, interval: IntervalParams) -> str:
    """How far the gain of one blend lies above another's."""
    found = mean_of(gains[ours] - gains[theirs], interval)
    word = "higher" if found.value >= 0 else "lower"
    sure = "" if found.low > 0 or found.high < 0 else ", not certain"
    return f"{abs(found.value):.4f} {word} (interval {found.low:.4f} to {found.high:.4f}{sure})"
